"""The search of queries in a gallery on CPU cores: of each block of queries, what exceeds a floor is kept and sorted.

Tile t of a block holds the images t, t + tiles, t + 2·tiles, … of the gallery, so that one tile is a sample of it. A
query's floor is a similarity high in the first tile, but so far down that more images of the gallery than are looked
for exceed it, but for bad luck. Where luck is bad, as with classes in an order that falls into step with the tiles, the
next tile is the sample. A list that is short even then ends with the floor, which no image left out exceeds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, isqrt, sqrt

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.metrics.ranking.tiles import BYTES_PER_CANDIDATE, Candidates, Room, from_keys, reached, share, to_keys

MOST_ROWS = 256
"""Queries of a block beyond which it is no faster."""

ROWS = 16
"""A block's queries are a multiple of so many where they can be: the numbers of a register; others multiply slowly."""

LEAST_WIDTH, MOST_WIDTH = 512, 2048
"""Images of a tile: fewer make calls weigh more than arithmetic, more only leave the caches."""

BYTES_PER_CELL = 4 + 1
"""Of a tile: similarity and comparison."""

BYTES_FOR_FLOOR = 4
"""Of a similarity, while the floor is found."""

BYTES_PER_KEPT = 46
"""Of an image that exceeds the floor, while it is sorted in."""

BYTES_PER_PLACE = 32
"""Of a candidate's place, while others are sorted in."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How the similarity matrix is cut.

    Attributes:
        rows: queries of a block.
        tiles: tiles that the gallery is dealt out to.
        rank: the rank in the sample at which a query's floor lies; more than a tile holds where all images are looked
            for, as `rank_of_floor` gives it, and there is no floor.
        kept: images per query that exceed the floor beyond which these are sorted in and the floor rises.
    """

    rows: int
    tiles: int
    rank: int
    kept: int


def choose_cut(gallery: int, length: int, *, memory: int) -> Cut:
    """Choose tiles of which blocks of nearly the most queries stay within the memory; of these the largest.

    Args:
        gallery: images.
        length: candidates per query.
        memory: bytes for a block.
    """
    fewest = -(-gallery // MOST_WIDTH)
    numbers = range(fewest, max(fewest, gallery // LEAST_WIDTH) + 1)
    cuts = [_cut(gallery, length, memory, tiles) for tiles in numbers if _is_prime_or_one(tiles)]
    most = max(each.rows for each in cuts)
    return next(each for each in cuts if 10 * each.rows >= 9 * most)


def _cut(gallery: int, length: int, memory: int, tiles: int) -> Cut:
    width = -(-gallery // tiles)
    rank = rank_of_floor(length, tiles)
    kept = min(gallery, 5 * rank * tiles // 4)  # tiles vary, and `reached` lets a tenth more exceed the floor
    sorting, settling = kept * BYTES_PER_KEPT + length * BYTES_PER_PLACE, length * BYTES_PER_CANDIDATE
    per_row = width * BYTES_PER_CELL + max(width * BYTES_FOR_FLOOR, sorting, settling)
    rows = min(MOST_ROWS, max(1, memory // per_row))
    return Cut(rows=rows - rows % ROWS if rows > ROWS else rows, tiles=tiles, rank=rank, kept=kept)


def _is_prime_or_one(number: int) -> bool:
    return all(number % factor for factor in range(2, isqrt(number) + 1))


def rank_of_floor(length: int, tiles: int) -> int:
    """Give the rank in one of so many tiles below which hardly ever lies one of the best `length` images of all.

    Of these, a tile holds `length / tiles` on average, in a hypergeometric distribution; this is three standard
    deviations more, and three images for its skewness.
    """
    mean = length / tiles
    return 3 + ceil(mean + 3 * sqrt(mean * (1 - 1 / tiles)))


class Kept:
    """The images that exceed the floors of a block's queries.

    Args:
        itself: `(queries,)`, the image that is the query itself and no candidate; −1 for none.
        images: number of images in the gallery.
        length: candidates to find per query.
        cut: how the similarity matrix is cut.
    """

    def __init__(self, itself: Integers, images: int, length: int, cut: Cut) -> None:
        self.queries, self.itself = len(itself), itself.astype(np.int32)
        self.images, self.length = images, length
        self.cut = cut
        self.floor = np.empty(0, np.float32)
        self.best = np.empty((self.queries, 0), np.int64)
        self._clear()

    def _clear(self) -> None:
        self.numbers: list[int] = []
        self.places: list[Integers] = []
        self.similarities: list[Floats] = []

    def offer(self, number: int, cells: Floats, above: Bools) -> None:
        """Keep what exceeds the floors in a tile; the first one sets them.

        Args:
            number: the tile's.
            cells: `(images, queries)`, similarities.
            above: room for a comparison of them.
        """
        if not len(self.floor):
            self.floor = reached(cells.T, self.cut.rank)
        places = self._exceeding(cells, above)
        if sum(map(len, self.places)) + len(places) > self.cut.kept * self.queries:
            if self.places:
                self._sort_in()
                self.floor = np.maximum(self.floor, from_keys(self.best[:, 0])[0])
            # So many exceed what two more reach, the query itself being one of them.
            self.floor = np.maximum(self.floor, reached(cells.T, self.length + 2))
            places = self._exceeding(cells, above)
        self.numbers.append(number)
        self.places.append(places)
        self.similarities.append(cells.ravel().take(places))

    def _exceeding(self, cells: Floats, above: Bools) -> Integers:
        return np.flatnonzero(np.greater(cells, self.floor, out=above))

    def _sort_in(self) -> None:
        """Sort what was kept since the last time into the best candidates, `(queries, length)` ascending keys."""
        indices = np.repeat(np.array(self.numbers, np.int32), [len(places) for places in self.places])
        rows = np.concatenate(self.places, dtype=np.int32, casting="same_kind")
        self.places.clear()
        images = rows // self.queries
        rows -= images * self.queries
        images *= self.cut.tiles
        indices += images
        del images
        keys = to_keys(np.concatenate(self.similarities), indices)
        self._clear()
        filler = self._filler()
        itself = np.flatnonzero(indices == self.itself[rows])
        keys[itself] = filler[rows[itself]]
        del indices
        counts = np.bincount(rows, minlength=self.queries)
        # Of numbers as short as these the stable sort is a radix sort.
        keys = keys[rows.astype(np.min_scalar_type(self.queries - 1)).argsort(kind="stable")]
        del rows
        dense = counts > max(2 * self.cut.kept, self.length)
        if dense.any():
            keys = keys[self._worth_keeping(keys, counts, dense)]
            counts[dense] = self.length
        pool = np.empty((self.queries, max(self.length, int(counts.max()))), np.int64)
        pool[:] = filler[:, None]
        pool[np.arange(pool.shape[1]) < counts[:, None]] = keys
        del keys
        if self.best.size:
            pool = np.hstack([self.best, pool])
        pool.sort(axis=1)
        self.best = pool[:, -self.length :].copy()

    def _worth_keeping(self, keys: Integers, counts: Integers, dense: Bools) -> Bools:
        """Tell of a dense query's keys the best; keys lie in the order of the queries."""
        worth = np.ones(len(keys), np.bool_)
        ends = np.cumsum(counts)
        for query in np.flatnonzero(dense):
            mine = slice(ends[query] - counts[query], ends[query])
            excess = counts[query] - self.length
            worth[mine] = keys[mine] >= np.partition(keys[mine], excess)[excess]
        return worth

    def take(self) -> Integers:
        """Give the best candidates, `(queries, length)`, as ascending keys."""
        if self.places:
            self._sort_in()
        return self.best

    def short(self) -> Integers:
        """Give the queries, after `take`, that have fewer candidates than asked for."""
        return np.flatnonzero(self.best[:, 0] == self._filler())

    def _filler(self) -> Integers:
        return to_keys(self.floor, np.array([self.images - 1]))  # the worst candidate of that similarity


def sampled(
    queries: Floats,
    gallery: Floats | None,
    length: int,
    *,
    cut: Cut,
    use: Callable[[Candidates], None],
    progress: Callable[[int, int], None],
) -> None:
    """Search queries in a gallery or, without one, in themselves.

    Args:
        queries: `(queries, dim)`, unit rows.
        gallery: `(gallery, dim)`, unit rows; fewer than 2^31.
        length: candidates per query.
        cut: how the similarity matrix is cut.
        use: called with the candidates of consecutive queries, on several threads.
        progress: called with (blocks begun, blocks), at last when all are done.
    """
    images = torch.from_numpy(queries if gallery is None else gallery)
    parts = [images[first :: cut.tiles] for first in range(cut.tiles)]
    products, comparisons = (Room(cut.rows * len(parts[0]), dtype) for dtype in (np.float32, np.bool_))

    def kept(some: Floats, itself: Integers, first: int) -> Kept:
        found = Kept(itself if gallery is None else np.full_like(itself, -1), len(images), length, cut)
        # Images times queries: of the two, the product copies the second as a whole into a buffer of each thread.
        mine = torch.from_numpy(some).T
        for number in range(first, first + cut.tiles):
            part = parts[number % cut.tiles]
            cells = products.shaped(len(part), len(some))
            torch.mm(part, mine, out=torch.from_numpy(cells))
            found.offer(number % cut.tiles, cells, comparisons.shaped(len(part), len(some)))
        return found

    def search(start: int) -> None:
        some = queries[start : start + cut.rows]
        itself = np.arange(start, start + len(some))
        found = kept(some, itself, 0)
        best = found.take()
        short = found.short()
        if len(short) and cut.tiles > 1:
            again = kept(some[short], itself[short], 1)
            longer = again.floor < found.floor[short]
            best[short[longer]] = again.take()[longer]
        use(Candidates(start, *from_keys(best[:, ::-1])))

    share(search, range(0, len(queries), cut.rows), progress)
