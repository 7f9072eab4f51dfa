"""Letters as outlines, filled by plain arithmetic: a rasteriser's anti-aliasing differs by version, this does not."""

from io import BytesIO
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont
from numpy.typing import NDArray

Outline = list[NDArray[np.float64]]
"""Closed polygons, each `(points, 2)` as x, y with y upwards."""

_SEGMENTS_PER_CURVE = 6


class Face:
    """One TrueType face, read for its outlines only."""

    def __init__(self, path: Path) -> None:
        font = TTFont(BytesIO(path.read_bytes()))
        self._glyphs = font["glyf"]
        self._names: dict[int, str] = font.getBestCmap()

    def outline(self, character: str) -> Outline:
        """Give a character's polygons in font units.

        Raises:
            KeyError: the face lacks the character.
        """
        points, ends, on_curve = self._glyphs[self._names[ord(character)]].getCoordinates(self._glyphs)
        coordinates = np.array(points, dtype=np.float64).reshape(-1, 2)
        flags = np.array(on_curve, dtype=np.int64) & 1
        starts = [0, *(end + 1 for end in ends[:-1])]
        return [
            flatten(coordinates[start : end + 1], flags[start : end + 1])
            for start, end in zip(starts, ends, strict=True)
        ]


def flatten(points: NDArray[np.float64], on_curve: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn a TrueType contour of quadratic curves into a polygon.

    Two control points in a row imply a point on the curve halfway (OpenType specification, "glyf").
    """
    explicit: list[tuple[NDArray[np.float64], bool]] = []
    for index, point in enumerate(points):
        if not on_curve[index] and not on_curve[index - 1]:
            explicit.append(((points[index - 1] + point) / 2, True))
        explicit.append((point, bool(on_curve[index])))
    first = next(index for index, (_, on) in enumerate(explicit) if on)
    explicit = explicit[first:] + explicit[:first]
    polygon = []
    for index, (point, on) in enumerate(explicit):
        if on:
            polygon.append(point)
            continue
        before, after = explicit[index - 1][0], explicit[(index + 1) % len(explicit)][0]
        for step in range(1, _SEGMENTS_PER_CURVE):
            t = step / _SEGMENTS_PER_CURVE
            polygon.append((1 - t) * (1 - t) * before + 2 * t * (1 - t) * point + t * t * after)
    return np.array(polygon)


def centred(outline: Outline, extent: float) -> Outline:
    """Scale an outline so that its larger side is `extent` and move the middle of its box to the origin."""
    points = np.concatenate(outline)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = extent / (high - low).max()
    return [(polygon - (low + high) / 2) * scale for polygon in outline]


def fill(outline: Outline, size: int, supersampling: int) -> NDArray[np.uint8]:
    """Fill an outline by the non-zero winding rule.

    Args:
        outline: in pixels, the origin in the middle of the image.
        size: side of the square image in pixels.
        supersampling: samples per pixel along each side; the pixel is their average.

    Returns:
        `(size, size)`, ink 255 on paper 0.
    """
    samples = size * supersampling
    starts = np.concatenate(outline)
    ends = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in outline])
    # rows downwards, and a sample in the middle of each cell of the fine grid
    x0, x1 = ((points[:, 0] + size / 2) * supersampling - 0.5 for points in (starts, ends))
    y0, y1 = ((size / 2 - points[:, 1]) * supersampling - 0.5 for points in (starts, ends))
    rows = np.arange(samples)[:, None]
    row, edge = np.nonzero((np.minimum(y0, y1) <= rows) & (rows < np.maximum(y0, y1)))
    crossing = x0[edge] + (row - y0[edge]) * ((x1[edge] - x0[edge]) / (y1[edge] - y0[edge]))
    column = np.clip(np.ceil(crossing), 0, samples).astype(np.int64)
    winding = np.zeros((samples, samples + 1), dtype=np.int64)
    np.add.at(winding, (row, column), np.where(y1[edge] > y0[edge], 1, -1))
    ink = np.cumsum(winding, axis=1)[:, :samples] != 0
    counts = ink.reshape(size, supersampling, size, supersampling).sum(axis=(1, 3))
    pixels: NDArray[np.uint8] = ((counts * 255 + supersampling**2 // 2) // supersampling**2).astype(np.uint8)
    return pixels
