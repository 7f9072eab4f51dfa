"""The neighbours themselves, in the ranking that the metrics are made of: exact similarity, ties by lowest index."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.metrics.ranking.candidates import Backend, Search
from mlrc.harness.metrics.ranking.neighbours import LEFT_OUT, Ranking, exhaustive, pairs
from mlrc.harness.metrics.ranking.tiles import Candidates

NONE = -1
"""In place of an index, where there is no further neighbour."""


class Nearest(NamedTuple):
    """The first ranks of every query.

    Attributes:
        indices: `(queries, ranks)`, places in the gallery, the most similar first; `NONE` where there are no more.
        similarities: `(queries, ranks)`, −1 to 1, exact; not a number where there is no neighbour.
    """

    indices: NDArray[np.int64]
    similarities: NDArray[np.float64]


def nearest(
    ranking: Ranking,
    depth: int,
    *,
    backend: Backend = "torch",
    device: str = "cpu",
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Nearest:
    """Find the `depth` nearest neighbours of every query, or all that there are.

    Takes 16 bytes for each beside what `Ranking.search` takes, whose other arguments these are.
    """
    others = len(ranking.within) - (ranking.gallery is None)
    ranks = min(depth, others)
    needed = np.minimum(np.full(len(ranking.queries), ranks) + ranking.left_out, others)
    longest = int(needed.max(initial=0))
    found = Nearest(
        np.full((len(ranking.queries), ranks), NONE, np.int64), np.full((len(ranking.queries), ranks), np.nan)
    )
    if not longest:
        return found

    def settle(candidates: Candidates) -> None:
        here = slice(candidates.start, candidates.start + len(candidates.indices))
        similarities, indices = _settled(ranking, candidates, needed[here])
        found.similarities[here], found.indices[here] = _first(ranking, here, similarities, indices, ranks)

    Search(
        queries=ranking.queries.unit(),
        gallery=None if ranking.gallery is None else ranking.gallery.unit(),
        length=min(others, longest + 8 + longest // 16),
        backend=backend,
        device=device,
        memory=memory,
        progress=progress,
    ).candidates(settle)
    return found


def _settled(
    ranking: Ranking, candidates: Candidates, needed: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rank candidates by exact similarity and lowest index; right up to what is needed of each query."""
    start, similarities, indices = candidates
    margin = np.float32(2 * max(ranking.queries.tolerance, ranking.within.tolerance))
    last_needed = np.take_along_axis(similarities, needed[:, None] - 1, axis=1)
    others = len(ranking.within) - (ranking.gallery is None)
    may_end_early = (last_needed[:, 0] - similarities[:, -1] <= margin) & (indices.shape[1] < others)

    row, place = np.nonzero((similarities >= last_needed - margin) & ~may_end_early[:, None])
    exact = np.full(similarities.shape, -np.inf)
    exact[row, place] = pairs(ranking, start + row, indices[row, place])
    order = np.lexsort((indices, -exact), axis=1)
    exact, indices = np.take_along_axis(exact, order, axis=1), np.take_along_axis(indices, order, axis=1)
    rows = np.flatnonzero(may_end_early)
    if len(rows):
        length = int(needed[rows].max())
        exact[rows] = -np.inf
        exact[rows, :length], indices[rows, :length] = exhaustive(ranking, start + rows, length)
    return exact, indices


def _first(
    ranking: Ranking, here: slice, similarities: NDArray[np.float64], indices: NDArray[np.int64], ranks: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give the first ranks without the images left out."""
    similarities = np.where(ranking.kinds(here, indices) == LEFT_OUT, -np.inf, similarities)
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :ranks]
    similarities = np.take_along_axis(similarities, order, axis=1)
    there = np.isfinite(similarities)
    return np.where(there, similarities, np.nan), np.where(there, np.take_along_axis(indices, order, axis=1), NONE)
