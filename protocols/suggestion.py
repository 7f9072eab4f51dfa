"""What to say of a name that does not exist: the one that was likely meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Give a sentence with the known name closest to `name`, or `otherwise` where none is close."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else otherwise
