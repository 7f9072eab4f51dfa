"""Exact nearest neighbours, of which a metric asks one thing: whether the one at rank i is of the query's class.

**Similarity** is the one of `mlrc.harness.metrics.ranking.similarity`: cosine, exact on a grid of 2^-26. **Ties** are
ranked by the index in the gallery, lowest first. **The query itself** is removed by its identity (row i of the gallery
is query i), never by its rank. A zero vector has no direction: its similarity to every image is 0.

The ranking is therefore a function of the embeddings alone: the same on every device, with every backend, memory cap
and number of threads, to the last bit. The search proposes candidates in float32; only where candidates of different
relevance are nearer to each other than float32 can tell apart are their exact similarities computed, and where the list
of candidates might end too early, the query is searched exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.metrics.ranking.candidates import Backend, Search
from mlrc.harness.metrics.ranking.similarity import Directions, chunks
from mlrc.harness.metrics.ranking.tiles import Candidates

EXACT_COMPONENTS = 2**17
"""Of images that are widened to float64 at a time in an exact search."""

EXACT_MEMORY = 2**21
"""Bytes that an exact search takes besides its result, about."""

EXACT_BYTES = 40
"""Of a place among similarities and candidates while the best are chosen."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Ranked(NamedTuple):
    """The neighbours of some consecutive queries.

    Attributes:
        queries: which queries.
        relevant: `(queries, ranks)`: whether the neighbour at rank 1, 2, … has the query's label. Right up to the
            larger of the depth asked for and the query's positives, False beyond.
        tied: `(queries,)`: whether a relevant and another neighbour tie within these ranks, so that indices decided.
    """

    queries: slice
    relevant: Bools
    tied: Bools


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What is ranked: queries in a gallery, by which labels, and how deep; one query at least has a positive.

    Attributes:
        queries: the embeddings.
        gallery: those searched; None where the queries are their own gallery.
        query_labels: `(queries,)`, 0 … classes − 1.
        gallery_labels: `(gallery,)`, likewise.
        positives: `(queries,)`, images of the query's label in the gallery, the query itself left out.
        depth: ranks to know of every query; of each, as many as it has positives are known in any case.
    """

    queries: Directions
    gallery: Directions | None
    query_labels: Integers
    gallery_labels: Integers
    positives: Integers
    depth: int

    @property
    def within(self) -> Directions:
        """The images searched."""
        return self.queries if self.gallery is None else self.gallery

    def search(
        self,
        use: Callable[[Ranked], None],
        *,
        backend: Backend = "torch",
        device: str = "cpu",
        memory: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Call `use` with the ranked neighbours of consecutive queries until all had their turn, on several threads.

        See `mlrc.harness.metrics.ranking.candidates.Search` for the other arguments.
        """
        others = len(self.within) - (self.gallery is None)
        needed = np.minimum(np.maximum(self.positives, self.depth), others)
        ranks = int(needed.max(initial=0))
        # Some more than needed, so that the list seldom ends among candidates that float32 cannot tell apart.
        length = min(others, ranks + 8 + ranks // 16)
        found = Search(
            queries=self.queries.unit(),
            gallery=None if self.gallery is None else self.gallery.unit(),
            length=length,
            backend=backend,
            device=device,
            memory=memory,
            progress=progress,
        )
        found.candidates(lambda candidates: use(_settle(self, candidates, needed, ranks)))


def _settle(ranking: Ranking, candidates: Candidates, needed: Integers, ranks: int) -> Ranked:
    """Rank candidates by exact similarity and lowest index, as far as it matters to relevance."""
    start, similarities, indices = candidates
    here = slice(start, start + len(indices))
    needed = needed[here]
    margin = np.float32(2 * max(ranking.queries.tolerance, ranking.within.tolerance))
    last_needed = np.take_along_axis(similarities, needed[:, None] - 1, axis=1)
    others = len(ranking.within) - (ranking.gallery is None)
    may_end_early = (last_needed[:, 0] - similarities[:, -1] <= margin) & (indices.shape[1] < others)

    relevant = ranking.gallery_labels[indices] == ranking.query_labels[here, None]
    tied = np.zeros(len(indices), bool)
    # Candidates that are too near to tell apart make runs; only in one of mixed relevance does the order matter.
    close = similarities[:, :-1] - similarities[:, 1:] <= margin
    mixed = close & (relevant[:, :-1] != relevant[:, 1:])
    rows = np.flatnonzero(mixed.any(axis=1) & ~may_end_early)
    if len(rows):
        begins = np.hstack([np.ones((len(rows), 1), bool), ~close[rows]])
        run = np.cumsum(begins).reshape(begins.shape)
        matters = np.zeros(run[-1, -1] + 1, bool)
        matters[run[:, 1:][mixed[rows]]] = True
        row, place = np.nonzero(matters[run] & (similarities[rows] >= last_needed[rows] - margin))
        exact = similarities[rows].astype(np.float64)
        exact[row, place] = _pairs(ranking, start + rows[row], indices[rows[row], place])
        order = np.lexsort((indices[rows], -exact), axis=1)
        relevant[rows] = np.take_along_axis(relevant[rows], order, axis=1)
        tied[rows] = _ties(np.take_along_axis(exact, order, axis=1), relevant[rows], needed[rows])
    rows = np.flatnonzero(may_end_early)
    if len(rows):
        length = min(others, ranks + 1)
        relevant[rows, :length], tied[rows] = _searched_exactly(ranking, start + rows, needed[rows], length)
    return Ranked(here, relevant[:, :ranks] & (np.arange(ranks) < needed[:, None]), tied)


def _searched_exactly(ranking: Ranking, queries: Integers, needed: Integers, length: int) -> tuple[Bools, Bools]:
    """Search some queries exactly: relevance of their ranked neighbours `(queries, length)`, and whether they tie."""
    exact, found = _exhaustive(ranking, queries, length)
    relevant = ranking.gallery_labels[found] == ranking.query_labels[queries, None]
    tied = _ties(exact, relevant, needed)
    last = (np.arange(len(queries)), needed - 1)
    levels, of_level = exact[last], relevant[last]
    for i in np.flatnonzero(~tied & (exact[:, -1] == levels)).tolist():
        tied[i] = _ties_with_others(ranking, int(queries[i]), level=float(levels[i]), relevant=bool(of_level[i]))
    return relevant, tied


def _pairs(ranking: Ranking, queries: Integers, others: Integers) -> Floats:
    """Give the exact similarities of pairs of images, `(pairs,)`."""
    exact = np.empty(len(queries))
    for part in chunks((len(queries), ranking.within.rows.shape[1])):
        exact[part] = np.einsum("ij,ij->i", ranking.queries.fixed(queries[part]), ranking.within.fixed(others[part]))
    return exact * 2.0**-52


def _ties(exact: Floats, relevant: Bools, needed: Integers) -> Bools:
    """Find the rows where neighbours of different relevance tie at a similarity reached within the needed ranks."""
    same = (exact[:, 1:] == exact[:, :-1]) & (relevant[:, 1:] != relevant[:, :-1])
    level = np.take_along_axis(exact, needed[:, None] - 1, axis=1)
    return np.asarray((same & (exact[:, 1:] >= level)).any(axis=1))


def _ties_with_others(ranking: Ranking, query: int, *, level: float, relevant: bool) -> bool:
    """Say whether an image of the other relevance, wherever it is, is as similar as the given level."""
    for part in chunks((len(ranking.within), 1)):
        mine = ranking.gallery_labels[part] == ranking.query_labels[query]
        others = part.start + np.flatnonzero(mine != relevant)
        if ranking.gallery is None:
            others = others[others != query]
        if (_pairs(ranking, np.full_like(others, query), others) == level).any():
            return True
    return False


def _exhaustive(ranking: Ranking, queries: Integers, length: int) -> tuple[Floats, Integers]:
    """Search some queries exactly, within `EXACT_MEMORY`: similarities and indices `(queries, length)`, ranked."""
    found, where = [], []
    parts = chunks((len(ranking.within), max(128, ranking.within.rows.shape[1])), EXACT_COMPONENTS)
    at_a_time = max(1, EXACT_MEMORY // (EXACT_BYTES * (length + parts[0].stop)))
    for some in np.array_split(queries, -(-len(queries) // at_a_time)):
        mine = torch.from_numpy(ranking.queries.fixed(some))
        best = np.empty((len(some), 0))
        indices = np.empty((len(some), 0), np.int64)
        for part in parts:
            exact = (mine @ torch.from_numpy(ranking.within.fixed(part)).T).numpy()
            if ranking.gallery is None:
                itself = (some[:, None] == np.arange(part.start, part.stop)).nonzero()
                exact[itself] = -np.inf
            if best.shape[1] == length and not (exact > best.min(axis=1, keepdims=True)).any():
                continue
            columns = np.broadcast_to(np.arange(part.start, part.stop), exact.shape)
            best, indices = _best(np.hstack([best, exact]), np.hstack([indices, columns]), length)
        order = np.argsort(-best, axis=1, kind="stable")
        found.append(np.take_along_axis(best, order, axis=1) * 2.0**-52)
        where.append(np.take_along_axis(indices, order, axis=1))
    return np.concatenate(found), np.concatenate(where)


def _best(exact: Floats, indices: Integers, length: int) -> tuple[Floats, Integers]:
    """Keep the `length` largest of each row, of equal ones those of lowest index; indices ascend before and after."""
    if exact.shape[1] <= length:
        return exact, indices
    worst = exact.shape[1] - length
    least = np.partition(exact, worst, axis=1)[:, worst, None]
    level = exact == least
    room = length - (exact > least).sum(axis=1, keepdims=True)
    kept = (exact > least) | (level & (np.cumsum(level, axis=1) <= room))
    return exact[kept].reshape(len(exact), length), indices[kept].reshape(len(exact), length)
