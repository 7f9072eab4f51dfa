"""What must hold between the repeats of a board, whichever losses and folders of evidence they come from."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from mlrc.results.records.evidence import PerClass
from mlrc.results.records.metric_names import SETTINGS
from mlrc.results.records.record import BASELINES, RunRecord

Group = tuple[str, str, str]
"""Dataset, digest of the protocol, fingerprint."""


def across(runs: Iterable[RunRecord], per_class: Mapping[str, PerClass]) -> list[str]:
    """Say in sentences which repeats cannot stand in one table.

    Args:
        runs: of any boards.
        per_class: run key to its per-class sums, of those whose sums can be read.
    """
    boards: dict[Group, list[RunRecord]] = {}
    for run in runs:
        boards.setdefault((run.dataset, run.digest, run.fingerprint), []).append(run)
    return [
        f"{dataset} under {of_board[0].protocol} ({digest}): {sentence}"
        for (dataset, digest, _), of_board in sorted(boards.items())
        for sentence in _of_board(of_board, per_class)
    ]


def _of_board(runs: Sequence[RunRecord], per_class: Mapping[str, PerClass]) -> Iterator[str]:
    splits = Counter(map(_split, runs))
    usual = splits.most_common(1)[0][0]
    yield from (
        f"repeat {run.number} of {run.loss} is of another split than the others: {_told(_split(run))} in place of "
        f"{_told(usual)}"
        for run in runs
        if _split(run) != usual
    )
    metrics = Counter(map(_metrics, runs)).most_common(1)[0][0]
    for run in runs:
        if apart := sorted(_metrics(run) ^ metrics):
            yield f"repeat {run.number} of {run.loss} must have the metrics of the others, but differs in {apart[0]}"
    yield from _classes(runs, per_class)
    yield from _copies(runs, per_class)


def _split(run: RunRecord) -> tuple[object, ...]:
    return run.cut, run.test_classes, run.test_images, run.queries, run.cameras, run.left_out


def _told(split: tuple[object, ...]) -> str:
    names = ("cut", "test classes", "test images", "queries", "cameras", "left out")
    return ", ".join(f"{name} {value}" for name, value in zip(names, split, strict=True) if value is not None)


def _metrics(run: RunRecord) -> frozenset[str]:
    return frozenset(f"{setting} {name}" for setting in SETTINGS for name in run.scores(setting))


def _classes(runs: Sequence[RunRecord], per_class: Mapping[str, PerClass]) -> Iterator[str]:
    """Compare classes and counts with those that most repeats of the board have."""
    there = {run.key: per_class[run.key] for run in runs if run.key in per_class}
    content = {
        key: (sums["classes"].astype(np.int64).tobytes(), sums["counts"].astype(np.int64).tobytes())
        for key, sums in there.items()
        if {"classes", "counts"} <= set(sums)
    }
    if not content:
        return
    usual = Counter(content.values()).most_common(1)[0][0]
    for run in runs:
        if run.key in content and content[run.key] != usual:
            yield f"repeat {run.number} of {run.loss} has other test classes or counts of queries than the others"


def _copies(runs: Sequence[RunRecord], per_class: Mapping[str, PerClass]) -> Iterator[str]:
    """Name repeats that are too equal to have been trained apart."""
    seen: dict[tuple[bytes, ...], RunRecord] = {}
    for run in runs:
        sums = per_class.get(run.key)
        if sums is None or "counts" not in sums or run.loss in BASELINES:
            continue
        told = [sums[name] for name in sorted(sums) if "/" in name]
        if all(((one == 0) | (one == sums["counts"])).all() for one in told):
            continue  # all right or all wrong: two honest repeats can be so
        other = seen.setdefault(tuple(values.tobytes() for values in told), run)
        if other is not run:
            yield (
                f"repeat {run.number} of {run.loss} has the very sums of repeat {other.number} of {other.loss}, class "
                "by class, as no two trainings have"
            )
