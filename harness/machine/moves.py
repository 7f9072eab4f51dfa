"""Moves of a process that its own frames do not show: of its threads, and of one that waits for another process.

A worker tells its driver that it lives whenever the thread that does its jobs has moved. One that waits in a call has
not, so whoever waits for what may take long says each time that there is still somebody to wait for.
"""

from itertools import count

_moves = count(1)
_made = 0


def moved() -> None:
    """Take in a move; from any thread."""
    global _made  # noqa: PLW0603 one of the process
    _made = next(_moves)


def made() -> int:
    """Give a number that is another after a move."""
    return _made
