"""Variances of a few repeats, steadied by those of the other losses: empirical Bayes.

G. K. Smyth: Linear models and empirical Bayes methods for assessing differential expression in microarray experiments,
Statistical Applications in Genetics and Molecular Biology 3 (2004). True variances are taken to be drawn from a scaled
inverse chi-squared distribution, whose two numbers are found from the mean and the variance of the logarithms.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import special

from mlrc.results.statistics.exact import settled

FEWEST = 5
"""Variances from which a distribution of them is learnt; fewer are left as they are."""
_SMALLEST = 1e-5  # of their median, below which a variance is taken for this: its logarithm would say too much


class Moderated(NamedTuple):
    """A variance with its degrees of freedom, `inf` for one that is known."""

    variance: float
    freedom: float


class Prior(NamedTuple):
    """What is known of a variance before its own values are seen: a variance with degrees of freedom, 0 for nothing."""

    variance: float
    freedom: float


def prior(variances: Sequence[float], freedoms: Sequence[int]) -> Prior:
    """Learn what variances have in common.

    Args:
        variances: of independent samples, 0 or more.
        freedoms: degrees of freedom of each, 1 or more.
    """
    median = sorted(variances)[len(variances) // 2] if variances else 0.0
    if len(variances) < FEWEST or median == 0:
        return Prior(0.0, 0.0)
    logs = [
        settled(math.log(max(variance, _SMALLEST * median)) - _of(special.digamma, freedom / 2) + math.log(freedom / 2))
        for variance, freedom in zip(variances, freedoms, strict=True)
    ]
    middle = math.fsum(logs) / len(logs)
    spread = math.fsum((one - middle) ** 2 for one in logs) / (len(logs) - 1)
    excess = settled(spread - math.fsum(_of(special.polygamma, 1, freedom / 2) for freedom in freedoms) / len(freedoms))
    if excess <= 0:
        return Prior(settled(math.exp(middle)), math.inf)
    freedom = settled(2 * _trigamma_inverse(excess))
    return Prior(settled(math.exp(middle + _of(special.digamma, freedom / 2) - math.log(freedom / 2))), freedom)


def moderated(variances: Sequence[float], freedoms: Sequence[int]) -> list[Moderated]:
    """Give each variance drawn towards what all have in common; never with more degrees of freedom than all together.

    Args:
        variances: of independent samples, 0 or more.
        freedoms: degrees of freedom of each, 1 or more.
    """
    known = prior(variances, freedoms)
    pooled = float(sum(freedoms))
    return [_moderated(*one, known, pooled) for one in zip(variances, freedoms, strict=True)]


def _moderated(variance: float, freedom: int, known: Prior, pooled: float) -> Moderated:
    if math.isinf(known.freedom):
        return Moderated(known.variance, pooled)
    together = known.freedom + freedom
    drawn = (known.freedom * known.variance + freedom * variance) / together
    return Moderated(drawn, min(together, pooled))


def _trigamma_inverse(value: float) -> float:
    """Give x with trigamma(x) = value, by Newton's steps on 1 / trigamma, which is convex and nearly straight."""
    if value < 1e-7:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = _of(special.polygamma, 1, x)
        step = trigamma * (1 - trigamma / value) / _of(special.polygamma, 2, x)
        x += step
        if -step < 1e-13 * x:
            break
    return x


def _of(function: "special.ufunc", *arguments: float) -> float:  # type: ignore[name-defined] # in stubs alone
    return settled(float(function(*arguments)))
