"""From records to the rows of the leaderboard: pure functions, so the same ledger gives the same bytes anywhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mlrc.results.boards.mixtures import mixtures
from mlrc.results.records.evidence import Evidence, PerClass, gather
from mlrc.results.records.invariants import require_sound
from mlrc.results.records.ledger import Records
from mlrc.results.records.metric_names import RANKED_BY, SETTINGS, WITHOUT_CLASSES, metric_order, table_metrics
from mlrc.results.records.record import BASELINES, UNTRAINED, Environment, FoldRecord, ProtocolRecord, RunRecord
from mlrc.results.statistics.exact import DECIMALS, deviation, mean
from mlrc.results.statistics.intervals import Interval, class_intervals, half_width
from mlrc.results.statistics.pairs import Contest, contest
from mlrc.results.statistics.ranks import Ranks

Name = tuple[str, str]
"""Setting and metric."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of `leaderboard.csv`: a metric of a loss on a dataset under a protocol.

    Attributes:
        protocol: name, with the `digest` over all its numbers.
        setting: `separated` or `concatenated`.
        mean: over the repeats, percent; `ci95` is the half width of its Student-t interval, `None` for one repeat.
        n: number of repeats.
        classes: interval over test classes, percent; `None` where the per-class sums are missing.
        diverged: trials of the search in which a fold diverged or failed, of `trials` that were made.
        commit: of the code that made the repeats; several are joined by a space.
        sd: standard deviation over the repeats, ddof 1, percent, as papers of losses print it; `None` for one repeat.
        ranks: from the best to the worst place in this metric, with whether the loss `could_be_best`; `None` where it
            is not compared.
        searches: independent searches that the repeats come from, over which `ci95` is where there are several.
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
    sd: float | None = None
    ranks: Ranks | None = None
    could_be_best: bool | None = None
    searches: int = 1

    @property
    def units(self) -> int:
        """How many independent values the mean is of: searches where there are several, or else repeats."""
        return self.searches if self.searches > 1 else self.n


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """One line of `cost.csv`: what a loss on a dataset under a protocol took.

    Attributes:
        jobs: number of trainings.
        search_hours: device time of the search's trainings; `final_hours` of the repeats'.
        devices: names, joined by a space.
        processor_hours: of all its trainings; `None` where one of them does not tell.
    """

    dataset: str
    protocol: str
    digest: str
    loss: str
    jobs: int
    search_hours: float
    final_hours: float
    devices: str
    processor_hours: float | None = None


@dataclass(frozen=True, kw_only=True)
class Board:
    """One dataset under one protocol: what may be ranked together, and nothing else.

    Attributes:
        record: of the protocol; `None` where the ledger lacks it.
        evidence: of each loss, in the order of the rows.
        rows: of all losses that have a finished repeat, the highest mean first, the untrained trunk last.
        contests: (setting, metric) to the comparison of all losses but the untrained trunk, for the metrics of the
            printed tables; absent where there is nothing to compare.
        notes: what a reader must know of single losses.
        verified: loss to how many of its trainings someone did again, such as `3 of 24 folds`; empty where nobody did.
        ranked: setting to the per-class sums `(repeats, classes)` by which each loss is ranked, the untrained trunk's
            included; with `counts` `(classes,)`, the queries of each class.
    """

    dataset: str
    protocol: str
    digest: str
    record: ProtocolRecord | None
    evidence: tuple[Evidence, ...]
    rows: tuple[Row, ...]
    contests: Mapping[Name, Contest]
    notes: tuple[str, ...]
    verified: Mapping[str, str] = field(default_factory=dict)
    ranked: Mapping[str, Mapping[str, NDArray[np.float64]]] = field(default_factory=dict)
    counts: NDArray[np.int64] | None = None

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses that have rows, in their order."""
        return tuple(dict.fromkeys(row.loss for row in self.rows))

    @property
    def settings(self) -> tuple[str, ...]:
        """The column groups of the printed tables, the concatenation first as in the paper; one model has none."""
        return ("separated",) if all(len(run.fold_keys) == 1 for run in self.runs) else SETTINGS[::-1]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the printed tables."""
        return table_metrics((row.metric for row in self.rows), traditional=self.traditional)

    @property
    def traditional(self) -> bool:
        """Whether nothing was selected on validation classes, as in the papers of most losses."""
        return self.record is not None and self.record.traditional

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """All repeats."""
        return tuple(run for one in self.evidence for run in one.runs)

    @property
    def environments(self) -> tuple[Environment, ...]:
        """Where all records were made."""
        return tuple(
            environment
            for one in self.evidence
            for environment in (*(fold.environment for fold in one.folds), *(run.environment for run in one.runs))
        )


def boards(records: Records, per_class: Mapping[str, PerClass]) -> list[Board]:
    """Give every dataset under every protocol, sorted by dataset, protocol and digest.

    Args:
        records: of a ledger.
        per_class: run key to its per-class sums, as far as they are there; each is read once.

    Raises:
        ValueError: the numbers of a repeat contradict each other.
    """
    groups = groupby(gather(records), key=lambda one: (one.dataset, one.protocol, one.digest))
    torn = ["The last line of the ledger is half written, so what it was to record is left out."] * records.torn
    return [_board(tuple(group), records.protocols.get(digest), per_class, torn) for (*_, digest), group in groups]


def costs(board: Board) -> list[CostRow]:
    """Give the cost of every loss of a board."""
    return [
        CostRow(
            dataset=one.dataset,
            protocol=one.protocol,
            digest=one.digest,
            loss=one.loss,
            jobs=len(one.folds),
            search_hours=_hours(one.search),
            final_hours=_hours(one.final),
            devices=" ".join(sorted({record.environment.device for record in one.folds})),
            processor_hours=_processor_hours(one.folds),
        )
        for one in board.evidence
        if one.folds
    ]


def _hours(folds: Sequence[FoldRecord]) -> float:
    """Give device hours; of several trainings at once on one device each had a share."""
    return math.fsum(record.seconds * record.share for record in folds) / 3600


def _processor_hours(folds: Sequence[FoldRecord]) -> float | None:
    told = [record.processor_seconds for record in folds if record.processor_seconds is not None]
    return math.fsum(told) / 3600 if len(told) == len(folds) else None


def _board(
    evidence: tuple[Evidence, ...],
    record: ProtocolRecord | None,
    per_class: Mapping[str, PerClass],
    torn: Sequence[str],
) -> Board:
    notes = [*torn, *(note for one in evidence for note in one.notes), *mixtures(evidence)]
    traditional = record is not None and record.traditional
    rows: list[Row] = []
    sums: dict[Name, dict[str, NDArray[np.float64]]] = {}
    ranked: dict[str, dict[str, NDArray[np.float64]]] = {}
    counts = np.zeros(0, dtype=np.int64)
    for one in evidence:
        repeats = [per_class[run.key] for run in one.runs if run.key in per_class]
        complete = len(repeats) == len(one.runs)
        for run, of_run in zip(one.runs, repeats if complete else [None] * len(one.runs), strict=True):
            require_sound(run, of_run)
        if not complete:
            notes.append(f"{one.loss}: per-class sums are missing, so it is compared with no other.")
        mine = _rows(one, repeats if complete else [])
        rows += mine
        if not mine or not complete:
            continue
        counts = repeats[0]["counts"].astype(np.int64)
        for setting in SETTINGS:
            if all(f"{setting}/{RANKED_BY}" in repeat for repeat in repeats):
                ranked.setdefault(setting, {})[one.loss] = np.stack(
                    [repeat[f"{setting}/{RANKED_BY}"] for repeat in repeats]
                )
        if one.loss not in BASELINES:
            for name in _table_names(mine, traditional=traditional):
                sums.setdefault(name, {})[one.loss] = np.stack([repeat["/".join(name)] for repeat in repeats])
    searches = {one.loss: [run.search for run in one.runs] for one in evidence}
    judged = {name: contest(of_losses, counts, searches) for name, of_losses in sums.items()}
    contests = {name: one for name, one in judged.items() if one is not None}
    return Board(
        dataset=evidence[0].dataset,
        protocol=evidence[0].protocol,
        digest=evidence[0].digest,
        record=record,
        evidence=evidence,
        rows=tuple(_ranked(row, contests.get((row.setting, row.metric))) for row in in_order(rows)),
        contests=contests,
        notes=tuple(notes),
        ranked=ranked,
        counts=counts,
    )


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Give rows with the loss of the highest mean first, what no loss made last; equal means by name.

    The mean is that by which tables are ranked, of the concatenation (which is the one model where there is one).
    """
    metrics = sorted({row.metric for row in rows}, key=lambda metric: (metric != RANKED_BY, metric_order(metric)))
    means = {row.loss: row.mean for row in rows if (row.setting, row.metric) == (SETTINGS[-1], metrics[0])}
    return sorted(
        rows,
        key=lambda row: (row.loss == UNTRAINED, row.loss in BASELINES, -round(means[row.loss], DECIMALS), row.loss),
    )


def _ranked(row: Row, contest: Contest | None) -> Row:
    if contest is None or row.loss not in contest.ranks:
        return row
    return replace(row, ranks=contest.ranks[row.loss], could_be_best=row.loss in contest.best)


def _table_names(rows: Sequence[Row], *, traditional: bool) -> list[Name]:
    shown = table_metrics((row.metric for row in rows), traditional=traditional)
    return [(setting, metric) for setting in SETTINGS for metric in shown if metric not in WITHOUT_CLASSES]


def _rows(evidence: Evidence, per_class: Sequence[PerClass]) -> list[Row]:
    runs = evidence.runs
    trials = [done for one in evidence.by_search for done in one.trials.values()]
    if not runs:
        return []
    metrics = sorted(set.intersection(*(set(run.separated) & set(run.concatenated) for run in runs)), key=metric_order)
    names = [(setting, metric) for setting in SETTINGS for metric in metrics]
    intervals = _class_intervals(names, per_class)
    searches = [run.search for run in runs]
    rows = []
    for setting, metric in names:
        values = [run.scores(setting)[metric] for run in runs]
        rows.append(
            Row(
                dataset=evidence.dataset,
                protocol=evidence.protocol,
                digest=evidence.digest,
                loss=evidence.loss,
                setting=setting,
                metric=metric,
                mean=mean(values),
                ci95=half_width(values, searches),
                n=len(values),
                classes=intervals.get((setting, metric)),
                diverged=sum(not done for done in trials),
                trials=len(trials),
                commit=" ".join(sorted({run.environment.commit for run in runs})),
                sd=deviation(values) if len(values) > 1 else None,
                searches=len(set(searches)),
            )
        )
    return rows


def _class_intervals(names: Sequence[Name], per_class: Sequence[PerClass]) -> dict[Name, Interval]:
    if not per_class:
        return {}
    names = [(setting, metric) for setting, metric in names if metric not in WITHOUT_CLASSES]
    sums = np.array([[one["/".join(name)] for name in names] for one in per_class])
    intervals = class_intervals(sums, per_class[0]["counts"].astype(np.int64))
    return dict(zip(names, intervals, strict=True)) if intervals else {}
