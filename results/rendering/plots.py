"""The plots of a board: values in, matplotlib figures out, and figures to bytes that are the same every time."""

from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from io import BytesIO
from textwrap import wrap
from typing import Any, Literal, NamedTuple

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlrc.results.boards.budget import budget_curves
from mlrc.results.boards.leaderboard import Board, Row
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.records.record import BASELINES
from mlrc.results.rendering.budget import drawn_curves, told_of
from mlrc.results.rendering.lines import curve_panels, fold_panels
from mlrc.results.rendering.strips import axis, dot, line, scale, strip
from mlrc.results.rendering.titles import Titles, loss_title
from mlrc.results.statistics.curves import Curve, Pace, convergence, epochs_to_best, validation

Importances = Mapping[str, Mapping[str, float]]
"""Loss to parameter to its share of importance, 0 … 1."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""M. Okabe, K. Ito: colours that people with colour-blind eyes tell apart."""
_STYLE_SHEET: dict[Any, Any] = {
    "svg.hashsalt": "mlrc",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
}


class Plot(NamedTuple):
    """A picture in two formats, with its name in files, its title and what a reader sees in it.

    `inline` is the same as a part of the page, where there is such a drawing.
    """

    name: str
    title: str
    told: str
    svg: bytes
    png: bytes
    inline: str = ""


def anchor(board: Board) -> str:
    """Give the name of a board in addresses and file names."""
    return "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in f"{board.dataset}-{board.digest}")


def plots(board: Board, importances: Importances | None = None, titles: Titles | None = None) -> list[Plot]:
    """Draw what there is to draw of a board."""
    fields = board.record.fields if board.record else {}
    metric = str(fields.get("selection_metric", RANKED_BY))
    what = "test" if fields.get("epoch_choice") == "best_on_test" else "validation"
    curves = {one.loss: validation(one) for one in board.evidence}
    budget = budget_curves(board)
    searches = drawn_curves(budget)
    per_epoch = fields.get("iterations_per_epoch")
    converged = {one.loss: convergence(one, int(per_epoch or 1)) for one in board.evidence if curves[one.loss]}
    paces = {one.loss: epochs_to_best(one) for one in board.evidence}
    unit = "iterations" if per_epoch else "epochs"
    name = anchor(board)
    inline: dict[str, Callable[[], str]] = {
        "budget": lambda: curve_panels(
            searches, f"{name}-budget", ("trials", f"best validation {metric} (%)"), titles, step=not budget.independent
        ),
        "convergence": lambda: curve_panels(
            converged, f"{name}-convergence", (unit, f"best {what} {metric} so far (%)"), titles
        ),
        "epochs": lambda: _pace_strips({loss: pace for loss, pace in paces.items() if pace}, titles),
        "validation": lambda: fold_panels(
            {loss: found for loss, found in curves.items() if found},
            f"{name}-validation",
            ("epoch", f"{metric} (%)"),
            titles,
        ),
    }

    def grey(drawn: Collection[str]) -> str:
        return "; grey: the other losses" if len(drawn) > len(COLOURS) else ""

    candidates: list[tuple[str, str, str, bool, Callable[[], Figure]]] = [
        (
            "scores",
            "Scores with intervals",
            "Dot: mean over repeats. Thick: 95 % interval over seeds. Thin: 95 % interval over test classes.",
            bool(board.rows),
            lambda: _scores(board),
        ),
        (
            "budget",
            "What a budget buys",
            f"{told_of(budget)}{grey(searches)}. {budget.told}".rstrip(),
            bool(searches),
            lambda: _lines(searches, "trials", f"best validation {metric} (%)", step=not budget.independent),
        ),
        (
            "parameters",
            "Which parameters mattered",
            "Importance of each parameter for being among the better trials (PED-ANOVA); those of a loss sum to 1."
            + _without_importance([loss for loss in searches if not (importances or {}).get(loss)]),
            any((importances or {}).values()),
            lambda: _importances(importances or {}),
        ),
        (
            "convergence",
            "Convergence",
            f"Best {what} {metric} so far, mean over folds and repeats, band: 95 % interval over repeats"
            f"{grey(converged)}.",
            bool(converged),
            lambda: _lines(converged, unit, f"best {what} {metric} so far (%)"),
        ),
        (
            "epochs",
            "Epochs to the best",
            f"Epochs to the best {what} {metric}: mean over folds and repeats, bar: 95 % interval over repeats.",
            any(paces.values()),
            lambda: _epochs({loss: pace for loss, pace in paces.items() if pace}),
        ),
        (
            "validation",
            f"{what.capitalize()} curves",
            f"{what.capitalize()} {metric} of every training of the repeats, one colour per fold.",
            any(curves.values()),
            lambda: _validation({loss: found for loss, found in curves.items() if found}, f"{metric} (%)"),
        ),
    ]
    return [
        drawn(kind, title, told, draw, inline[kind]() if kind in inline else "")
        for kind, title, told, there, draw in candidates
        if there
    ]


def _pace_strips(paces: Mapping[str, Pace], titles: Titles | None) -> str:
    known = scale([0.0, *(pace.mean + (pace.half or 0.0) for pace in paces.values())])
    lines = []
    for loss, pace in sorted(paces.items(), key=lambda item: item[1].mean):
        half = "" if pace.half is None else f" ± {pace.half:.1f}"
        marks = "" if pace.half is None else line(known, pace.mean - pace.half, pace.mean + pace.half, "seeds")
        told = strip(known, marks + dot(known, pace.mean), f"{loss}: {pace.mean:.1f}{half} epochs")
        named = f'<span title="{escape(loss)}">{escape(loss_title(loss, titles))}</span>'
        lines.append(f'<li data-loss="{escape(loss)}">{named}{told}<output>{pace.mean:.1f}</output></li>')
    return f'<div class="strips"><ul>{"".join(lines)}</ul>{axis(known, "epochs to the best score")}</div>'


def _without_importance(losses: Sequence[str]) -> str:
    if not losses:
        return ""
    return f" None of {', '.join(losses)}: fewer than two parameters, too few trials, or a loss not installed here."


def drawn(name: str, title: str, told: str, draw: Callable[[], Figure], inline: str = "") -> Plot:
    """Draw in the house's style, and save without date and version, so that the bytes are the same every time."""
    svg, png = BytesIO(), BytesIO()
    with matplotlib.style.context(["default", _STYLE_SHEET]):
        figure = draw()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", metadata={"Software": None})
    return Plot(name, title, told, svg.getvalue(), png.getvalue(), inline)


def _scores(board: Board) -> Figure:
    rows = {(row.loss, row.setting): row for row in board.rows if row.metric == RANKED_BY}
    settings = board.settings
    losses = sorted(board.losses, key=lambda loss: rows[loss, settings[0]].mean if (loss, settings[0]) in rows else 0)
    figure = Figure(figsize=(8, 1.2 + 0.32 * len(losses)))
    for axes, setting in zip(np.atleast_1d(figure.subplots(1, len(settings), sharey=True)), settings, strict=True):
        for place, loss in enumerate(losses):
            if (loss, setting) in rows:
                _interval(axes, place, rows[loss, setting])
        axes.set_title(setting if len(settings) > 1 else "")
        axes.set_xlabel(f"{RANKED_BY} (%)")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_yticks(range(len(losses)), losses)
        axes.set_ylim(-0.6, len(losses) - 0.4)
        axes.grid(visible=False, axis="y")
    return figure


def _interval(axes: Axes, place: int, row: Row) -> None:
    colour = "#777777" if row.loss in BASELINES else COLOURS[0]
    if row.classes:
        axes.plot(row.classes, (place, place), "|-", color=colour, linewidth=1.2, markersize=7)
    if row.ci95 is not None:
        axes.plot([row.mean - row.ci95, row.mean + row.ci95], [place, place], color=colour, linewidth=4, alpha=0.45)
    axes.plot(row.mean, place, "o", color=colour, markersize=5)


def _lines(curves: Mapping[str, Curve], xlabel: str, ylabel: str, *, step: bool = False) -> Figure:
    drawn: dict[str, Any] = {"drawstyle": "steps-post", "marker": "o", "markersize": 3} if step else {}
    if len(curves) > len(COLOURS):
        return _panels(curves, xlabel, ylabel, drawn)
    figure = Figure(figsize=(8, 4))
    axes = figure.subplots()
    for (loss, curve), colour in zip(curves.items(), COLOURS, strict=False):
        _line(axes, curve, colour, drawn, label=loss)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _panels(curves: Mapping[str, Curve], xlabel: str, ylabel: str, drawn: dict[str, Any]) -> Figure:
    """Draw a panel per loss with all others in grey: more lines than colours cannot be told apart in one."""
    figure, grid = _grid(curves, xlabel, ylabel)
    for axes, (loss, curve) in zip(grid, curves.items(), strict=False):
        for other in curves.values():
            axes.plot(other.x, other.y, color="#d0d0d0", linewidth=0.6, drawstyle=drawn.get("drawstyle", "default"))
        _line(axes, curve, COLOURS[0], drawn, label=loss)
    return figure


def _line(axes: Axes, curve: Curve, colour: str, drawn: dict[str, Any], *, label: str) -> None:
    axes.plot(curve.x, curve.y, color=colour, label=label, **drawn)
    if curve.half is not None:
        low, high = curve.y - curve.half, curve.y + curve.half
        kind: Literal["post"] | None = "post" if drawn.get("drawstyle") else None
        axes.fill_between(curve.x, low, high, step=kind, color=colour, alpha=0.15, linewidth=0)


def _epochs(paces: Mapping[str, Pace]) -> Figure:
    losses = sorted(paces, key=lambda loss: -paces[loss].mean)
    figure = Figure(figsize=(8, 1.2 + 0.28 * len(losses)))
    axes = figure.subplots()
    for place, loss in enumerate(losses):
        mean, half, _ = paces[loss]
        axes.errorbar(mean, place, xerr=half or 0.0, fmt="o", markersize=5, capsize=3, color=COLOURS[0])
    axes.set_yticks(range(len(losses)), losses)
    axes.set_ylim(-0.6, len(losses) - 0.4)
    axes.set_xlim(left=0)
    axes.set_xlabel("epochs to the best score")
    axes.grid(visible=False, axis="y")
    return figure


def _validation(curves: Mapping[str, Sequence[tuple[int, Curve]]], ylabel: str) -> Figure:
    figure, grid = _grid(curves, "epoch", ylabel)
    for axes, found in zip(grid, curves.values(), strict=False):
        seen: set[int] = set()
        for fold, curve in found:
            label = None if fold in seen else f"fold {fold}"
            seen.add(fold)
            axes.plot(curve.x, curve.y, color=COLOURS[fold % len(COLOURS)], linewidth=0.8, alpha=0.7, label=label)
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper right", ncols=8)
    return figure


def _grid(losses: Collection[str], xlabel: str, ylabel: str) -> tuple[Figure, list[Axes]]:
    """Give a panel for each loss, under its name, on shared axes."""
    columns = min(3, len(losses))
    lines = -(-len(losses) // columns)
    figure = Figure(figsize=(8, 0.5 + 2.1 * lines))
    grid = list(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel())
    for axes, loss in zip(grid, losses, strict=False):
        axes.set_title(_broken(loss), fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    for axes in grid[len(losses) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(losses) - columns) : len(losses)]:
        axes.tick_params(labelbottom=True)  # also above an empty place
    figure.supxlabel(xlabel, fontsize=9)
    figure.supylabel(ylabel, fontsize=9)
    return figure, grid


def _broken(loss: str, width: int = 26) -> str:
    """Break a long name at its underscores."""
    return "\n".join(wrap(loss.replace("_", "_ "), width)).replace("_ ", "_")


def _importances(importances: Importances) -> Figure:
    bars = []
    top = 0.0
    for loss, shares in importances.items():
        for name, share in sorted(shares.items(), key=lambda item: -item[1]):
            bars.append((top, f"{loss}: {name}", share))
            top += 1
        top += 0.6  # sets the losses apart
    figure = Figure(figsize=(8, 0.8 + 0.24 * top))
    axes = figure.subplots()
    axes.barh([place for place, *_ in bars], [share for *_, share in bars], color=COLOURS[0], height=0.7)
    axes.set_yticks([place for place, *_ in bars], [name for _, name, _ in bars])
    axes.set_ylim(top - 1, -0.8)
    axes.set_xlim(0, 1)
    axes.set_xlabel("importance")
    axes.grid(visible=False, axis="y")
    return figure
