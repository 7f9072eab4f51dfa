"""Every pair of losses of one table: by how much they differ, how surely, and which cannot be told apart.

The error of a difference is made of components: test classes, which both losses share, repeats (searches, where there
are several), and the two together (`noise`). The variance of a few repeats is steadied by those of all losses
(`moderation`), and all pairs of a column are corrected together (`step_down`). All sums are exact (`components`), so
that no rounding decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import median

import numpy as np
from numpy.typing import NDArray

from mlrc.results.statistics.components import Layout, Parts, layout_of, over_classes, parts
from mlrc.results.statistics.exact import DECIMALS
from mlrc.results.statistics.intervals import Difference, holm
from mlrc.results.statistics.levels import ALPHA
from mlrc.results.statistics.moderation import FEWEST, moderated
from mlrc.results.statistics.noise import Noise, OfUnits, typical_freedom
from mlrc.results.statistics.outperforming import Outperforming, outperforming
from mlrc.results.statistics.power import detectable, fewest, smallest_margin
from mlrc.results.statistics.ranks import Ranks, could_be_best, rank_intervals
from mlrc.results.statistics.step_down import all_pairs

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two losses on one metric.

    Attributes:
        difference: of their means over repeats.
        adjusted: p-value of the difference, corrected for all pairs of the column (`step_down`).
        noise: where the error of the difference comes from.
        tests: how many pairs the column has.
    """

    difference: Difference
    adjusted: float
    noise: Noise
    tests: int

    @property
    def told_apart(self) -> bool:
        """Whether the difference is more than noise."""
        return self.adjusted <= ALPHA

    @property
    def lost(self) -> bool:
        """Whether the first is surely worse."""
        return self.told_apart and self.difference.mean < 0

    @property
    def outperforming(self) -> Outperforming:
        """How often one repeat of the first beats one of the second on another draw of the test classes."""
        return outperforming(self.difference, self.noise.of_one)

    @property
    def within(self) -> float:
        """The smallest margin within which they are shown to lie, corrected likewise (Bonferroni); percent points."""
        return smallest_margin(self.difference, self.tests, ALPHA)

    @property
    def needed(self) -> int | None:
        """Units of each loss with which a difference of this size would be told apart in four tables of five.

        `None` where no number of them is enough on as many classes, or there is no difference.
        """
        size = abs(self.difference.mean)

        def enough(units: int) -> bool:
            there = self.noise.at(units).difference(0.0)
            return detectable(there.error, there.freedom, self.tests, ALPHA) <= size

        return fewest(enough) if size else None

    def mirrored(self) -> "Pair":
        """Give the same pair seen from the second loss."""
        return replace(self, difference=replace(self.difference, mean=-self.difference.mean))


@dataclass(frozen=True, kw_only=True)
class Contest:
    """All losses on one metric in one setting.

    Attributes:
        losses: their names, sorted.
        pairs: for each two names, in both orders.
        ranks: from the best to the worst place that each may have; all hold together but for 5 % of tables.
        best: the losses that could be the best one; it is among them but for 5 % of tables.
        noises: of each two names in their sorted order.
    """

    losses: tuple[str, ...]
    pairs: Mapping[tuple[str, str], Pair]
    ranks: Mapping[str, Ranks]
    best: frozenset[str]
    noises: Mapping[tuple[str, str], Noise]

    def equivalence(self, margin: float) -> dict[tuple[str, str], float]:
        """Give for each pair, in both orders, the p-value that it differs by less than `margin` percent points.

        Two one-sided tests, corrected for the number of pairs in the column (Holm).
        """
        names = list(combinations(self.losses, 2))
        p_values = holm([self.pairs[name].difference.equivalence(margin) for name in names])
        found = dict(zip(names, p_values, strict=True))
        return found | {(second, first): p_value for (first, second), p_value in found.items()}

    def detectable(self, units: int | None = None, tests: int | None = None) -> float:
        """Give the smallest difference that is told apart in four tables of five, of a typical pair, percent points.

        Args:
            units: of each loss, repeats or searches; as many as there are unless said otherwise.
            tests: pairs that are judged together; those of the column unless said otherwise.
        """
        return median(
            detectable(one.error, one.freedom, tests or len(self.noises), ALPHA)
            for noise in self.noises.values()
            for one in [noise.difference(0.0) if units is None else noise.at(units).difference(0.0)]
        )


def contest(
    sums: Mapping[str, Values], counts: NDArray[np.int64], searches: Mapping[str, Sequence[int]] | None = None
) -> Contest | None:
    """Compare all losses on one metric.

    Args:
        sums: loss to `(repeats, classes)`, the sum of the metric (0 … 1) over the queries of each class; a loss with
            one unit has no interval and takes no part.
        counts: `(classes,)`, queries per class.
        searches: loss to the search of each repeat; where any loss has several, searches are the units and no longer
            repeats, as those of one search share its luck.

    Returns:
        `None` where nothing can be said: fewer than two losses with at least two units each, or one class.
    """
    if len(sums) < 2 or len(counts) < 2:
        return None
    layout = layout_of(counts, max(len(repeats) for repeats in sums.values()))
    nested = several_searches(searches or {})
    found = {}
    for loss in sorted(sums):
        units = searches[loss] if searches and nested else range(len(sums[loss]))
        if of_loss := parts(sums[loss], units, layout):
            found[loss] = of_loss
    if len(found) < 2:
        return None
    losses = tuple(found)
    noises = _noises(found, layout)
    differences = {
        (a, b): noise.difference(float(round(found[a].mean - found[b].mean, DECIMALS)))
        for (a, b), noise in noises.items()
    }
    pairs = _pairs(differences, noises)
    return Contest(
        losses=losses,
        pairs=pairs,
        ranks=rank_intervals(losses, lambda a, b: pairs[a, b].lost),
        best=could_be_best(losses, lambda a, b: pairs[a, b].difference, ALPHA),
        noises=noises,
    )


def several_searches(searches: Mapping[str, Sequence[int]]) -> bool:
    """Whether any loss was searched for more than once."""
    return any(len(set(of_loss)) > 1 for of_loss in searches.values())


def _noises(found: Mapping[str, Parts], layout: Layout) -> dict[tuple[str, str], Noise]:
    steadied = moderated([one.spread for one in found.values()], [one.freedom for one in found.values()])
    units = {
        loss: OfUnits(
            variance=max(steady.variance * one.weight, one.interaction),
            freedom=steady.freedom,
            count=1 / one.weight,
            moderated=len(found) >= FEWEST,
        )
        for (loss, one), steady in zip(found.items(), steadied, strict=True)
    }
    apart = over_classes(found, layout)
    classes = {
        (a, b): max(apart[a, b] - found[a].interaction - found[b].interaction, 0.0) for a, b in combinations(found, 2)
    }
    ceiling = typical_freedom(list(classes.values()), list(units.values()), layout.classes - 1)
    return {
        (a, b): Noise(
            classes=of_classes,
            class_freedom=layout.classes - 1,
            units=(units[a], units[b]),
            ceiling=ceiling,
        )
        for (a, b), of_classes in classes.items()
    }


def _pairs(
    differences: Mapping[tuple[str, str], Difference], noises: Mapping[tuple[str, str], Noise]
) -> dict[tuple[str, str], Pair]:
    adjusted = all_pairs({name: difference.p_value for name, difference in differences.items()})
    pairs: dict[tuple[str, str], Pair] = {}
    for (a, b), difference in differences.items():
        pair = Pair(difference=difference, adjusted=adjusted[a, b], noise=noises[a, b], tests=len(differences))
        pairs |= {(a, b): pair, (b, a): pair.mirrored()}
    return pairs
