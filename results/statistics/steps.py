"""Scores against the steps of training and the time that they took, as papers show how fast a loss converges."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlrc.results.records.evidence import Evidence
from mlrc.results.records.record import FoldRecord
from mlrc.results.statistics.curves import half_widths, judged
from mlrc.results.statistics.exact import mean

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a loss came along.

    Attributes:
        steps: `(points,)`, those after which some training was validated.
        scores: `(points,)`, percent: each training's latest validation, mean over folds, then over repeats.
        half: `(points,)`, half width of a 95 % interval over repeats; `None` for one repeat.
        seconds_per_step: wall time of all trainings, validations included, over the number of all their steps.
    """

    steps: Values
    scores: Values
    half: Values | None
    seconds_per_step: float


def course(evidence: Evidence) -> Course | None:
    """Give the course of a loss; `None` where no repeat was validated, or where one does not tell its steps."""
    records = judged(evidence)
    made = [record.iterations or 0 for record in records]
    if not records or not all(made) or not all(record.history[-1][0] for record in records):
        return None
    steps = np.unique(np.concatenate([_steps(record) for record in records]))
    by_repeat: dict[tuple[int, int], list[Values]] = {}
    for record in records:
        by_repeat.setdefault((record.search, record.number), []).append(_latest(record, steps))
    repeats = np.array([np.mean(of_folds, axis=0) for of_folds in by_repeat.values()])
    half = half_widths(repeats, [search for search, _ in by_repeat])
    pace = mean([record.seconds for record in records]) / mean(made)
    return Course(steps=steps, scores=repeats.mean(axis=0), half=half, seconds_per_step=pace)


def _steps(record: FoldRecord) -> Values:
    """Give the steps after which a training was validated; the last validation is at its end."""
    epochs = np.array([epoch for epoch, _ in record.history], dtype=np.float64)
    return np.asarray(np.rint(epochs * (record.iterations or 0) / epochs[-1]))


def _latest(record: FoldRecord, steps: Values) -> Values:
    scores = np.array([score for _, score in record.history])
    places = np.searchsorted(_steps(record), steps, side="right") - 1
    return np.asarray(scores[np.maximum(places, 0)])
