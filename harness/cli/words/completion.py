"""What the shell offers after Tab for a name: what is registered under an entry-point group, without importing any."""

from collections.abc import Callable
from importlib.metadata import entry_points

Complete = Callable[[str], list[str]]


def names_of(group: str) -> Complete:
    """Give what completes a name from `mlrc.losses`, `mlrc.datasets` and their like; commas separate several."""

    def complete(incomplete: str) -> list[str]:
        """Give all that the last of the names may become, each with the names before it."""
        before, comma, last = incomplete.rpartition(",")
        registered = sorted({entry.name for entry in entry_points(group=group)})
        return [before + comma + name for name in registered if name.startswith(last)]

    return complete
