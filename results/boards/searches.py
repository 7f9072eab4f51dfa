"""Whether the luck of the search stands inside a board's intervals."""

from collections.abc import Sequence

from mlrc.results.records.record import RunRecord


def several(runs: Sequence[RunRecord]) -> bool:
    """Say whether repeats come from more than one search of a loss."""
    return len({(run.loss, run.search) for run in runs}) > len({run.loss for run in runs})
