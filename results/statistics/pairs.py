"""Every pair of losses of one table: by how much they differ, how surely, and which cannot be told apart.

The noise of both sources enters: a hierarchical bootstrap draws repeats of each loss and, for both losses at once, test
classes. The interval takes the bootstrap's standard error and the Student-t quantile for the few repeats there are,
because percentiles of a bootstrap over three repeats are too narrow. All sums are exact and ties have a rule
(`mlrc.results.statistics.exact`), so that no rounding decides.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mlrc.results.statistics.exact import DECIMALS, Whole, grid_bits, in_billionths, in_steps, percent, variance
from mlrc.results.statistics.intervals import SEED, ClassDraws, Difference, class_draws, holm, satterthwaite
from mlrc.results.statistics.levels import ALPHA

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two losses on one metric.

    Attributes:
        difference: of their means over repeats.
        probability: that one repeat of the first beats one repeat of the second on another draw of the test classes
            (ties count half); the probability of outperforming of Bouthillier et al., MLSys 2021, arXiv 2103.03098.
        adjusted: p-value of the difference, corrected for the number of pairs in the column (Holm).
    """

    difference: Difference
    probability: float
    adjusted: float

    @property
    def told_apart(self) -> bool:
        """Whether the difference is more than noise."""
        return self.adjusted <= ALPHA

    @property
    def lost(self) -> bool:
        """Whether the first is surely worse."""
        return self.told_apart and self.difference.mean < 0

    def mirrored(self) -> "Pair":
        """Give the same pair seen from the second loss."""
        seen = Difference(mean=-self.difference.mean, error=self.difference.error, freedom=self.difference.freedom)
        return Pair(difference=seen, probability=1 - self.probability, adjusted=self.adjusted)


@dataclass(frozen=True, kw_only=True)
class Contest:
    """All losses on one metric in one setting.

    Attributes:
        losses: their names, sorted.
        pairs: for each two names, in both orders.
        ranks: one more than the number of losses that are surely better; losses that cannot be told apart from the
            same others share a rank.
        best: the losses that cannot be told apart from the one with the highest mean, itself included.
    """

    losses: tuple[str, ...]
    pairs: Mapping[tuple[str, str], Pair]
    ranks: Mapping[str, int]
    best: frozenset[str]

    def equivalence(self, margin: float) -> dict[tuple[str, str], float]:
        """Give for each pair, in both orders, the p-value that it differs by less than `margin` percent points.

        Two one-sided tests, corrected for the number of pairs in the column (Holm).
        """
        names = list(combinations(self.losses, 2))
        p_values = holm([self.pairs[name].difference.equivalence(margin) for name in names])
        found = dict(zip(names, p_values, strict=True))
        return found | {(second, first): p_value for (first, second), p_value in found.items()}


def contest(sums: Mapping[str, Values], counts: NDArray[np.int64]) -> Contest | None:
    """Compare all losses on one metric.

    Args:
        sums: loss to `(repeats, classes)`, the sum of the metric (0 … 1) over the queries of each class; a loss with
            one repeat has no interval and takes no part.
        counts: `(classes,)`, queries per class.

    Returns:
        `None` where nothing can be said: fewer than two losses with at least two repeats each, or one class.
    """
    losses = tuple(sorted(loss for loss, repeats in sums.items() if len(repeats) > 1))
    if len(losses) < 2 or len(counts) < 2:
        return None
    bits, queries = grid_bits(counts), int(counts.sum())
    draws = {loss: class_draws(sums[loss], counts) for loss in losses}
    totals = {loss: in_steps(sums[loss], counts).sum(axis=1).astype(np.int64) for loss in losses}
    means = {loss: _mean(totals[loss], queries, bits) for loss in losses}
    repeats = {loss: in_billionths(percent(totals[loss], queries, bits)) for loss in losses}
    names = list(combinations(losses, 2))
    first, second = ({loss: _draw_repeats(draws[loss], side) for loss in losses} for side in (1, 2))
    over_classes = {loss: _over_repeats(draws[loss]) for loss in losses}
    found = [
        Difference(
            mean=float(round(means[a] - means[b], DECIMALS)),
            error=math.sqrt(variance(first[a] - second[b])),
            freedom=_freedom(repeats[a], repeats[b], over_classes[a] - over_classes[b], len(counts)),
        )
        for a, b in names
    ]
    adjusted = holm([difference.p_value for difference in found])
    pairs: dict[tuple[str, str], Pair] = {}
    for (a, b), difference, p_value in zip(names, found, adjusted, strict=True):
        pair = Pair(
            difference=difference,
            probability=_outperforming(draws[a].totals, draws[b].totals, len(counts)),
            adjusted=p_value,
        )
        pairs |= {(a, b): pair, (b, a): pair.mirrored()}
    beaten = {loss: sum(pairs[loss, other].lost for other in losses if other != loss) for loss in losses}
    top = max(losses, key=lambda loss: round(means[loss], DECIMALS))  # the first by name of those that tie
    return Contest(
        losses=losses,
        pairs=pairs,
        ranks={loss: 1 + beaten[loss] for loss in losses},
        best=frozenset(loss for loss in losses if loss == top or not pairs[loss, top].told_apart),
    )


def _mean(totals: Whole, queries: int, bits: int) -> Fraction:
    """Give the mean of repeats `(repeats,)` in percent, from their totals in grid steps."""
    return Fraction(100 * int(totals.sum()), len(totals) * queries << bits)


def _freedom(a: Whole, b: Whole, of_classes: Whole, classes: int) -> float:
    """Give the degrees of freedom of the error of a difference.

    Args:
        a: `(repeats,)`, means of the first loss in billionths of percent points.
        b: likewise, of the second.
        of_classes: `(resamples,)`, the difference with classes drawn alone, likewise.
        classes: number of test classes.
    """
    variances = (variance(a) / len(a), variance(b) / len(b), variance(of_classes))
    return satterthwaite(variances, (len(a) - 1, len(b) - 1, classes - 1))


def _draw_repeats(draws: ClassDraws, side: int) -> Whole:
    """Give the mean over drawn repeats, `(resamples,)`, in billionths of percent points; each side draws its own.

    Of n repeats n − 1 are drawn: the bootstrap's variance is then that of the mean with ddof 1, also for few repeats
    (J. N. K. Rao, C. F. J. Wu, Journal of the American Statistical Association 83, 1988).
    """
    resamples, repeats = draws.totals.shape
    totals = (draws.totals * _repeat_weights(resamples, repeats, side)).sum(axis=1)
    return in_billionths(percent(totals, (repeats - 1) * draws.queries, draws.bits))


def _over_repeats(draws: ClassDraws) -> Whole:
    """Give the mean over all repeats, `(resamples,)`, in billionths of percent points."""
    return in_billionths(percent(draws.totals.sum(axis=1), draws.totals.shape[1] * draws.queries, draws.bits))


@lru_cache(maxsize=8)
def _repeat_weights(resamples: int, repeats: int, side: int) -> Whole:
    """Give how often each repeat is drawn, `(resamples, repeats)`."""
    generator = np.random.default_rng([SEED, side])
    return np.asarray(generator.multinomial(repeats - 1, np.full(repeats, 1 / repeats), size=resamples), dtype=np.int64)


def _outperforming(a: Whole, b: Whole, steps: int) -> float:
    """Compare each repeat of `a` `(resamples, repeats)` with each of `b` on the same draw; `steps` apart is a tie."""
    apart = a[:, :, None] - b[:, None, :]
    ahead, behind = np.count_nonzero(apart > steps), np.count_nonzero(apart < -steps)
    return float(0.5 + (ahead - behind) / (2 * apart.size))
