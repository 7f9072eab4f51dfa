"""The error of a difference of two losses, by its sources, and the degrees of freedom that it has.

The degrees of freedom follow Satterthwaite's rule, with two cautions that simulations ask for (docs/statistics.md):
moderated variances of two losses share what was learnt from all, so the rule, which takes them for independent, is
averaged with W. G. Cochran's (Biometrics 20, 1964), which does not; and as a variance that is small by chance makes its
own part seem small, no pair has more of them than the components that are typical of the column would give.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlrc.results.statistics.intervals import Difference


@dataclass(frozen=True, kw_only=True)
class OfUnits:
    """The noise of one loss's repeats, or searches.

    Attributes:
        variance: of the mean over them, percent points squared; `freedom`: its degrees of freedom.
        count: how many there are; where some searches have fewer repeats, how many equal ones they are worth.
        moderated: whether the variance holds what was learnt from all losses.
    """

    variance: float
    freedom: float
    count: float
    moderated: bool

    def at(self, count: int) -> "OfUnits":
        """Give what it would be with so many units."""
        more = max(0.0, count - self.count)
        return replace(self, variance=self.variance * self.count / count, freedom=self.freedom + more, count=count)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The noise of a difference of two means.

    Attributes:
        classes: variance over another draw of test classes, which no repeat takes away, percent points squared, with
            the `class_freedom`.
        units: of the two losses.
        ceiling: the most degrees of freedom that the difference may have.
    """

    classes: float
    class_freedom: float
    units: tuple[OfUnits, OfUnits]
    ceiling: float = math.inf

    def difference(self, mean: float) -> Difference:
        """Give the difference with its error."""
        own = math.fsum(one.variance for one in self.units)
        freedom = _freedom(self.classes, self.class_freedom, own, _of_both(self.units), square=True)
        error = math.sqrt(self.classes + own)
        return Difference(mean=mean, error=error, freedom=min(freedom, self.ceiling))

    def at(self, count: int) -> "Noise":
        """Give the noise as it would be with so many units of each loss."""
        return replace(self, units=(self.units[0].at(count), self.units[1].at(count)), ceiling=math.inf)

    @property
    def of_one(self) -> float:
        """The variance of the difference of two single units on another draw of classes."""
        return self.classes + math.fsum(one.variance * one.count for one in self.units)


def _of_both(units: tuple[OfUnits, OfUnits]) -> float:
    """Give the degrees of freedom of the sum of two: where they share something, the harmonic mean of both rules."""
    total = math.fsum(one.variance for one in units)
    if total == 0:
        return float(min(one.freedom for one in units))
    squares = math.fsum((one.variance / total) ** 2 / one.freedom for one in units)
    if not units[0].moderated:
        return 1 / squares
    shares = math.fsum(one.variance / total / one.freedom for one in units)
    return 2 / (squares + shares)


def typical_freedom(classes: Sequence[float], units: Sequence[OfUnits], class_freedom: float) -> float:
    """Give the degrees of freedom of a difference whose components are the means of a column's.

    Args:
        classes: variances over classes of all pairs.
        units: of all losses.
        class_freedom: degrees of freedom of the former.
    """
    of_classes = math.fsum(classes) / len(classes)
    of_units = 2 * math.fsum(one.variance for one in units) / len(units)
    freedoms = sorted(_alike(one) for one in units)
    middle = freedoms[len(freedoms) // 2]
    cautious = (True, False) if units[0].moderated else (True,)
    rules = [_freedom(of_classes, class_freedom, of_units, middle, square=square) for square in cautious]
    return len(rules) / math.fsum(1 / rule for rule in rules)


def _alike(one: OfUnits) -> float:
    return _of_both((one, one)) if one.variance > 0 else one.freedom


def _freedom(classes: float, class_freedom: float, units: float, unit_freedom: float, *, square: bool) -> float:
    """Give the degrees of freedom of the sum of the two parts, by shares (Cochran) or their squares (Satterthwaite)."""
    total = classes + units
    if total == 0:
        return min(class_freedom, unit_freedom)
    power = 2 if square else 1
    return 1 / ((classes / total) ** power / class_freedom + (units / total) ** power / unit_freedom)
