"""Sweeps from records to numbers and tables: each point's scores over its repeats, and what papers print of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

import pandas as pd

from results.caption import common_changes, told_parameters, training_rules
from results.exact import deviation, mean
from results.ledger import Records
from results.metric_names import SAME_NUMBER, SETTINGS, metric_order, table_metrics
from results.papers import Printed
from results.record import FoldRecord, ProtocolRecord, RunRecord, SweepPoint, SweepRecord
from results.statistics import half_width

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
    """

    record: SweepRecord
    points: tuple[Point, ...]
    settings: tuple[str, ...]
    metrics: tuple[str, ...]
    commits: tuple[str, ...]
    devices: tuple[str, ...]


def sweep_tables(records: Records, papers: Sequence[Printed] = ()) -> list[SweepTable]:
    """Give every sweep of a ledger."""
    return [_table(record, records, papers) for record in records.sweeps.values()]


def sweep_csv(tables: Sequence[SweepTable]) -> str:
    """Give `sweep.csv`: one row per sweep, point, setting and metric, in percent with four decimals."""
    rows = [
        {
            "sweep": table.record.name,
            "dataset": table.record.dataset,
            "protocol": point.protocol,
            "digest": point.asked.digest,
            "loss": point.asked.loss,
            "factors": " × ".join(table.record.factors),
            "point": " × ".join(point.asked.labels),
            "setting": setting,
            "metric": metric,
            "mean": score.mean,
            "sd": score.sd,
            "ci95": score.ci95,
            "n": score.n,
        }
        for table in tables
        for point in table.points
        for (setting, metric), score in sorted(point.scores.items(), key=_in_order)
        if setting in table.settings
    ]
    buffer = StringIO()
    pd.DataFrame(rows).to_csv(buffer, index=False, float_format="%.4f", lineterminator="\n")
    return buffer.getvalue()


def sweep_markdown(table: SweepTable) -> str:
    """Give a sweep as a Markdown table with its caption."""
    record = table.record
    shown = table_metrics(table.metrics)
    columns = [(setting, metric) for setting in table.settings for metric in shown]
    beside = sorted(
        {key for point in table.points for key in point.printed if SAME_NUMBER.get(key[1], key[1]) in shown}
    )
    heads = [
        *record.factors,
        *(metric if len(table.settings) == 1 else f"{setting[:4]}. {metric}" for setting, metric in columns),
        *(f"paper, {dataset}: {metric}" for dataset, metric in beside),
        "n",
    ]
    aligned = ["---"] * len(record.factors) + ["---:"] * (len(heads) - len(record.factors))
    lines = [f"## {record.title}", "", _row(heads), _row(aligned)]
    for point in table.points:
        scores = [_told(point.scores.get(column)) for column in columns]
        printed = [_printed(point.printed.get(key)) for key in beside]
        lines.append(_row([*point.asked.labels, *scores, *printed, str(_n(point))]))
    return "\n".join([*lines, "", " ".join(caption(table)), ""])


def caption(table: SweepTable) -> Iterator[str]:
    """Give the sentences below a sweep."""
    record = table.record
    losses = sorted({point.asked.loss for point in table.points})
    rules = [point.rules for point in table.points if point.rules]
    protocols = sorted({one.parent for one in rules})
    yield f"{record.dataset}, {' and '.join(losses)}, protocol {' and '.join(protocols)}; percent."
    if same := common_changes(rules):
        yield f"All differ from {' and '.join(protocols)} in {', '.join(same)}."
    yield from dict.fromkeys(sentence for one in rules for sentence in training_rules(one))
    if all(_n(point) < 2 for point in table.points):
        yield "One repeat, so no number has an interval or a standard deviation."
    else:
        yield "Mean over the repeats ± half width of its 95 % Student-t interval (standard deviation in brackets)."
    if len(table.settings) > 1:
        yield "Concatenated is an ensemble of the fold models; separated is the mean over them."
    if record.source:
        yield f"After {record.source}."
    given = told_parameters(dict(set.intersection(*(set(point.params.items()) for point in record.points))))
    yield f"Parameters were given, not searched{': ' if given else ''}{given}."
    if record.note:
        yield record.note
    missing = [
        " × ".join(point.asked.labels)
        for point in table.points
        if point.rules and _n(point) < point.rules.planned_repeats(point.asked.loss)
    ]
    if missing:
        yield f"Repeats are missing of {', '.join(missing)}: not done yet, diverged or failed."
    if table.commits:
        yield f"Made on {', '.join(table.devices)}; commit {', '.join(table.commits)}."


def _table(record: SweepRecord, records: Records, papers: Sequence[Printed]) -> SweepTable:
    runs = [[run for run in records.runs.values() if _is_of(point, record, run)] for point in record.points]
    points = tuple(_point(*of_point, records, papers) for of_point in zip(record.points, runs, strict=True))
    every = [run for of_point in runs for run in of_point]
    trainings = [fold for fold in records.folds.values() if any(_is_of(point, record, fold) for point in record.points)]
    one_model = all(len(run.fold_keys) == 1 for run in every)
    return SweepTable(
        record=record,
        points=points,
        settings=(ONE_MODEL,) if one_model else tuple(reversed(SETTINGS)),
        metrics=tuple(sorted({metric for run in every for metric in run.separated}, key=metric_order)),
        commits=tuple(sorted({run.environment.commit for run in every})),
        devices=tuple(sorted({fold.environment.device for fold in trainings})),
    )


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
        for one in papers
        if one.source == source and one.title.startswith(title) and one.place.startswith(place)
    }
    return Point(
        asked=asked,
        protocol=runs[0].protocol if runs else "",
        scores=scores,
        rules=records.protocols.get(asked.digest),
        printed=printed,
    )


def _n(point: Point) -> int:
    return max((score.n for score in point.scores.values()), default=0)


def _in_order(item: tuple[tuple[str, str], Score]) -> tuple[int, tuple[int, int, int, str]]:
    (setting, metric), _ = item
    return SETTINGS.index(setting), metric_order(metric)


def _told(score: Score | None) -> str:
    if score is None:
        return "–"
    if score.ci95 is None or score.sd is None:
        return f"{score.mean:.2f}"
    return f"{score.mean:.2f} ± {score.ci95:.2f} ({score.sd:.2f})"


def _printed(one: Printed | None) -> str:
    if one is None:
        return "–"
    return f"{one.mean:g}" if one.sd is None else f"{one.mean:g} ({one.sd:g})"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
