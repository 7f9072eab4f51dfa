"""What a table may say of an order: an interval of ranks for each loss, and which losses could be the best.

M. Mogstad, J. P. Romano, A. M. Shaikh, D. Wilhelm: Inference for Ranks with Applications to Mobility across
Neighbourhoods and Academic Achievement across Countries, Review of Economic Studies 91 (2024); J. C. Hsu:
Constrained simultaneous confidence intervals for multiple comparisons with the best, Annals of Statistics 12 (1984).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlrc.results.statistics.intervals import Difference


class Ranks(NamedTuple):
    """From the best to the worst place that a loss may have: one interval of several that hold together."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}–{self.high}"


def rank_intervals(losses: Sequence[str], surely_worse: Callable[[str, str], bool]) -> dict[str, Ranks]:
    """Give 1 + the number of surely better losses to all losses less the surely worse ones, for each.

    Where `surely_worse(a, b)`, that a is worse than b, errs in no pair, every interval holds the loss's true rank; each
    holds its place in the order of the means as well, since only the lower mean of two is ever the worse one.
    """
    found = {}
    for loss in losses:
        better = sum(surely_worse(loss, other) for other in losses if other != loss)
        worse = sum(surely_worse(other, loss) for other in losses if other != loss)
        found[loss] = Ranks(1 + better, len(losses) - worse)
    return found


def could_be_best(losses: Sequence[str], difference: Callable[[str, str], Difference], alpha: float) -> frozenset[str]:
    """Give the losses among which the best one is, but for `alpha` of tables: those that no other surely beats.

    For the best one there are as many ways to be left out wrongly as other losses, so each one-sided test has its share
    of alpha (Bonferroni). The highest mean is always among them.
    """
    share = alpha / (len(losses) - 1)
    return frozenset(
        loss
        for loss in losses
        if all(difference(other, loss).exceeds_zero > share for other in losses if other != loss)
    )
