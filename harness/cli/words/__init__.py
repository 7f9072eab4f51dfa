"""The words of a command line: options and their groups, what all commands ask of them, and how a shell completes them.

Imports nothing that help does not need.
"""
