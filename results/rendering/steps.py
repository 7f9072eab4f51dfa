"""R@1 against the steps of training, with the time that they took: a plot and `steps.csv`.

Only of protocols that validate by R@1, as the papers do that show it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlrc.results.boards.leaderboard import Board
from mlrc.results.rendering.plots import COLOURS, Plot, drawn
from mlrc.results.statistics.steps import Course, course

COLUMNS = ("dataset", "protocol", "digest", "loss", "step", "score", "ci95", "seconds")


def courses(board: Board) -> dict[str, Course]:
    """Give the course of each loss that was validated by R@1 (which is P@1) and tells its steps."""
    if board.record is None or board.record.fields.get("selection_metric") != "P@1":
        return {}
    found = {one.loss: course(one) for one in board.evidence}
    return {loss: one for loss, one in found.items() if one is not None}


def steps_plots(board: Board) -> list[Plot]:
    """Draw R@1 against steps where it is known, in a panel per loss with its minutes above; or nothing."""
    found = courses(board)
    if not found or board.record is None:
        return []
    what = "test" if board.record.fields.get("epoch_choice") == "best_on_test" else "validation"
    told = (
        f"Latest {what} R@1 against steps of training: mean over folds and repeats, band: 95 % interval over repeats. "
        "Above: minutes of one training on its device, validations included."
    )
    return [drawn("steps", "R@1 against steps", told, lambda: _panels(found, f"{what} R@1 (%)"))]


def steps_tables(boards: Sequence[Board]) -> dict[str, str]:
    """Give `steps.csv`, a row per loss and step; nothing where no board has any."""
    rows = [
        (board.dataset, board.protocol, board.digest, loss, int(step), score, half, step * one.seconds_per_step)
        for board in boards
        for loss, one in courses(board).items()
        for step, score, half in zip(
            one.steps, one.scores, one.half if one.half is not None else [None] * len(one.steps), strict=True
        )
    ]
    if not rows:
        return {}
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return {"steps.csv": table.to_csv(index=False, float_format="%.4f", lineterminator="\n")}


def _panels(found: Mapping[str, Course], ylabel: str) -> Figure:
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    figure = Figure(figsize=(8, 0.6 + 2.5 * lines))
    grid = list(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel())
    for axes, (loss, one) in zip(grid, found.items(), strict=False):
        axes.plot(one.steps, one.scores, color=COLOURS[0], marker="o", markersize=3)
        if one.half is not None:
            low, high = one.scores - one.half, one.scores + one.half
            axes.fill_between(one.steps, low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
        axes.set_title(loss, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
        if one.seconds_per_step > 0:
            _add_minutes(axes, one.seconds_per_step / 60)
    for axes in grid[len(found) :]:
        axes.set_axis_off()
    for axes in grid[max(0, len(found) - columns) : len(found)]:
        axes.tick_params(labelbottom=True)  # also above an empty place
    figure.supxlabel("steps", fontsize=9)
    figure.supylabel(ylabel, fontsize=9)
    return figure


def _add_minutes(axes: Axes, per_step: float) -> None:
    above = axes.secondary_xaxis(
        "top",
        functions=(lambda steps: np.asarray(steps, float) * per_step, lambda time: np.asarray(time, float) / per_step),
    )
    above.xaxis.set_major_locator(MaxNLocator(nbins=5))
    above.tick_params(labelsize=7)
    above.set_xlabel("minutes", fontsize=7)
