"""What must hold between the numbers of any repeat, whatever the loss: a table that breaks it is not printed."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from mlrc.results.records.evidence import PerClass
from mlrc.results.records.metric_names import SAME_NUMBER, SETTINGS, WITHOUT_CLASSES, metric_order
from mlrc.results.records.record import RunRecord

TOLERANCE = 1e-6
"""Percent; sums of the same fractions in another order differ by less."""


def broken(run: RunRecord, per_class: PerClass | None) -> list[str]:
    """Say in sentences which rules the scores of a repeat break; usually none.

    Args:
        run: the repeat.
        per_class: its per-class sums, if they are there.
    """
    found = []
    for setting in SETTINGS:
        scores = run.scores(setting)
        found += [f"{setting} {sentence}" for sentence in _broken_scores(scores)]
        if per_class is not None:
            found += [f"{setting} {sentence}" for sentence in _broken_sums(scores, per_class, setting)]
    if per_class is not None and len(per_class["counts"]) > run.test_classes:
        found.append(
            f"per-class sums must be of {run.test_classes} test classes, but are of {len(per_class['counts'])}"
        )
    return found


def require_sound(run: RunRecord, per_class: PerClass | None) -> None:
    """Raise `ValueError` when the numbers of a repeat cannot all be true."""
    sentences = broken(run, per_class)
    if sentences:
        raise ValueError(
            f"Repeat {run.number} of {run.loss} on {run.dataset} (run {run.key}) cannot be true: {sentences[0]}. "
            "Its ledger line or per-class file was altered, or a metric is at fault; nothing was written."
        )


def _broken_scores(scores: Mapping[str, float]) -> list[str]:
    found = [
        f"{name} must lie in [0, 100], but is {value}"
        for name, value in scores.items()
        if not -TOLERANCE <= value <= 100 + TOLERANCE
    ]
    at_one = {name: scores[name] for name in ("P@1", *SAME_NUMBER) if name in scores}
    if at_one and max(at_one.values()) - min(at_one.values()) > TOLERANCE:
        found.append(f"{' = '.join(at_one)} must hold, but they are {', '.join(map(str, at_one.values()))}")
    if scores.get("MAP@R", 0) > scores.get("RP", 100) + TOLERANCE:
        found.append(f"MAP@R ≤ RP must hold, but they are {scores['MAP@R']} and {scores['RP']}")
    hits = sorted((name for name in scores if name.startswith("R@")), key=metric_order)
    found += [
        f"{low} ≤ {high} must hold, but they are {scores[low]} and {scores[high]}"
        for low, high in pairwise(hits)
        if scores[low] > scores[high] + TOLERANCE
    ]
    return found


def _broken_sums(scores: Mapping[str, float], per_class: PerClass, setting: str) -> list[str]:
    queries = per_class["counts"].sum()
    found = []
    for name, value in scores.items():
        if name in WITHOUT_CLASSES:
            continue
        sums = per_class.get(f"{setting}/{name}")
        if sums is None:
            found.append(f"{name} has no per-class sums")
        elif not np.isclose(100 * sums.sum() / queries, value, rtol=0, atol=TOLERANCE):
            found.append(f"{name} must be what its per-class sums give, {100 * sums.sum() / queries}, but is {value}")
    return found
