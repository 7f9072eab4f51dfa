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
from typing import Any, NamedTuple

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

LEFT_OUT = np.int8(2)
"""In place of relevance, of an image that has no rank."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Kinds = NDArray[np.bool_] | NDArray[np.int8]
"""1 of the query's label, 0 of another, `LEFT_OUT`."""


class Ranked(NamedTuple):
    """The neighbours of some consecutive queries.

    Attributes:
        queries: which queries.
        relevant: `(queries, ranks)`: whether the neighbour at rank 1, 2, … has the query's label. Right up to the
            larger of the depth asked for and the query's positives, False beyond. Images left out have no rank.
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
        query_groups: `(queries,)`: images of a query's group are left out of its ranking; `None` leaves out none. They
            have the query's label and are not among its positives.
        gallery_groups: `(gallery,)`, likewise.
        left_out: `(queries,)`, how many of them there are, the query itself not counted.
    """

    queries: Directions
    gallery: Directions | None
    query_labels: Integers
    gallery_labels: Integers
    positives: Integers
    depth: int
    query_groups: Integers | None = None
    gallery_groups: Integers | None = None
    left_out: Integers | int = 0

    @property
    def within(self) -> Directions:
        """The images searched."""
        return self.queries if self.gallery is None else self.gallery

    def left_out_of(self, queries: slice) -> Integers | int:
        """Give how many images are left out of the rankings of some queries."""
        return self.left_out if isinstance(self.left_out, int) else self.left_out[queries]

    def kinds(self, queries: slice | Integers, found: Integers) -> Kinds:
        """Say of images `(queries, found)` whether each has the query's label, is left out, or neither."""
        relevant: Bools = self.gallery_labels[found] == self.query_labels[queries, None]
        if self.query_groups is None or self.gallery_groups is None:
            return relevant
        left_out = self.gallery_groups[found] == self.query_groups[queries, None]
        return np.where(left_out, LEFT_OUT, relevant.astype(np.int8))

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
        needed = np.minimum(np.maximum(self.positives, self.depth) + self.left_out, others)
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
    kept = needed - ranking.left_out_of(here)
    margin = np.float32(2 * max(ranking.queries.tolerance, ranking.within.tolerance))
    last_needed = np.take_along_axis(similarities, needed[:, None] - 1, axis=1)
    others = len(ranking.within) - (ranking.gallery is None)
    may_end_early = (last_needed[:, 0] - similarities[:, -1] <= margin) & (indices.shape[1] < others)

    kinds = ranking.kinds(here, indices)
    tied = np.zeros(len(indices), bool)
    # Candidates that are too near to tell apart make runs; only in one of mixed kinds does the order matter.
    close = similarities[:, :-1] - similarities[:, 1:] <= margin
    mixed = close & (kinds[:, :-1] != kinds[:, 1:])
    rows = np.flatnonzero(mixed.any(axis=1) & ~may_end_early)
    if len(rows):
        begins = np.hstack([np.ones((len(rows), 1), bool), ~close[rows]])
        run = np.cumsum(begins).reshape(begins.shape)
        matters = np.zeros(run[-1, -1] + 1, bool)
        matters[run[:, 1:][mixed[rows]]] = True
        row, place = np.nonzero(matters[run] & (similarities[rows] >= last_needed[rows] - margin))
        exact = similarities[rows].astype(np.float64)
        exact[row, place] = pairs(ranking, start + rows[row], indices[rows[row], place])
        order = np.lexsort((indices[rows], -exact), axis=1)
        kinds[rows] = np.take_along_axis(kinds[rows], order, axis=1)
        tied[rows] = _ties(*_ranked(np.take_along_axis(exact, order, axis=1), kinds[rows]), kept[rows])
    rows = np.flatnonzero(may_end_early)
    if len(rows):
        length = min(others, ranks + 1)
        kinds[rows, :length], tied[rows] = _searched_exactly(ranking, start + rows, kept[rows], length)
    _, relevant = _ranked(similarities, kinds)
    return Ranked(here, relevant[:, :ranks] & (np.arange(ranks) < kept[:, None]), tied)


def _ranked(exact: NDArray[np.floating[Any]], kinds: Kinds) -> tuple[NDArray[np.floating[Any]], Bools]:
    """Drop the neighbours left out, behind all others: similarities and relevance of those that have a rank."""
    if kinds.dtype == np.bool_:
        return exact, kinds.astype(np.bool_, copy=False)
    out = kinds == LEFT_OUT
    order = np.argsort(out, axis=1, kind="stable")
    ranked = np.take_along_axis(np.where(out, -np.inf, exact), order, axis=1)
    return ranked, np.take_along_axis(kinds == 1, order, axis=1)


def _searched_exactly(ranking: Ranking, queries: Integers, kept: Integers, length: int) -> tuple[Kinds, Bools]:
    """Search some queries exactly: kinds of their neighbours `(queries, length)`, and whether those with a rank tie."""
    exact, found = exhaustive(ranking, queries, length)
    kinds = ranking.kinds(queries, found)
    ranked, relevant = _ranked(exact, kinds)
    tied = _ties(ranked, relevant, kept)
    last = (np.arange(len(queries)), kept - 1)
    levels, of_level = ranked[last], relevant[last]
    for i in np.flatnonzero(~tied & (exact[:, -1] == levels)).tolist():
        tied[i] = _ties_with_others(ranking, int(queries[i]), level=float(levels[i]), relevant=bool(of_level[i]))
    return kinds, tied


def pairs(ranking: Ranking, queries: Integers, others: Integers) -> Floats:
    """Give the exact similarities of pairs of images, `(pairs,)`."""
    exact = np.empty(len(queries))
    for part in chunks((len(queries), ranking.within.rows.shape[1])):
        exact[part] = np.einsum("ij,ij->i", ranking.queries.fixed(queries[part]), ranking.within.fixed(others[part]))
    return exact * 2.0**-52


def _ties(exact: NDArray[np.floating[Any]], relevant: Bools, needed: Integers) -> Bools:
    """Find the rows where neighbours of different relevance tie at a similarity reached within the needed ranks."""
    same = (exact[:, 1:] == exact[:, :-1]) & (relevant[:, 1:] != relevant[:, :-1])
    level = np.take_along_axis(exact, needed[:, None] - 1, axis=1)
    return np.asarray((same & (exact[:, 1:] >= level)).any(axis=1))


def _ties_with_others(ranking: Ranking, query: int, *, level: float, relevant: bool) -> bool:
    """Say whether an image of the other relevance, wherever it is, is as similar as the given level."""
    for part in chunks((len(ranking.within), 1)):
        indices = np.arange(part.start, part.stop)
        others = indices[ranking.kinds(np.array([query]), indices[None])[0] == (not relevant)]
        if ranking.gallery is None:
            others = others[others != query]
        if (pairs(ranking, np.full_like(others, query), others) == level).any():
            return True
    return False


def exhaustive(ranking: Ranking, queries: Integers, length: int) -> tuple[Floats, Integers]:
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
