"""Intervals from stored records: Student-t over repeats, and a seeded bootstrap over test classes beside it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2000
"""Bootstrap resamples; the ends of a 95 % interval then vary by about a fiftieth of its width."""
SEED = 20030850
"""Of every bootstrap, so that the same records give the same bytes."""


class Interval(NamedTuple):
    """The two ends of an interval."""

    low: float
    high: float


def half_width(values: Sequence[float], *, confidence: float = 0.95) -> float | None:
    """Give the half width of the Student-t interval of the mean, ddof 1; `None` for fewer than two values."""
    if len(values) < 2:
        return None
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return float(stats.t.ppf((1 + confidence) / 2, len(values) - 1) * error)


def class_interval(
    sums: NDArray[np.float64], counts: NDArray[np.int64], *, confidence: float = 0.95
) -> Interval | None:
    """Give the percentile bootstrap interval of a metric over another draw of test classes, in percent.

    Args:
        sums: `(classes,)`, the sum of the metric (0 … 1) over the queries of each class, averaged over the repeats.
        counts: `(classes,)`, queries per class.
        confidence: of the interval.

    Returns:
        `None` for fewer than two classes.
    """
    if len(counts) < 2:
        return None
    generator = np.random.default_rng(SEED)
    drawn = generator.integers(len(counts), size=(RESAMPLES, len(counts)))
    means = 100 * sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
