"""The numbers that papers print: reference rows beside ours, and a page of them all."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import StringIO

from mlrc.results.records.metric_names import SAME_NUMBER, SETTINGS, metric_order
from mlrc.results.rendering.table import ABSENT, Reference

_COLUMNS = ("source", "protocol", "dataset", "loss", "title", "place", "setting", "metric", "mean", "sd")


@dataclass(frozen=True, kw_only=True)
class Printed:
    """One number of a paper.

    Attributes:
        source: the paper.
        protocol: our protocol that follows the paper's; empty where there is none.
        loss: our name of the loss; empty where we have none.
        title: the paper's name of the loss.
        place: where in the paper, and under which conditions.
        setting: `separated`, `concatenated`, or empty where the paper knows one embedding only.
        mean: percent; `sd`: the standard deviation that it prints, or `None`.
    """

    source: str
    protocol: str
    dataset: str
    loss: str
    title: str
    place: str
    setting: str
    metric: str
    mean: float
    sd: float | None


def read_papers(text: str) -> list[Printed]:
    """Read `papers.csv`.

    Raises:
        ValueError: a column is missing, or a cell holds no number where one must be.
    """
    rows = csv.DictReader(StringIO(text))
    if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        raise ValueError(f"The table of the papers' numbers must have the column {missing[0]}, but it lacks it.")
    return [
        Printed(
            **{name: row[name] for name in _COLUMNS if name not in ("mean", "sd")},
            mean=float(row["mean"]),
            sd=float(row["sd"]) if row["sd"] else None,
        )
        for row in rows
    ]


def references(printed: Iterable[Printed]) -> dict[tuple[str, str], list[Reference]]:
    """Give (dataset, protocol) to the rows that stand beside ours; a paper's one embedding stands under separated."""
    values: dict[tuple[str, ...], dict[tuple[str, str], float]] = {}
    for one in printed:
        if one.protocol and one.loss:
            row = (one.dataset, one.protocol, one.loss, one.title, one.source, one.place)
            metric = SAME_NUMBER.get(one.metric, one.metric)
            values.setdefault(row, {})[one.setting or "separated", metric] = one.mean
    found: dict[tuple[str, str], list[Reference]] = {}
    for (dataset, protocol, loss, title, source, place), of_row in values.items():
        reference = Reference(loss=loss, title=f"{title} (paper)", values=of_row, source=f"{source}, {place}")
        found.setdefault((dataset, protocol), []).append(reference)
    return found


def papers_markdown(printed: Sequence[Printed]) -> str:
    """Give a page with a table per paper and dataset."""
    sections = ["# Numbers that the papers print\n\nPercent; ± is the standard deviation that the paper gives.\n"]
    for source, dataset in dict.fromkeys((one.source, one.dataset) for one in printed):
        mine = [one for one in printed if (one.source, one.dataset) == (source, dataset)]
        columns = sorted({(one.setting, one.metric) for one in mine}, key=_column_order)
        header = ["loss", "place", *(f"{setting} {metric}".strip() for setting, metric in columns)]
        lines = [header, ["---", "---", *("---:" for _ in columns)]]
        for title, place in dict.fromkeys((one.title, one.place) for one in mine):
            cells = {(one.setting, one.metric): one for one in mine if (one.title, one.place) == (title, place)}
            lines.append([title, place, *(_cell(cells.get(column)) for column in columns)])
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        sections.append(f"## {source}, {dataset}\n\n{table}")
    return "\n".join(sections)


def _column_order(column: tuple[str, str]) -> tuple[int, tuple[int, int, int, str]]:
    setting, metric = column
    return -SETTINGS.index(setting) if setting in SETTINGS else 0, metric_order(metric)


def _cell(printed: Printed | None) -> str:
    if printed is None:
        return ABSENT
    return f"{printed.mean:g}" + ("" if printed.sd is None else f" ± {printed.sd:g}")
