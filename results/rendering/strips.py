"""Intervals on a common scale as HTML: a name, a strip and a number a row, whatever the width of the window.

Positions are percent of a strip's width, so nothing has to be drawn anew, and colours are those of the page.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.records.record import BASELINES
from mlrc.results.rendering.titles import Titles, loss_title

MIDDLE = 11  # pixels from the top of a strip of 22


class Scale(NamedTuple):
    """From values to percent of a strip's width, with the values that are marked."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Give the place of a value, 0 to 1, no farther out than the ends."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def at(self, value: float) -> str:
        """Give the place of a value, such as `12.5%`."""
        return f"{100 * self.share(value):.2f}%"


def scale(values: Sequence[float]) -> Scale:
    """Give a scale that holds all values, with round marks."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.03 or 0.5
    ends = round(low - margin, 4), round(high + margin, 4)
    return Scale(*ends, tuple(ticks(*ends, bins=5)))


def ticks(low: float, high: float, *, bins: int) -> list[float]:
    """Give round values between two ends, in so many parts or fewer."""
    found = MaxNLocator(nbins=bins, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [round(float(tick), 6) for tick in found if low <= tick <= high]


def intervals(board: Board, setting: str, name: str, titles: Titles | None = None) -> str:
    """Draw the means of a board by which it is ranked, in the order of its table, with both intervals.

    Args:
        board: with rows.
        setting: of the rows.
        name: of the board in addresses.
        titles: of losses.
    """
    rows = [row for row in board.rows if (row.setting, row.metric) == (setting, RANKED_BY)]
    if not rows:
        return ""
    ends = [
        end for row in rows for end in (*(row.classes or ()), row.mean - (row.ci95 or 0), row.mean + (row.ci95 or 0))
    ]
    known = scale([float(end) for end in ends])
    lines = []
    for row in rows:
        kind = "baseline" if row.loss in BASELINES else "could" if row.could_be_best else "not"
        marks = line(known, row.classes.low, row.classes.high, "classes") if row.classes else ""
        if row.ci95 is not None:
            marks += line(known, row.mean - row.ci95, row.mean + row.ci95, "seeds")
        half = "" if row.ci95 is None else f" ± {row.ci95:.2f}"
        classes = f"; classes {row.classes.low:.2f} to {row.classes.high:.2f}" if row.classes else ""
        told = f"{loss_title(row.loss, titles)}: {row.mean:.2f}{half} %{classes}"
        lines.append(
            f'<li class="{kind}" data-loss="{escape(row.loss)}">{linked(row.loss, name, titles)}'
            f"{strip(known, marks + dot(known, row.mean), told)}<output>{row.mean:.2f}</output></li>"
        )
    key = (
        '<p class="told">● could be the best, ○ surely not, grey: made by no loss. Thick: 95 % interval over seeds. '
        "Thin: over test classes.</p>"
    )
    return f'<div class="strips"><ul>{"".join(lines)}</ul>{axis(known, f"{RANKED_BY}, {setting} (%)")}{key}</div>'


def strip(known: Scale, marks: str, told: str) -> str:
    """Give one row's picture, which tells its values."""
    grid = "".join(f'<line class="tick" x1="{known.at(tick)}" x2="{known.at(tick)}" y2="22"/>' for tick in known.ticks)
    return f'<svg role="img" aria-label="{escape(told)}"><title>{escape(told)}</title>{grid}{marks}</svg>'


def line(known: Scale, low: float, high: float, kind: str) -> str:
    """Give an interval."""
    return f'<line class="{kind}" x1="{known.at(low)}" x2="{known.at(high)}" y1="{MIDDLE}" y2="{MIDDLE}"/>'


def dot(known: Scale, value: float) -> str:
    """Give a mean or a single value."""
    return f'<circle cx="{known.at(value)}" cy="{MIDDLE}" r="4.5"/>'


def axis(known: Scale, name: str) -> str:
    """Give the marks' values and what they are."""
    marks = "".join(f'<text x="{known.at(tick)}" y="12">{tick:g}</text>' for tick in known.ticks)
    row = f'<div class="axis" aria-hidden="true"><span></span><svg>{marks}</svg><span></span></div>'
    return f'{row}<p class="of">{escape(name)}</p>'


def panel_of(name: str, loss: str) -> str:
    """Give the address of a loss's panel on a board's part of the page."""
    return f"{name}--" + "".join(sign if sign.isascii() and (sign.isalnum() or sign == "_") else "-" for sign in loss)


def linked(loss: str, name: str, titles: Titles | None) -> str:
    """Give a link to the panel of a loss, under its title."""
    return f'<a href="#{panel_of(name, loss)}" title="{escape(loss)}">{breakable(loss_title(loss, titles))}</a>'


def breakable(name: str) -> str:
    """Give a name that a narrow column may break after its underscores."""
    return escape(name).replace("_", "_<wbr>")
