"""Where the noise of one loss's mean comes from: units (repeats, or searches), test classes, and the two together.

A score is a ratio of sums over classes, so each class has an influence on it: its sum less what the mean would have
given it. Influences are taken in whole steps and their products are whole numbers, so every variance here is exact and
rounded once (`mlrc.results.statistics.exact`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mlrc.results.statistics.exact import DECIMALS, Whole, grid_bits, in_billionths, in_steps, percent

Values = NDArray[np.float64]
_PRODUCTS = 62  # bits of every sum of products of influences, in 64


@dataclass(frozen=True, kw_only=True)
class Parts:
    """One loss on one metric.

    Attributes:
        mean: over its repeats, percent.
        spread: variance of one unit's score, percent points squared; as of the mean it holds the interaction, too.
        freedom: degrees of freedom of the spread: units − 1.
        weight: share of the spread that is left in the mean: 1 / units where all have equally many repeats.
        interaction: of units and classes, in the variance of the mean.
        profile: `(classes,)`, the influence of each class on the mean, in steps of the `Layout`, times the `repeats`.
    """

    mean: Fraction
    spread: float
    freedom: int
    weight: float
    interaction: float
    profile: Whole
    repeats: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What all losses of a column share.

    Attributes:
        counts: `(classes,)`, queries per class.
        bits: of an influence, which is a whole number of 2^-bits of the largest class.
    """

    counts: Whole
    bits: int

    @property
    def classes(self) -> int:
        """How many test classes there are."""
        return len(self.counts)

    def scale(self) -> Fraction:
        """Give the factor from a sum of squared influences to the variance of a mean over the classes, percent²."""
        step = Fraction(100 * int(self.counts.max()), int(self.counts.sum()) << self.bits)
        return step * step * Fraction(self.classes, self.classes - 1)


def layout_of(counts: Whole, repeats: int) -> Layout:
    """Give the layout for losses of so many repeats at most."""
    room = _PRODUCTS - len(counts).bit_length() - 2 * repeats.bit_length()
    return Layout(counts=counts, bits=room // 2)


def parts(sums: Values, searches: Sequence[int], layout: Layout) -> Parts | None:
    """Take the mean of one loss apart.

    Args:
        sums: `(repeats, classes)`, the sum of the metric (0 … 1) over the queries of each class.
        searches: the unit of each repeat, which two repeats share that are not independent: their search, where there
            are several; their own number otherwise.
        layout: of the column.

    Returns:
        `None` for fewer than two units, whose noise nothing tells.
    """
    counts = layout.counts
    places = {unit: [i for i, one in enumerate(searches) if one == unit] for unit in dict.fromkeys(searches)}
    repeats, units = len(searches), len(places)
    if units < 2:
        return None
    steps, bits, queries = in_steps(sums, counts), grid_bits(counts), int(counts.sum())
    totals = steps.sum(axis=1)
    scores = [Fraction(int(score)) for score in in_billionths(percent(totals, queries, bits))]
    influences = _influences(steps, totals, layout, bits, queries)
    profile = influences.sum(axis=0)
    error, weight = _squared_error(scores, searches)
    return Parts(
        mean=Fraction(100 * sum(int(total) for total in totals), repeats * queries << bits),
        spread=float(error / weight / 10 ** (2 * DECIMALS)),
        freedom=units - 1,
        weight=float(weight),
        interaction=float(_interaction(influences, list(places.values())) * layout.scale()),
        profile=profile,
        repeats=repeats,
    )


def nested_error(values: Sequence[float], searches: Sequence[int]) -> tuple[float, int]:
    """Give the standard error of the mean of repeats nested in two or more searches, and how many these are."""
    error, _ = _squared_error([Fraction(value) for value in values], searches)
    return math.sqrt(error), len(set(searches))


def over_draws(sums: Values, layout: Layout) -> tuple[float, float]:
    """Give the mean of repeats `(repeats, classes)`, percent, and its variance over other draws of the classes."""
    counts, repeats = layout.counts, len(sums)
    steps, bits, queries = in_steps(sums, counts), grid_bits(counts), int(counts.sum())
    totals = steps.sum(axis=1)
    profile = _influences(steps, totals, layout, bits, queries).sum(axis=0)
    mean = Fraction(100 * sum(int(total) for total in totals), repeats * queries << bits)
    return float(mean), float(Fraction(int(profile @ profile), repeats * repeats) * layout.scale())


def over_classes(found: Mapping[str, Parts], layout: Layout) -> dict[tuple[str, str], float]:
    """Give for every two losses the variance over classes of the difference of their means, with the interaction.

    Percent points squared; both see the same classes.
    """
    losses = list(found)
    profiles = np.stack([found[loss].profile for loss in losses])
    products = profiles @ profiles.T  # whole numbers in 64 bits, which no BLAS takes
    shares = [found[loss].repeats for loss in losses]
    scale = layout.scale()
    variances = {}
    for i, first in enumerate(losses):
        for j, second in enumerate(losses[i + 1 :], start=i + 1):
            a, b = shares[i], shares[j]
            ours, both, theirs = (int(products[place]) for place in ((i, i), (i, j), (j, j)))
            squares = Fraction(ours * b * b - 2 * both * a * b + theirs * a * a, a * a * b * b)
            variances[first, second] = float(squares * scale)
    return variances


def _squared_error(scores: Sequence[Fraction], units: Sequence[int]) -> tuple[Fraction, Fraction]:
    """Give the variance of the mean of scores, and the share in it of the variance of one unit's mean."""
    middle = sum(scores, Fraction(0)) / len(scores)
    error, weight = Fraction(0), Fraction(0)
    for unit in dict.fromkeys(units):
        mine = [score for score, one in zip(scores, units, strict=True) if one == unit]
        share = Fraction(len(mine), len(scores))
        error += (share * (sum(mine, Fraction(0)) / len(mine) - middle)) ** 2
        weight += share * share
    number = len(set(units))
    return error * Fraction(number, number - 1), weight


def _influences(steps: Values, totals: Values, layout: Layout, bits: int, queries: int) -> Whole:
    """Give `(repeats, classes)`, whole steps; each operation is on single numbers, which IEEE 754 rounds alike."""
    counts = layout.counts.astype(np.float64)
    expected = totals[:, None] * counts / queries
    relative = np.ldexp(steps - expected, layout.bits - bits) / counts.max()
    return np.asarray(np.rint(relative).astype(np.int64))


def _interaction(influences: Whole, units: Sequence[Sequence[int]]) -> Fraction:
    """Give the sum over units and classes of the squared, weighted departures from the mean profile, over units − 1."""
    repeats = len(influences)
    profile = influences.sum(axis=0)
    whole = Fraction(int(profile @ profile), repeats * repeats)
    total = Fraction(0)
    for of_unit in units:
        own = influences[list(of_unit)].sum(axis=0)
        share = Fraction(len(of_unit), repeats)
        squares = Fraction(int(own @ own), len(of_unit) ** 2)
        total += share * share * (squares - 2 * Fraction(int(own @ profile), len(of_unit) * repeats) + whole)
    return total * Fraction(len(units), len(units) - 1)
