"""From records to the rows of the leaderboard: a pure function, so the same ledger gives the same bytes anywhere."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from results.record import UNTRAINED, FoldRecord, RunRecord
from results.statistics import Interval, class_intervals, half_width

SETTINGS = ("separated", "concatenated")
PerClass = Mapping[str, NDArray[np.float64]]
"""The content of one `per_class/<run key>.npz`."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of `leaderboard.csv`: a metric of a loss on a dataset under a protocol.

    Attributes:
        protocol: name, with the `digest` over all its numbers.
        setting: `separated` or `concatenated`.
        mean: over the repeats, percent; `ci95` is the half width of its Student-t interval, `None` for one repeat.
        n: number of repeats.
        classes: bootstrap interval over test classes, percent; `None` where the per-class sums are missing.
        diverged: trials of the search in which a fold diverged or failed, of `trials` that were made.
        commit: of the code that made the repeats; several are joined by a space.
    """

    dataset: str
    protocol: str
    digest: str
    loss: str
    setting: str
    metric: str
    mean: float
    ci95: float | None
    n: int
    classes: Interval | None
    diverged: int
    trials: int
    commit: str


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """One line of `cost.csv`: what a loss on a dataset under a protocol took.

    Attributes:
        search_hours: device time of the search's trainings; `final_hours` of the repeats'.
        jobs: number of trainings.
        devices: names, joined by a space.
    """

    dataset: str
    protocol: str
    digest: str
    loss: str
    jobs: int
    search_hours: float
    final_hours: float
    devices: str


Group = tuple[str, str, str, str]
"""Dataset, protocol, digest, loss."""
R = TypeVar("R", FoldRecord, RunRecord)


def leaderboard(folds: Iterable[FoldRecord], runs: Iterable[RunRecord], per_class: Mapping[str, PerClass]) -> list[Row]:
    """Give the rows of all repeats, sorted by dataset, protocol, loss (the untrained trunk first), setting and metric.

    Args:
        folds: every fold record.
        runs: every run record.
        per_class: run key to its per-class sums, as far as they are there.
    """
    searched = _by_group(record for record in folds if record.stage == "search")
    rows = []
    for group, members in sorted(_by_group(runs).items(), key=lambda item: _order(item[0])):
        trials: dict[int, bool] = {}
        for record in searched.get(group, ()):
            trials[record.number] = trials.get(record.number, False) or record.outcome != "done"
        members.sort(key=lambda run: run.number)
        commits = " ".join(sorted({run.environment.commit for run in members}))
        intervals = _class_intervals(members, per_class)
        for setting in SETTINGS:
            scores = [run.separated if setting == "separated" else run.concatenated for run in members]
            for metric in scores[0]:
                values = [score[metric] for score in scores]
                rows.append(
                    Row(
                        dataset=group[0],
                        protocol=group[1],
                        digest=group[2],
                        loss=group[3],
                        setting=setting,
                        metric=metric,
                        mean=float(np.mean(values)),
                        ci95=half_width(values),
                        n=len(values),
                        classes=intervals.get((setting, metric)),
                        diverged=sum(trials.values()),
                        trials=len(trials),
                        commit=commits,
                    )
                )
    return rows


def costs(folds: Iterable[FoldRecord]) -> list[CostRow]:
    """Give the cost of every loss on every dataset under every protocol."""
    rows = []
    for group, members in sorted(_by_group(folds).items(), key=lambda item: _order(item[0])):
        search = sum(record.seconds for record in members if record.stage == "search")
        rows.append(
            CostRow(
                dataset=group[0],
                protocol=group[1],
                digest=group[2],
                loss=group[3],
                jobs=len(members),
                search_hours=search / 3600,
                final_hours=(sum(record.seconds for record in members) - search) / 3600,
                devices=" ".join(sorted({record.environment.device for record in members})),
            )
        )
    return rows


def _by_group(records: Iterable[R]) -> dict[Group, list[R]]:
    groups: dict[Group, list[R]] = {}
    for record in records:
        groups.setdefault((record.dataset, record.protocol, record.digest, record.loss), []).append(record)
    return groups


def _order(group: Group) -> tuple[str, str, str, bool, str]:
    dataset, protocol, digest, loss = group
    return dataset, protocol, digest, loss != UNTRAINED, loss


def _class_intervals(runs: list[RunRecord], per_class: Mapping[str, PerClass]) -> dict[tuple[str, str], Interval]:
    if any(run.key not in per_class for run in runs):
        return {}
    sums = [per_class[run.key] for run in runs]
    names = [(setting, metric) for setting in SETTINGS for metric in runs[0].separated]
    means = np.array([np.mean([one["/".join(name)] for one in sums], axis=0) for name in names])
    intervals = class_intervals(means, sums[0]["counts"].astype(np.int64))
    return dict(zip(names, intervals, strict=True)) if intervals else {}
