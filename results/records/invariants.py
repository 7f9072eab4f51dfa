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
    if per_class is not None and (wrong := _misshapen(per_class)):
        return [wrong]
    found = []
    for setting in SETTINGS:
        scores = run.scores(setting)
        found += [f"{setting} {sentence}" for sentence in _broken_scores(scores)]
        if per_class is not None:
            found += [f"{setting} {sentence}" for sentence in _broken_sums(scores, per_class, setting)]
    return found if per_class is None else [*found, *_broken_classes(run, per_class)]


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


def _misshapen(per_class: PerClass) -> str:
    for name in ("classes", "counts"):
        if name not in per_class:
            return f"per-class sums must tell their {name}, but do not"
    shape = per_class["counts"].shape
    for name, values in per_class.items():
        if values.shape != shape:
            return f"per-class sums must have one value for each of {shape} classes, but {name} has {values.shape}"
    return ""


def _broken_classes(run: RunRecord, per_class: PerClass) -> list[str]:
    classes, counts = per_class["classes"], per_class["counts"]
    found = []
    if len(counts) > run.test_classes:
        found.append(f"per-class sums must be of {run.test_classes} test classes, but are of {len(counts)}")
    if (np.diff(classes) <= 0).any():
        found.append("the classes of per-class sums must be told once each and in ascending order, but are not")
    if (counts < 1).any():
        found.append("each class of per-class sums must have a query, but one has none")
    return found


def _broken_sums(scores: Mapping[str, float], per_class: PerClass, setting: str) -> list[str]:
    queries = per_class["counts"].sum()
    found = _broken_in_a_class(per_class, setting)
    for name, value in scores.items():
        if name in WITHOUT_CLASSES:
            continue
        sums = per_class.get(f"{setting}/{name}")
        if sums is None:
            found.append(f"{name} has no per-class sums")
        elif not np.isclose(100 * sums.sum() / queries, value, rtol=0, atol=TOLERANCE):
            found.append(f"{name} must be what its per-class sums give, {100 * sums.sum() / queries}, but is {value}")
    return found


def _broken_in_a_class(per_class: PerClass, setting: str) -> list[str]:
    """Hold the sums of every class to the rules that the scores of all of them are held to."""
    classes, counts = per_class["classes"], per_class["counts"]
    sums = {
        name.removeprefix(f"{setting}/"): values for name, values in per_class.items() if name.startswith(f"{setting}/")
    }
    found = []
    for name, values in sums.items():
        outside = ~((values >= -TOLERANCE) & (values <= counts + TOLERANCE))
        if outside.any():
            at = int(outside.argmax())
            found.append(
                f"{name} of class {classes[at]} must lie within 0 and {counts[at]} queries, but is {values[at]}"
            )
    hits = sorted((name for name in sums if name.startswith("R@")), key=metric_order)
    for low, high in (("MAP@R", "RP"), *pairwise(hits), *SAME_NUMBER.items()):
        if low not in sums or high not in sums:
            continue
        apart, sign = sums[low] - sums[high], "≤"
        if SAME_NUMBER.get(low) == high:
            apart, sign = np.abs(apart), "="
        wrong = apart > TOLERANCE
        if wrong.any():
            at = int(wrong.argmax())
            found.append(
                f"{low} {sign} {high} must hold in every class, but in class {classes[at]} they are {sums[low][at]} "
                f"and {sums[high][at]}"
            )
    return found
