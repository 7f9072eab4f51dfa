"""What counts as one independent draw of a loss: a repeat, or, where a loss was searched several times, a search.

The repeats of one search share its luck, so they count once, by their mean. With as many repeats of each search, that
mean is what an analysis with the search as the outer random effect comes to.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mlrc.results.records.record import RunRecord
from mlrc.results.statistics.exact import mean


def several(runs: Sequence[RunRecord]) -> bool:
    """Say whether repeats come from more than one search of a loss."""
    return len({(run.loss, run.search) for run in runs}) > len({run.loss for run in runs})


def by_search(searches: Sequence[int], values: Sequence[float]) -> list[float]:
    """Give the mean over the repeats of each search, in their order; `searches` has that of each value."""
    return [
        mean([value for of, value in zip(searches, values, strict=True) if of == search])
        for search in sorted(set(searches))
    ]


def sums_by_search(searches: Sequence[int], sums: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Give the per-class sums of each search, the mean over its repeats: `(searches, classes)`.

    Args:
        searches: of each repeat.
        sums: place of each repeat to its per-class sums, `(classes,)`.
    """
    found = []
    for search in sorted(set(searches)):
        mine = [sums[place] for place, of in enumerate(searches) if of == search]
        total = mine[0].copy()
        for one in mine[1:]:  # one after the other, so that no processor adds them in another order
            total += one
        found.append(total / len(mine))
    return np.stack(found)
