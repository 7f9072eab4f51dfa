"""How far the best of a search's trials might have come out otherwise, from those trials alone.

A single search says little of that. Drawing n of its n trials with replacement (best-of-n resampling) has a closed
form, so nothing here is random. It is a crude figure: it takes the trials for independent, which those of a Gaussian
process are not, and it knows of no score above the best one seen. See docs/search.md for how crude.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

TRIALS = 10
"""With fewer the figure says more of the trials' accident than of the search (simulated, see docs/search.md)."""


def spread_of_best(scores: Sequence[float]) -> float | None:
    """Give the standard deviation of the best of n trials over draws of n of these, with replacement.

    Args:
        scores: of the trials, percent.

    Returns:
        Percent points; `None` where there are fewer than `TRIALS`.
    """
    n = len(scores)
    if n < TRIALS:
        return None
    ordered = [Fraction(score) for score in sorted(scores)]
    chances = [Fraction(place**n - (place - 1) ** n, n**n) for place in range(1, n + 1)]  # of the place-th being best
    middle = sum(chance * score for chance, score in zip(chances, ordered, strict=True))
    return math.sqrt(sum(chance * (score - middle) ** 2 for chance, score in zip(chances, ordered, strict=True)))
