"""Sweeps from records to numbers: the scores of each point over its repeats, and what papers print of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlrc.results.boards.mixtures import mixtures_of
from mlrc.results.boards.papers import Printed
from mlrc.results.records.ledger import Records
from mlrc.results.records.metric_names import SETTINGS, metric_order
from mlrc.results.records.record import FoldRecord, ProtocolRecord, RunRecord, SweepPoint, SweepRecord
from mlrc.results.statistics.exact import deviation, mean
from mlrc.results.statistics.intervals import half_width

ONE_MODEL = "separated"
"""The setting shown where a repeat is one model, whose two settings are the same."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one point.

    Attributes:
        mean: over the repeats, percent, with the standard deviation `sd` (ddof 1) and the half width `ci95` of the
            Student-t interval of the mean; `None` for one repeat.
        n: number of repeats.
    """

    mean: float
    sd: float | None
    ci95: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Point:
    """One combination of the factors.

    Attributes:
        asked: the combination, as the sweep says it.
        protocol: name of its protocol; empty while no repeat is finished.
        scores: (setting, metric) to score; empty likewise.
        rules: its protocol; `None` where the ledger lacks it.
        printed: (dataset, metric) to what a paper prints of it.
    """

    asked: SweepPoint
    protocol: str
    scores: dict[tuple[str, str], Score]
    rules: ProtocolRecord | None
    printed: dict[tuple[str, str], Printed]


@dataclass(frozen=True, kw_only=True)
class SweepTable:
    """A sweep with what is known of it.

    Attributes:
        record: what was asked.
        points: in its order.
        settings: those that differ.
        metrics: in the order of the tables.
        commits: of the code, sorted.
        devices: likewise.
        notes: what a reader must know of single losses.
    """

    record: SweepRecord
    points: tuple[Point, ...]
    settings: tuple[str, ...]
    metrics: tuple[str, ...]
    commits: tuple[str, ...]
    devices: tuple[str, ...]
    notes: tuple[str, ...] = ()


def sweep_tables(records: Records, papers: Sequence[Printed] = ()) -> list[SweepTable]:
    """Give every sweep of a ledger."""
    return [_table(record, records, papers) for record in records.sweeps.values()]


def _table(record: SweepRecord, records: Records, papers: Sequence[Printed]) -> SweepTable:
    runs = [[run for run in records.runs.values() if _is_of(point, record, run)] for point in record.points]
    points = tuple(_point(*of_point, records, papers) for of_point in zip(record.points, runs, strict=True))
    every = [run for of_point in runs for run in of_point]
    trainings = [fold for fold in records.folds.values() if any(_is_of(point, record, fold) for point in record.points)]
    mine = {(point.digest, record.dataset, record.fingerprint, point.loss) for point in record.points}
    one_model = all(len(run.fold_keys) == 1 for run in every)
    return SweepTable(
        record=record,
        points=points,
        settings=(ONE_MODEL,) if one_model else tuple(reversed(SETTINGS)),
        metrics=tuple(sorted({metric for run in every for metric in run.separated}, key=metric_order)),
        commits=tuple(sorted({run.environment.commit for run in every})),
        devices=tuple(sorted({fold.environment.device for fold in trainings})),
        notes=(
            *sorted({one.note for identity, one in records.unchecked.items() if identity in mine}),
            *mixtures_of(_rows(record, trainings, runs)),
        ),
    )


def _rows(
    record: SweepRecord, trainings: Sequence[FoldRecord], runs: Sequence[Sequence[RunRecord]]
) -> list[tuple[str, Sequence[FoldRecord], Sequence[RunRecord]]]:
    """Give the rows of the points that have repeats, by what tells them apart."""
    return [
        (", ".join(point.labels), [fold for fold in trainings if _is_of(point, record, fold)], of_point)
        for point, of_point in zip(record.points, runs, strict=True)
        if of_point
    ]


def _is_of(point: SweepPoint, sweep: SweepRecord, record: FoldRecord | RunRecord) -> bool:
    mine = (sweep.dataset, sweep.fingerprint, point.loss, point.digest, dict(point.params))
    return mine == (record.dataset, record.fingerprint, record.loss, record.digest, dict(record.params))


def _point(asked: SweepPoint, runs: Sequence[RunRecord], records: Records, papers: Sequence[Printed]) -> Point:
    scores = {}
    for setting in SETTINGS:
        for metric in runs[0].separated if runs else ():
            values = [run.scores(setting)[metric] for run in sorted(runs, key=lambda run: run.number)]
            sd = deviation(values) if len(values) > 1 else None
            scores[setting, metric] = Score(mean=mean(values), sd=sd, ci95=half_width(values), n=len(values))
    printed = {
        (one.dataset, one.metric): one
        for source, title, place in asked.printed
        for one in placed(source, title, place, papers)
    }
    return Point(
        asked=asked,
        protocol=runs[0].protocol if runs else "",
        scores=scores,
        rules=records.protocols.get(asked.digest),
        printed=printed,
    )


def placed(source: str, title: str, place: str, papers: Sequence[Printed]) -> Sequence[Printed]:
    """Give the rows whose title and place begin so; where some have this very title, those alone."""
    found = [
        one for one in papers if one.source == source and one.title.startswith(title) and one.place.startswith(place)
    ]
    return [one for one in found if one.title == title] or found
