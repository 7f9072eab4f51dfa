"""Curves as small pictures in the page itself, a panel per loss with all others in grey, in the page's own colours.

A picture of matplotlib has every letter as a path and every grey line once per panel; these have each once.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

import numpy as np

from mlrc.results.rendering.strips import ticks
from mlrc.results.rendering.titles import Titles, loss_title
from mlrc.results.statistics.curves import Curve, Values

WIDTH, HEIGHT = 220, 120
_LEFT, _BOTTOM, _TOP, _RIGHT = 28, 16, 6, 6


class Frame:
    """The axes that all panels share: values to places in a picture, and the marks."""

    def __init__(self, curves: Sequence[Curve], *, step: bool = False) -> None:
        self._step = step
        self._across = _ends(np.concatenate([curve.x for curve in curves]))
        self._up = _ends(np.concatenate([curve.y for curve in curves]))

    def path(self, x: Values, y: Values) -> str:
        """Give a line's path, with tenths of a pixel."""
        points = list(zip(map(self._x, x), map(self._y, y), strict=True))
        found = [f"M{points[0][0]} {points[0][1]}"]
        for (_, before), (across, up) in pairwise(points):
            found.append((f"H{across}" + (f"V{up}" if up != before else "")) if self._step else f"L{across} {up}")
        return "".join(found)

    def band(self, curve: Curve) -> str:
        """Give the path around a curve's interval; empty where it has none."""
        if curve.half is None:
            return ""
        there = self.path(curve.x, curve.y + curve.half)
        back = [f"L{self._x(x)} {self._y(y)}" for x, y in zip(curve.x[::-1], (curve.y - curve.half)[::-1], strict=True)]
        return f'<path class="band" d="{there}{"".join(back)}Z"/>'

    def marks(self) -> str:
        """Give grid and numbers."""
        found = []
        for tick in ticks(*self._up, bins=4):
            found.append(f'<path class="tick" d="M{_LEFT} {self._y(tick)}H{WIDTH - _RIGHT}"/>')
            found.append(f'<text class="up" x="{_LEFT - 3}" y="{self._y(tick)}">{tick:g}</text>')
        found += [
            f'<text class="along" x="{self._x(tick)}" y="{HEIGHT - 4}">{_short(tick)}</text>'
            for tick in ticks(*self._across, bins=4)
        ]
        return "".join(found)

    def _x(self, value: float) -> str:
        low, high = self._across
        return _tenths(_LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT))

    def _y(self, value: float) -> str:
        low, high = self._up
        return _tenths(HEIGHT - _BOTTOM - (min(max(value, low), high) - low) / (high - low) * (HEIGHT - _BOTTOM - _TOP))


def curve_panels(
    curves: Mapping[str, Curve], name: str, axes: tuple[str, str], titles: Titles | None, *, step: bool = False
) -> str:
    """Give a panel for each loss: its curve with its band, the others in grey.

    Args:
        curves: loss to what is drawn.
        name: of the picture, in addresses.
        axes: what goes along and up.
        titles: of losses.
        step: whether a value holds until the next.
    """
    frame = Frame(list(curves.values()), step=step)
    grey = "".join(f'<path d="{frame.path(curve.x, curve.y)}"/>' for curve in curves.values())
    shared = f'<g id="{name}">{frame.marks()}<g class="others">{grey}</g></g>'
    panels = [
        (loss, f'{frame.band(curve)}<path class="own" d="{frame.path(curve.x, curve.y)}"/>', _told(curve))
        for loss, curve in curves.items()
    ]
    return _multiples(shared, name, panels, axes, titles)


def fold_panels(
    curves: Mapping[str, Sequence[tuple[int, Curve]]], name: str, axes: tuple[str, str], titles: Titles | None
) -> str:
    """Give a panel for each loss with a line per training, one colour per fold."""
    frame = Frame([curve for of_loss in curves.values() for _, curve in of_loss])
    panels = []
    for loss, of_loss in curves.items():
        by_fold: dict[int, list[str]] = {}
        for fold, curve in of_loss:
            by_fold.setdefault(fold, []).append(frame.path(curve.x, curve.y))
        lines = "".join(f'<path class="fold f{fold % 7}" d="{"".join(paths)}"/>' for fold, paths in by_fold.items())
        panels.append((loss, lines, f"{len(of_loss)} trainings"))
    return _multiples(f'<g id="{name}">{frame.marks()}</g>', name, panels, axes, titles)


def _multiples(
    shared: str, name: str, panels: Sequence[tuple[str, str, str]], axes: tuple[str, str], titles: Titles | None
) -> str:
    figures = "".join(
        f'<figure data-loss="{escape(loss)}"><figcaption title="{escape(loss)}">{escape(loss_title(loss, titles))}'
        f'</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(loss)}: {told}"><title>{told}'
        f'</title><use href="#{name}"/>{drawn}</svg></figure>'
        for loss, drawn, told in panels
    )
    told = f'<p class="of">Along: {escape(axes[0])}. Up: {escape(axes[1])}.</p>'
    once = f'<svg class="shared" aria-hidden="true"><defs>{shared}</defs></svg>'
    return f'{once}{told}<div class="multiples">{figures}</div>'


def _told(curve: Curve) -> str:
    return f"from {curve.y[0]:.2f} to {curve.y[-1]:.2f}"


def _ends(values: Values) -> tuple[float, float]:
    low, high = round(float(values.min()), 4), round(float(values.max()), 4)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"


def _tenths(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
