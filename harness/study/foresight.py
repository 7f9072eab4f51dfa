"""How many repeats a comparison needs to see a difference, told by a finished one of the same kind."""

from pathlib import Path

from mlrc.results.boards.sight import sights
from mlrc.results.publishing.place import EVIDENCE
from mlrc.results.records.ledger import LEDGER
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.rendering.report import read_boards


def require_difference(difference: float | None, like: str | None) -> None:
    """Raise `ValueError` unless both are given or neither, and the difference is one."""
    if (difference is None) != (like is None):
        raise ValueError(
            "--detect POINTS asks what a difference takes and --like RUNS names the finished run whose noise tells it; "
            f"give both, not --{'detect' if like is None else 'like'} alone."
        )
    if difference is not None and not 0 < difference <= 100:
        raise ValueError(f"The difference to detect must be positive and at most 100 points, but got {difference}.")


def foresight(difference: float, like: str, losses: int, published: Path) -> list[str]:
    """Say in sentences what it takes to tell two typical losses apart.

    Args:
        difference: percent points.
        like: a runs folder, or the name of published evidence.
        losses: how many are to be compared.
        published: folder of the published leaderboard.

    Raises:
        FileNotFoundError: there is no such run.
        ValueError: it is broken, or compares nothing.
    """
    place = next((one for one in (Path(like), published / EVIDENCE / like) if (one / LEDGER).is_file()), None)
    if place is None:
        raise FileNotFoundError(f"--like must name a runs folder or published evidence, but there is no {like!r}.")
    told = [str(sight) for board in read_boards(place) for sight in sights(board, difference, losses)]
    if not told:
        raise ValueError(
            f"--like must name a run of two or more losses with two or more repeats each, but {like} compares nothing."
        )
    return [
        f"To tell apart two typical losses of {losses} that differ by {difference:g} points of {RANKED_BY}, "
        f"in four tables of five, by the noise of {like}:",
        *told,
    ]
