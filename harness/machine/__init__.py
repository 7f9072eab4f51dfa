"""The machine: its devices and versions, files that are written whole or not at all, and wishes to stop.

Touches files, signals and torch's settings; knows nothing of losses, images or protocols.
"""
