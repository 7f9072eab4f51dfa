"""What a table can see, and what it would take to see more."""

import math
from collections.abc import Callable

from scipy import special

from mlrc.results.statistics.exact import settled
from mlrc.results.statistics.intervals import Difference

POWER = 0.8
"""How often a difference that is called detectable is found."""
MOST = 1000
"""Units beyond which nobody goes."""


def detectable(error: float, freedom: float, tests: int, alpha: float) -> float:
    """Give the smallest difference that is told apart in four tables of five, percent points.

    Args:
        error: standard error of a difference.
        freedom: degrees of freedom of the error.
        tests: pairs that are judged together (Bonferroni).
        alpha: the error rate of all of them.
    """
    return (quantile(1 - alpha / (2 * tests), freedom) + quantile(POWER, freedom)) * error


def smallest_margin(difference: Difference, tests: int, alpha: float) -> float:
    """Give the smallest margin within which a difference is shown to lie (two one-sided tests), percent points."""
    return abs(difference.mean) + quantile(1 - alpha / tests, difference.freedom) * difference.error


def fewest(enough: Callable[[int], bool]) -> int | None:
    """Give the smallest number of units, 2 or more, that are enough; `None` where `MOST` are not."""
    if not enough(MOST):
        return None
    low, high = 1, MOST  # the first is too few, the second enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def quantile(share: float, freedom: float) -> float:
    """Give the quantile of Student's t; of the normal distribution where the degrees of freedom are infinite."""
    if math.isinf(freedom):
        return settled(float(special.ndtri(share)))
    return settled(float(special.stdtrit(freedom, share)))
