"""The levels that verdicts are judged at unless a user gives others: apart, so that help can name them at once."""

ALPHA = 0.05
"""The error rate of a whole table or check: the chance that anything at all is called different when nothing is."""
MARGIN = 1.0
"""Percent points within which a difference is of no interest."""
