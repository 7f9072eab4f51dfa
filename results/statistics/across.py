"""Several data sets at once: how far losses come, how they rank, how often one beats another, with what certainty.

R. Agarwal et al.: Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS 2021, arXiv 2108.13264:
few repeats of each of several tasks, drawn anew within each task (a stratified bootstrap); here the test classes of
each data set are drawn anew as well. What is compared is whole billionths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlrc.results.statistics.exact import DECIMALS, Whole, in_billionths
from mlrc.results.statistics.intervals import CONFIDENCE, RESAMPLES, SEED, class_draws

Values = NDArray[np.float64]
_TOP = 100 * 10**DECIMALS


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """One data set.

    Attributes:
        sums: loss to `(repeats, classes)`, the sum of the metric (0 … 1) over the queries of each class; two or more
            repeats each.
        searches: loss to the search of each of its repeats; where there are several they are what is drawn, with all
            their repeats, and each loss has two or more.
        untrained: likewise of the trunk before training, one repeat or more; `None` where it was not measured.
        counts: `(classes,)`, queries per class.
    """

    sums: Mapping[str, Values]
    searches: Mapping[str, Sequence[int]]
    untrained: Values | None
    counts: Whole


class Estimate(NamedTuple):
    """A number with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One loss over all data sets.

    Attributes:
        gain: mean share of the way from the untrained trunk's score to 100 %, in percent; `None` where the untrained
            trunk is missing on a data set.
        rank: mean over the data sets of its place by the mean over repeats, equal ones sharing theirs.
        improvement: how often one repeat of it beats one of another loss, mean over data sets and other losses.
    """

    gain: Estimate | None
    rank: Estimate
    improvement: Estimate


class Standings(NamedTuple):
    """All losses over all data sets; `pairs`: (first, second) to how often the first beats the second."""

    losses: Mapping[str, Standing]
    pairs: Mapping[tuple[str, str], Estimate]


def standings(strata: Sequence[Stratum]) -> Standings:
    """Compare the losses that all data sets have.

    Args:
        strata: two or more data sets with two or more losses in common.
    """
    losses = sorted(set.intersection(*(set(stratum.sums) for stratum in strata)))
    gains, ranks, wins = [], [], []
    for number, stratum in enumerate(strata):
        scores = {loss: _scores(stratum.sums[loss], stratum.counts, number) for loss in losses}
        weights = {loss: _weights(stratum.searches[loss], number, place) for place, loss in enumerate(losses)}
        means = np.stack([_means(scores[loss], weights[loss]) for loss in losses], axis=1)
        ranks.append(_ranks(means))
        wins.append(_wins([scores[loss] for loss in losses], [weights[loss] for loss in losses]))
        if stratum.untrained is not None:
            untrained = _scores(stratum.untrained, stratum.counts, number)
            floor = np.rint(untrained.sum(axis=1) / untrained.shape[1])[:, None]
            gains.append(100 * (means - floor) / np.maximum(_TOP - floor, 1))
    gain = _over(gains) if len(gains) == len(strata) else None
    rank, win = _over(ranks), _over(wins)
    others = win.sum(axis=2) - 0.5  # less the loss against itself
    return Standings(
        losses={
            loss: Standing(
                gain=None if gain is None else _estimate(gain[:, place]),
                rank=_estimate(rank[:, place]),
                improvement=_estimate(others[:, place] / (len(losses) - 1)),
            )
            for place, loss in enumerate(losses)
        },
        pairs={(a, b): _estimate(win[:, i, j]) for i, a in enumerate(losses) for j, b in enumerate(losses) if i != j},
    )


def _scores(sums: Values, counts: Whole, stratum: int) -> Whole:
    """Give `(1 + resamples, repeats)` scores in billionths of percent points, first those that were measured."""
    draws = class_draws(sums, counts, stream=stratum)
    measured = class_draws(sums, counts, whole=True)
    rows = [in_billionths(one.percent()) for one in (measured, draws)]
    return np.concatenate(rows)


def _weights(searches: Sequence[int], stratum: int, loss: int) -> Whole:
    """Give how often each repeat counts, `(1 + resamples, repeats)`.

    Of n repeats, or of n searches where there are several, n − 1 are drawn (Rao, Wu).
    """
    distinct, of_search = np.unique(np.asarray(searches), return_inverse=True)
    units = of_search if len(distinct) > 1 else np.arange(len(searches))
    count = int(units.max()) + 1
    generator = np.random.default_rng([SEED, 1 + stratum, 1 + loss])  # zeros at the end would say nothing
    drawn = generator.multinomial(count - 1, np.full(count, 1 / count), size=RESAMPLES)[:, units]
    return np.concatenate([np.ones((1, len(searches)), dtype=np.int64), drawn.astype(np.int64)])


def _means(scores: Whole, weights: Whole) -> Whole:
    return np.asarray(np.rint((scores * weights).sum(axis=1) / weights.sum(axis=1)).astype(np.int64))


def _ranks(means: Whole) -> Values:
    """Give places from 1, `(resamples, losses)`; equal means share the middle of theirs."""
    above = (means[:, None, :] > means[:, :, None]).sum(axis=2)
    equal = (means[:, None, :] == means[:, :, None]).sum(axis=2) - 1
    return np.asarray(1 + above + equal / 2)


def _wins(scores: Sequence[Whole], weights: Sequence[Whole]) -> Values:
    """Give `(resamples, losses, losses)`, the share of pairs of repeats in which the first is ahead, ties half."""
    found = np.full((len(scores[0]), len(scores), len(scores)), 0.5)
    for i in range(len(scores)):
        for j in range(i + 1, len(scores)):
            apart = scores[i][:, :, None] - scores[j][:, None, :]
            counted = weights[i][:, :, None] * weights[j][:, None, :]
            twice = (counted * (np.sign(apart) + 1)).sum(axis=(1, 2))
            found[:, i, j] = twice / (2 * counted.sum(axis=(1, 2)))
            found[:, j, i] = 1 - found[:, i, j]
    return found


def _over(strata: Sequence[Values]) -> Values:
    """Give the mean over data sets, added up in their order."""
    total = strata[0]
    for one in strata[1:]:
        total = total + one
    return total / len(strata)


def _estimate(values: Values) -> Estimate:
    low, high = np.quantile(values[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(values[0]), float(low), float(high))
