"""P(A > B): how often one repeat of A beats one repeat of B on another draw of test classes, and how sure that is.

X. Bouthillier et al.: Accounting for Variance in Machine Learning Benchmarks, MLSys 2021, arXiv 2103.03098. They count
wins over tens of paired runs; with three repeats there is nothing to count, so that the probability is that of a normal
difference: Φ(difference / deviation of one difference).
"""

import math
from typing import NamedTuple

from scipy import special

from mlrc.results.statistics.exact import settled
from mlrc.results.statistics.intervals import CONFIDENCE, Difference

MEANINGFUL = 0.75
"""The probability from which Bouthillier et al. call a difference meaningful."""
_TAIL = (1 - CONFIDENCE) / 2
_FAR = 200.0
_HALVINGS = 36


class Outperforming(NamedTuple):
    """A probability with the ends of its 95 % interval."""

    probability: float
    low: float
    high: float

    @property
    def meaningful(self) -> bool:
        """Whether one is surely ahead more often than not, and as often as makes a difference."""
        return (self.low > 0.5 and self.probability >= MEANINGFUL) or (
            self.high < 0.5 and 1 - self.probability >= MEANINGFUL
        )


def outperforming(difference: Difference, of_one: float) -> Outperforming:
    """Give how often the first is ahead.

    The difference over its error follows a noncentral t distribution, whose noncentrality is the standardised
    difference times a number that is known; so the interval holds ½ just where that of the difference holds 0.

    Args:
        difference: of the means.
        of_one: variance of the difference of two single repeats on another draw of classes, percent points squared.
    """
    if of_one <= 0:
        certain = 0.5 if difference.mean == 0 else float(difference.mean > 0)
        return Outperforming(certain, certain, certain)
    ratio = difference.mean / math.sqrt(of_one)
    scale = difference.error / math.sqrt(of_one)
    seen = settled(difference.mean / difference.error)
    ends = (scale * _noncentrality(seen, difference.freedom, share) for share in ((1 + CONFIDENCE) / 2, _TAIL))
    return Outperforming(*(settled(float(special.ndtr(settled(one)))) for one in (ratio, *ends)))


def _noncentrality(seen: float, freedom: float, share: float) -> float:
    """Give the noncentrality under which a t no greater than the one seen has that probability."""
    if abs(seen) > _FAR:  # the deviation alone is unsure then
        tail = share if seen > 0 else 1 - share
        return seen * math.sqrt(settled(float(special.chdtri(freedom, tail))) / freedom)
    near = float(special.nctdtrinc(freedom, share, seen))  # to some six digits, which bisection makes twelve
    low, high = near - 1e-3 * (1 + abs(near)), near + 1e-3 * (1 + abs(near))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_small = float(special.nctdtr(freedom, middle, seen)) > share
        low, high = (middle, high) if too_small else (low, middle)
    return (low + high) / 2
