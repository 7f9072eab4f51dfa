"""What of a table was made by several codes: other plug-ins, other commits, other versions of packages.

What a record does not tell, as records of before it was told, counts as no other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mlrc.results.records.evidence import Evidence
from mlrc.results.records.origin import KINDS, Origin
from mlrc.results.records.record import BASELINES, Environment, FoldRecord, RunRecord

_NAMES = {"dataset": "dataset's reader", "trunk": "trunk"}


def mixtures(evidence: Sequence[Evidence]) -> list[str]:
    """Say in sentences which rows of a board, one row per loss, are of several codes, and whether the board is."""
    rows = [(one.loss, _counting(one), one.runs) for one in evidence if one.runs]
    return [*mixtures_of(rows)]


def mixtures_of(rows: Sequence[tuple[str, Sequence[FoldRecord], Sequence[RunRecord]]]) -> Iterator[str]:
    """Say the same of rows that are given by their name, the trainings that they stand on, and their repeats."""
    for row, folds, _ in rows:
        several = _several("loss", folds)
        if folds and folds[0].loss not in BASELINES and several:
            yield f"{row}: its trainings are of several versions of the loss, so of no single one: {several}."
    every = [fold for _, folds, _ in rows for fold in folds]
    for kind in KINDS[1:]:
        if several := _several(kind, every):
            yield f"The trainings are of several versions of the {_NAMES[kind]}: {several}."
    of_row = {row: _made(folds, runs) for row, folds, runs in rows}
    for row, made in of_row.items():
        if differing := _differing(made):
            yield f"{row}: its records were made by several codes: {differing}."
    together = _differing([one for made in of_row.values() for one in made])
    if together and not any(map(_differing, of_row.values())):
        yield f"The rows were made by several codes, which is part of what tells them apart: {together}."


def _counting(one: Evidence) -> list[FoldRecord]:
    """Give the trainings that a row stands on: its search's, and its repeats' with the parameters that count."""
    params = {run.search: run.params for run in one.runs}
    return [*one.search, *(record for record in one.final if record.params == params.get(record.search))]


def _several(kind: str, folds: Iterable[FoldRecord]) -> str:
    """Give the plug-ins of a kind with the number of trainings of each, if there are several."""
    counts: dict[Origin, int] = {}
    for record in folds:
        origin = record.plugins.get(kind)
        if origin is not None and record.outcome != "failed":
            same = next((one for one in counts if not one.differs(origin)), origin)
            counts[same] = counts.get(same, 0) + 1
    told = ", ".join(f"{origin} ({count} trainings)" for origin, count in counts.items())
    return told if len(counts) > 1 else ""


def _made(folds: Iterable[FoldRecord], runs: Iterable[RunRecord]) -> list[Environment]:
    return [*(fold.environment for fold in folds), *(run.environment for run in runs)]


def _differing(made: Iterable[Environment]) -> str:
    """Give what differs between environments, commit or package, with its values; empty if nothing does."""
    values: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for one in made:
        for name, value in _told(one).items():
            values[name][value] = None
    return "; ".join(f"{name} {' and '.join(sorted(of))}" for name, of in values.items() if len(of) > 1)


def _told(one: Environment) -> Mapping[str, str]:
    return {"commit": one.commit, **one.versions}
