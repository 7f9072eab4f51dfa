"""A comparison checked, estimated, driven to its end, and scored.

The only writer of a ledger; everything that a user can get wrong is found here before any work is spent.
"""
