"""The numbers that papers print, and the reference rows that they give beside ours."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import StringIO

from mlrc.results.records.metric_names import SAME_NUMBER
from mlrc.results.records.record import UNTRAINED

REDUCED = (
    "; its trunk's features brought to 512 dimensions (concatenated) and 128 (separated), another quantity than the "
    "row untrained, which is all of the pooled trunk in both settings"
)
"""What tells a paper's row without training from ours."""
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


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A row of a paper, shown below ours and never ranked with them.

    Attributes:
        loss: our name of the loss that it belongs to.
        title: what the row is called.
        values: (setting, metric) to percent.
        source: where the numbers are printed.
    """

    loss: str
    title: str
    values: Mapping[tuple[str, str], float]
    source: str


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
        told = f"{source}, {place}{REDUCED if loss == UNTRAINED else ''}"
        reference = Reference(loss=loss, title=f"{title} (paper)", values=of_row, source=told)
        found.setdefault((dataset, protocol), []).append(reference)
    return found
