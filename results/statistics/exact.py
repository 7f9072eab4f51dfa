"""Numbers that no order, kernel, instruction set or number of threads can change: what published figures are made of.

A sum of floats depends on the order in which it is taken, and BLAS takes another one on every processor. So each
per-class sum is rounded once to a whole number of steps of a grid, 2^-bits apart. Sums and products of whole numbers
are exact in float64 as long as every total stays below 2^53, whoever takes them and in whatever order.
Equal fractions in other classes (1/3 + 1/3 + 1/3 and 1) are rounded apart, by half a step per class at most: totals
over k classes that differ by no more than k steps are a tie. Percent points go on as whole billionths, so that
variances are exact as well.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]

DECIMALS = 9
"""Of percent points, to which what a figure is made of is rounded; figures are printed with four."""
SIGNIFICANT = 12
"""Digits kept of what a mathematical library gives: it may round the last of 16 otherwise on another processor."""
_BITS = 52  # of every total of whole steps; one less than float64 holds, for sums a little above their count
_FEWEST = 16  # bits of a step: coarser ones would be seen in the tables
_SLACK = 1e-6  # of a count, by which a sum of as many fractions may lie outside


def grid_bits(counts: Whole) -> int:
    """Give how many bits a step lies below one, so that every total over a draw of the classes is exact.

    As many as fit, and no more than the stored sums hold: each was added up from its class's fractions in float64.

    Args:
        counts: `(classes,)`, queries per class.

    Raises:
        ValueError: so many queries that a step would be too coarse.
    """
    largest = int(counts.max())
    most = len(counts) * largest
    bits = min(_BITS - most.bit_length(), _BITS - 2 * largest.bit_length())
    if bits < _FEWEST:
        raise ValueError(
            f"Exact sums need fewer than 2^{_BITS - _FEWEST} queries (classes × the largest class) and 2^"
            f"{(_BITS - _FEWEST) // 2} of a class, but there are {len(counts)} classes of up to {largest}; ask fewer."
        )
    return bits


def in_steps(sums: NDArray[np.float64], counts: Whole) -> NDArray[np.float64]:
    """Give per-class sums as whole numbers of grid steps (see `grid_bits`), in float64 for matrix products.

    Args:
        sums: `(…, classes)`, each of as many fractions (0 … 1) as its class has queries.
        counts: `(classes,)`, queries per class.

    Raises:
        ValueError: a sum that cannot be one of such fractions, so that totals might not be exact.
    """
    largest = int(counts.max())
    within = (sums >= -_SLACK * largest) & (sums <= (1 + _SLACK) * largest)
    if not within.all():
        raise ValueError(
            f"The sum of a metric over the queries of a class must lie between 0 and their number, at most {largest}, "
            f"but is {float(sums[~within][0])}; a per-class file was altered, or a metric is at fault."
        )
    return np.asarray(np.rint(np.ldexp(sums, grid_bits(counts))))


def percent(totals: Whole, queries: Whole | int, bits: int) -> NDArray[np.float64]:
    """Give totals of grid steps over that many queries as percent; only what IEEE 754 rounds the same everywhere."""
    return np.asarray(np.ldexp(100.0 * totals / queries, -bits))


def in_billionths(points: NDArray[np.float64]) -> Whole:
    """Give percent points as whole billionths of one."""
    return np.asarray(np.rint(points * 10.0**DECIMALS).astype(np.int64))


def mean(values: Sequence[float]) -> float:
    """Give the mean of a few floats: exact, then rounded once."""
    return float(sum(map(Fraction, values)) / len(values))


def deviation(values: Sequence[float]) -> float:
    """Give the standard deviation, ddof 1, of a few floats: the root of the exact variance."""
    exact = [Fraction(value) for value in values]
    middle = sum(exact) / len(exact)
    return math.sqrt(sum((value - middle) ** 2 for value in exact) / (len(exact) - 1))


def settled(value: float) -> float:
    """Give what a mathematical library computed, with the digits that do not depend on the processor."""
    return float(f"{value:.{SIGNIFICANT}g}")
