"""What the plots show over time, from the histories of fold records."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlrc.results.records.evidence import Evidence
from mlrc.results.records.record import FoldRecord
from mlrc.results.statistics.exact import mean
from mlrc.results.statistics.intervals import half_width

Values = NDArray[np.float64]


class Curve(NamedTuple):
    """Points `(points,)` of a line; `half` is the half width of a 95 % interval around them, or `None`."""

    x: Values
    y: Values
    half: Values | None = None


def validation(evidence: Evidence) -> list[tuple[int, Curve]]:
    """Give (fold, validation score against epoch) of every training of the repeats."""
    return [(record.fold, _curve(record)) for record in judged(evidence)]


def convergence(evidence: Evidence, iterations_per_epoch: int) -> Curve:
    """Give the best validation score so far against iterations: mean over folds, then over repeats.

    A training that stopped keeps its best score, so that the mean is over all of them everywhere.
    """
    curves: dict[tuple[int, int], list[Curve]] = {}
    for record in judged(evidence):
        curves.setdefault((record.search, record.number), []).append(_curve(record))
    epochs = np.unique(np.concatenate([curve.x for of_repeat in curves.values() for curve in of_repeat]))
    repeats = np.array([_mean_best(of_repeat, epochs) for of_repeat in curves.values()])
    return Curve(epochs * iterations_per_epoch, repeats.mean(axis=0), half_widths(repeats, [one for one, _ in curves]))


class Pace(NamedTuple):
    """Epochs to the best score: mean over folds, then over `n` repeats, `half` as of a `Curve`."""

    mean: float
    half: float | None
    n: int


def epochs_to_best(evidence: Evidence) -> Pace | None:
    """Give how many epochs a training took to its best score; `None` where none was validated."""
    by_repeat: dict[tuple[int, int], list[int]] = {}
    for record in judged(evidence):
        if record.best_epoch is not None:
            by_repeat.setdefault((record.search, record.number), []).append(record.best_epoch)
    repeats = [mean(epochs) for epochs in by_repeat.values()]
    if not repeats:
        return None
    return Pace(mean(repeats), half_width(repeats, [search for search, _ in by_repeat]), len(repeats))


def half_widths(repeats: Values, searches: Sequence[int]) -> Values | None:
    """Give the half width of `half_width` at each point, `(points,)`, of `(repeats, points)`; `None` where it is."""
    found = [half_width(values, searches) for values in repeats.T.tolist()]
    known = [half for half in found if half is not None]
    return np.array(known) if known else None


def judged(evidence: Evidence) -> list[FoldRecord]:
    """Give the repeats' trainings that have a history: of two stages the second, or else the first."""
    validated = [record for record in evidence.final if record.history]
    return [record for record in validated if record.stage != "schedule"] or validated


def _curve(record: FoldRecord) -> Curve:
    epochs, scores = np.array(record.history, dtype=np.float64).T
    return Curve(epochs, scores)


def _mean_best(curves: Sequence[Curve], epochs: Values) -> Values:
    best = [np.maximum.accumulate(curve.y)[np.searchsorted(curve.x, epochs, side="right") - 1] for curve in curves]
    return np.asarray(np.mean(best, axis=0))
