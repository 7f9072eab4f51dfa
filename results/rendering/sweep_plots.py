"""The plots of a sweep: a line with intervals for one factor, a heat map for two."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mlrc.results.boards.sweep import SweepTable
from mlrc.results.records.metric_names import PAPER_METRICS, SAME_NUMBER
from mlrc.results.rendering.plots import COLOURS, Plot, drawn

METRICS = (PAPER_METRICS[0], PAPER_METRICS[-1])
"""What is drawn, side by side."""
LOGARITHMIC = 20
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


def sweep_plot(table: SweepTable) -> Plot | None:
    """Draw a sweep; `None` while no repeat of it is finished."""
    if not any(point.scores for point in table.points):
        return None
    record = table.record
    if len(record.factors) == 1:
        told = "Dot: mean over repeats, bar: its 95 % interval. Dashed: what the paper prints on this dataset."
        return drawn(record.name, record.title, told, lambda: _lines(table))
    return drawn(record.name, record.title, f"Mean over repeats, {table.settings[0]}.", lambda: _maps(table))


def _lines(table: SweepTable) -> Figure:
    labels = [point.asked.labels[0] for point in table.points]
    places, logarithmic = _places(labels)
    ordered = places != list(range(len(labels)))
    figure = Figure(figsize=(8, 3.6))
    for axes, metric in zip(figure.subplots(1, len(METRICS)), METRICS, strict=True):
        for setting, colour in zip(table.settings, COLOURS, strict=False):
            found = [
                (place, point.scores.get((setting, metric))) for place, point in zip(places, table.points, strict=True)
            ]
            known = [(place, score) for place, score in found if score is not None]
            axes.errorbar(
                [place for place, _ in known],
                [score.mean for _, score in known],
                yerr=[score.ci95 or 0.0 for _, score in known],
                color=colour,
                fmt="o-" if ordered else "o",
                markersize=4,
                capsize=3,
                label=setting if len(table.settings) > 1 else "ours",
            )
        _paper(axes, table, metric, places)
        low, high = axes.get_ylim()
        axes.set_ylim(max(0.0, low), min(100.0, high))
        if logarithmic:
            axes.set_xscale("log")
        axes.set_xticks(places, labels)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(table.record.factors[0])
        axes.set_ylabel(f"{metric} (%)")
        if len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend()
    return figure


def _paper(axes: Axes, table: SweepTable, metric: str, places: Sequence[float]) -> None:
    known = [
        (place, one.mean)
        for place, point in zip(places, table.points, strict=True)
        for (dataset, name), one in point.printed.items()
        if dataset == table.record.dataset and SAME_NUMBER.get(name, name) == metric
    ]
    if known:
        axes.plot(*zip(*known, strict=True), "--", color="#777777", marker="x", label="paper")


def _places(labels: Sequence[str]) -> tuple[list[float], bool]:
    """Give where labels stand on the axis, and whether it is logarithmic: numbers by value, words in their order."""
    try:
        values = [float(Fraction(label)) for label in labels]
    except ValueError:
        return [float(place) for place in range(len(labels))], False
    if min(values) <= 0 < LOGARITHMIC * min((value for value in values if value > 0), default=0) < max(values):
        return [float(place) for place in range(len(labels))], False  # zero has no place on a logarithmic axis
    return values, min(values) > 0 and max(values) > LOGARITHMIC * min(values)


def _maps(table: SweepTable) -> Figure:
    rows, columns = (list(dict.fromkeys(point.asked.labels[axis] for point in table.points)) for axis in (0, 1))
    figure = Figure(figsize=(1.5 + 1.3 * len(columns) * len(METRICS), 1.4 + 0.5 * len(rows)))
    for axes, metric in zip(figure.subplots(1, len(METRICS)), METRICS, strict=True):
        values = np.full((len(rows), len(columns)), np.nan)
        for point in table.points:
            if score := point.scores.get((table.settings[0], metric)):
                values[rows.index(point.asked.labels[0]), columns.index(point.asked.labels[1])] = score.mean
        axes.imshow(values, cmap="viridis", aspect="auto")
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "black" if value > middle else "white"
                axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.set_xlabel(table.record.factors[1])
        axes.set_ylabel(table.record.factors[0])
        axes.set_title(f"{metric} (%)")
        axes.grid(visible=False)
    return figure
