"""Intervals, differences and their tests, from stored records alone.

Two sources of noise are kept apart: repeats (another seed, or another search) and test classes (another draw of
classes); `pairs` brings them together. Every bootstrap is seeded and every sum exact (`exact`, here); the same records
give the same bytes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mlrc.results.statistics.components import layout_of, nested_error, over_draws
from mlrc.results.statistics.exact import Whole, deviation, grid_bits, in_steps, percent, settled

CONFIDENCE = 0.95
"""Of every interval."""
RESAMPLES = 2000
"""Bootstrap resamples; the ends of a 95 % interval then vary by about a fiftieth of its width."""
SEED = 20030850
"""Of every bootstrap."""
_BLOCK = 256  # resamples per matrix product, which bounds the memory at 11,317 classes to 24 MB


class Interval(NamedTuple):
    """The two ends of an interval."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference of two means and how sure it is; its error follows a Student-t distribution.

    Attributes:
        mean: first minus second, percent points.
        error: its standard error.
        freedom: degrees of freedom of the error.
    """

    mean: float
    error: float
    freedom: float

    def interval(self) -> Interval:
        """Give the 95 % interval."""
        half = _quantile(self.freedom) * self.error
        return Interval(self.mean - half, self.mean + half)

    @property
    def p_value(self) -> float:
        """How often two equal things differ at least as much."""
        if self.error == 0:
            return float(self.mean == 0)
        return 2 * _tail(abs(self.mean) / self.error, self.freedom)

    @property
    def exceeds_zero(self) -> float:
        """How often the first would be ahead by as much if it were no better: a one-sided p-value."""
        if self.error == 0:
            return float(self.mean <= 0)
        return _tail(self.mean / self.error, self.freedom)

    def equivalence(self, margin: float) -> float:
        """Give the p-value of two one-sided tests (TOST): small when the difference surely lies within ± `margin`.

        D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987).
        """
        if self.error == 0:
            return float(abs(self.mean) >= margin)
        return _tail((margin - abs(self.mean)) / self.error, self.freedom)


def half_width(values: Sequence[float], searches: Sequence[int] = ()) -> float | None:
    """Give the half width of the Student-t interval of the mean, ddof 1; `None` for fewer than two values.

    Args:
        values: of the repeats.
        searches: of each repeat; where there are several, the means of the searches are what is independent.
    """
    if len(set(searches)) > 1:
        error, units = nested_error(values, searches)
        return half_width_of(error, units)
    if len(values) < 2:
        return None
    return half_width_of(deviation(values) / math.sqrt(len(values)), len(values))


def half_width_of(error: float, n: int) -> float:
    """Give the half width of the Student-t interval of a mean of `n` values with that standard error."""
    return _quantile(n - 1) * error


def error_of(half: float, n: int) -> float:
    """Give the standard error of a mean of `n` values back from the half width of its Student-t interval."""
    return half / _quantile(n - 1)


def welch(means: tuple[float, float], errors: tuple[float, float], ns: tuple[int, int]) -> Difference:
    """Give the difference of the means of two independent samples of unequal variance (Welch-Satterthwaite).

    Args:
        means: of the two samples.
        errors: their standard errors.
        ns: their sizes, each at least 2.
    """
    variances = (errors[0] * errors[0], errors[1] * errors[1])
    return Difference(
        mean=means[0] - means[1],
        error=math.sqrt(sum(variances)),
        freedom=satterthwaite(variances, (ns[0] - 1, ns[1] - 1)),
    )


def satterthwaite(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Give the degrees of freedom of a sum of independent variance estimates."""
    squares = math.fsum(variance * variance / freedom for variance, freedom in zip(variances, freedoms, strict=True))
    total = math.fsum(variances)
    return total * total / squares if squares > 0 else float(min(freedoms))


def holm(p_values: Sequence[float]) -> list[float]:
    """Give p-values corrected for their number (Holm's step-down method), in the order given.

    S. Holm: A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = floor
    return adjusted


class ClassDraws(NamedTuple):
    """What the totals would have been on other draws of the test classes.

    Attributes:
        totals: `(resamples, columns)`, in grid steps: exact, so that they may be compared.
        queries: `(resamples,)`, how many were drawn with the classes.
        bits: of the grid.
    """

    totals: Whole
    queries: Whole
    bits: int

    def percent(self) -> NDArray[np.float64]:
        """Give the means, `(resamples, columns)`."""
        return percent(self.totals, self.queries[:, None], self.bits)


def class_draws(
    sums: NDArray[np.float64], counts: NDArray[np.int64], *, stream: int = 0, whole: bool = False
) -> ClassDraws:
    """Give what the totals would have been on other draws of the test classes.

    All columns see the same draws, so that their differences are those of paired classes.

    Args:
        sums: `(columns, classes)`, the sum of a metric (0 … 1) over the queries of each class.
        counts: `(classes,)`, queries per class.
        stream: of random numbers; other sets of classes take another one.
        whole: give one draw, each class once, which is what was measured.

    Raises:
        ValueError: the sums cannot be exact, see `mlrc.results.statistics.exact`.
    """
    classes = len(counts)
    steps = in_steps(sums, counts)
    weights = np.ones((1, classes), dtype=np.uint16) if whole else _class_weights(classes, stream)
    totals = np.empty((len(weights), len(sums)), dtype=np.int64)
    queries = np.empty(len(weights), dtype=np.int64)
    for start in range(0, len(weights), _BLOCK):
        block = weights[start : start + _BLOCK].astype(np.float64)
        totals[start : start + _BLOCK] = block @ steps.T
        queries[start : start + _BLOCK] = block @ counts
    return ClassDraws(totals, queries, grid_bits(counts))


def class_intervals(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> list[Interval] | None:
    """Give the interval of each column over other draws of the test classes, in percent.

    The influences of the classes on the ratio of sums give its error, Student's t with classes − 1 degrees of freedom
    the width, on the logit scale, so that no end leaves 0 … 100. (Percentiles of a bootstrap cover too little.)

    Args:
        sums: `(repeats, columns, classes)`, of whose repeats the mean counts, each the sum of a metric (0 … 1) over the
            queries of a class.
        counts: `(classes,)`, queries per class.

    Returns:
        `None` for fewer than two classes.

    Raises:
        ValueError: the sums cannot be exact, see `mlrc.results.statistics.exact`.
    """
    if len(counts) < 2:
        return None
    layout = layout_of(counts, len(sums))
    quantile = _quantile(len(counts) - 1)
    return [_class_interval(*over_draws(sums[:, column], layout), quantile) for column in range(sums.shape[1])]


def _class_interval(mean: float, variance: float, quantile: float) -> Interval:
    share = mean / 100
    if variance == 0 or not 0 < share < 1:
        return Interval(mean, mean)
    middle = math.log(share / (1 - share))
    half = quantile * math.sqrt(variance) / (100 * share * (1 - share))
    return Interval(*(settled(100 / (1 + math.exp(-end))) for end in (middle - half, middle + half)))


@lru_cache(maxsize=4)
def _class_weights(classes: int, stream: int) -> NDArray[np.uint16]:
    """Give how often each class is drawn, `(resamples, classes)`; each row sums to the number of classes."""
    generator = np.random.default_rng([SEED, stream] if stream else SEED)
    weights = np.empty((RESAMPLES, classes), dtype=np.uint16)
    for row in weights:
        row[:] = np.bincount(generator.integers(classes, size=classes), minlength=classes)
    weights.flags.writeable = False
    return weights


def _quantile(freedom: float) -> float:
    return settled(float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2)))


def _tail(ratio: float, freedom: float) -> float:
    return settled(float(special.stdtr(freedom, -ratio)))
