"""Every pair of losses of one table: by how much they differ, how surely, and which cannot be told apart.

The noise of both sources enters: a hierarchical bootstrap draws repeats of each loss and, for both losses at once, test
classes. The interval takes the bootstrap's standard error and the Student-t quantile for the few repeats there are,
because percentiles of a bootstrap over three repeats are too narrow.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mlrc.results.statistics.intervals import SEED, Difference, class_draws, holm, satterthwaite
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
    draws = {loss: class_draws(sums[loss], counts) for loss in losses}
    means = {loss: 100 * sums[loss].sum(axis=1) / counts.sum() for loss in losses}
    names = list(combinations(losses, 2))
    first, second = ({loss: _draw_repeats(draws[loss], side) for loss in losses} for side in (1, 2))
    over_classes = {loss: draws[loss].mean(axis=1) for loss in losses}
    found = [
        _difference(means[a], means[b], first[a] - second[b], over_classes[a] - over_classes[b], len(counts))
        for a, b in names
    ]
    adjusted = holm([difference.p_value for difference in found])
    pairs: dict[tuple[str, str], Pair] = {}
    for (a, b), difference, p_value in zip(names, found, adjusted, strict=True):
        pair = Pair(difference=difference, probability=_outperforming(draws[a], draws[b]), adjusted=p_value)
        pairs |= {(a, b): pair, (b, a): pair.mirrored()}
    beaten = {loss: sum(pairs[loss, other].lost for other in losses if other != loss) for loss in losses}
    top = max(losses, key=lambda loss: float(means[loss].mean()))
    return Contest(
        losses=losses,
        pairs=pairs,
        ranks={loss: 1 + beaten[loss] for loss in losses},
        best=frozenset(loss for loss in losses if loss == top or not pairs[loss, top].told_apart),
    )


def _difference(a: Values, b: Values, drawn: Values, of_classes: Values, classes: int) -> Difference:
    """Give the difference of two losses with the error of the bootstrap over repeats and classes at once.

    Args:
        a: `(repeats,)`, means of the first loss.
        b: likewise, of the second.
        drawn: `(resamples,)`, the difference with repeats and classes drawn.
        of_classes: `(resamples,)`, the difference with classes drawn alone.
        classes: number of test classes.
    """
    variances = (_variance(a) / len(a), _variance(b) / len(b), _variance(of_classes))
    return Difference(
        mean=float(a.mean() - b.mean()),
        error=math.sqrt(_variance(drawn)),
        freedom=satterthwaite(variances, (len(a) - 1, len(b) - 1, classes - 1)),
    )


def _draw_repeats(draws: Values, side: int) -> Values:
    """Give the mean over drawn repeats, `(resamples,)`, of draws `(resamples, repeats)`; each side draws its own.

    Of n repeats n − 1 are drawn: the bootstrap's variance is then that of the mean with ddof 1, also for few repeats
    (J. N. K. Rao, C. F. J. Wu, Journal of the American Statistical Association 83, 1988).
    """
    return np.asarray(np.einsum("br,br->b", draws, _repeat_weights(len(draws), draws.shape[1], side)))


@lru_cache(maxsize=8)
def _repeat_weights(resamples: int, repeats: int, side: int) -> Values:
    generator = np.random.default_rng([SEED, side])
    weights = generator.multinomial(repeats - 1, np.full(repeats, 1 / repeats), size=resamples)
    return np.asarray(weights / (repeats - 1))


def _outperforming(a: Values, b: Values) -> float:
    """Compare each repeat of `a` `(resamples, repeats)` with each of `b` on the same draw of classes."""
    first, second = a[:, :, None], b[:, None, :]
    ahead, behind = np.count_nonzero(first > second), np.count_nonzero(first < second)
    return float(0.5 + (ahead - behind) / (2 * a.size * b.shape[1]))


def _variance(values: Values) -> float:
    return float(np.var(values, ddof=1))
