"""Sweeps as CSV and Markdown, with the sentences that a reader needs."""

from collections.abc import Iterator, Sequence
from io import StringIO

import pandas as pd

from mlrc.results.boards.papers import Printed
from mlrc.results.boards.sweep import Point, Score, SweepTable
from mlrc.results.records.metric_names import SAME_NUMBER, SETTINGS, metric_order, table_metrics
from mlrc.results.rendering.caption import common_changes, told_parameters, training_rules


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
    yield from table.notes
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
