"""The search on CPU cores: the float32 similarity matrix in tiles, each seen once, of which only the best is kept.

Each thread works on a tile of its own with single-threaded operations: on shared machines the barriers of
multi-threaded operations on tiles cost more than the tiles. numpy selects, as its comparisons and partitions of small
rows are several times faster than torch's; torch multiplies, as its products follow the thread's setting.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

LOWEST = np.iinfo(np.int64).min
"""Key of no candidate."""

DENSE = 8
"""A tile with a candidate in more than one of so many places is taken in parts, so that memory stays bounded."""

BYTES_PER_CELL = 4 + 1 + 48 // DENSE
"""Of a tile: similarity, comparison, and what a candidate takes while it is sorted in."""

BYTES_PER_PLACE = 8
"""Of a list: one key."""

BYTES_PER_CANDIDATE = 64
"""Of a row's candidate while the rows of a block are settled and measured."""

T = TypeVar("T")
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Candidates(NamedTuple):
    """The best candidates of consecutive queries.

    `start` is the first of these queries; `similarities` is `(queries, candidates)`, descending; `indices`, of the same
    shape, points into the gallery.
    """

    start: int
    similarities: Floats
    indices: Integers


class Lists:
    """The best candidates of some rows so far, as keys that sort by similarity and then by lowest index.

    Args:
        rows: number of rows.
        length: candidates kept per row.
    """

    def __init__(self, rows: int, length: int) -> None:
        self.length = length
        self.keys = np.full((rows, length), LOWEST)
        self.floor = np.full(rows, -np.inf, np.float32)

    def offer(self, first_row: int, tile: Floats, first_index: int, *, transposed: bool = False) -> None:
        """Take what is better than the worst candidate out of a tile.

        Args:
            first_row: the row of these lists to which the tile's first row (column, when transposed) belongs.
            tile: `(rows, gallery)` similarities, or `(gallery, rows)` when transposed.
            first_index: the gallery index of the tile's first column (row, when transposed).
            transposed: whether the tile's columns are this object's rows.
        """
        rows = tile.shape[1 if transposed else 0]
        floor = self.floor[first_row : first_row + rows]
        if np.isneginf(floor).any():
            floor = np.maximum(floor, self._seed(tile.T if transposed else tile))
        better = tile > (floor if transposed else floor[:, None])
        parts = min(rows, max(1, -(-int(np.count_nonzero(better)) * DENSE // tile.size)))
        step = -(-rows // parts)
        for low in range(0, rows, step):
            part = slice(low, low + step)
            some = (slice(None), part) if transposed else part
            self._accept(first_row + low, tile[some], better[some], first_index, transposed=transposed)

    def _accept(self, first_row: int, tile: Floats, better: Bools, first_index: int, *, transposed: bool) -> None:
        places = np.flatnonzero(better)
        row, column = np.divmod(places, tile.shape[1])
        similarities = tile.ravel()[places] if tile.flags.c_contiguous else tile[row, column]
        if transposed:
            row, column = column, row
            order = np.argsort(row.astype(np.uint16), kind="stable")
            row, column, similarities = row[order], column[order], similarities[order]
        self._merge(first_row, tile.shape[1 if transposed else 0], row, to_keys(similarities, column + first_index))

    def _seed(self, tile: Floats) -> Floats | np.float32:
        """Bound from below what `length` places of each row reach, from the larger of every few similarities."""
        width = tile.shape[1]
        while width >= 4 * self.length:
            width //= 2
            tile = np.maximum(tile[:, :width], tile[:, width : 2 * width])
        if width < self.length:
            return np.float32(-np.inf)
        worst = width - self.length
        reached = np.partition(tile, worst, axis=1)[:, worst]
        return np.nextafter(reached, np.float32(-np.inf))

    def _merge(self, first_row: int, rows: int, row: Integers, keys: Integers) -> None:
        """Sort new keys in; `row` ascends."""
        counts = np.bincount(row, minlength=rows)
        most = int(counts.max())
        if most == 0:
            return
        slots = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        pool = np.full((rows, self.length + most), LOWEST)
        mine = slice(first_row, first_row + rows)
        pool[:, : self.length] = self.keys[mine]
        pool[row, self.length + slots] = keys
        pool.partition(most, axis=1)
        self.keys[mine] = pool[:, most:]
        self.floor[mine] = np.where(pool[:, most] == LOWEST, np.float32(-np.inf), from_keys(pool[:, most])[0])

    def take(self, rows: slice, start: int) -> Candidates:
        """Give the candidates of some rows, the best first, as those of the queries from `start` on."""
        return Candidates(start, *from_keys(np.sort(self.keys[rows], axis=1)[:, ::-1]))


def to_keys(similarities: Floats, indices: Integers) -> Integers:
    """Pack similarities and indices below 2^32 so that the larger key is the better candidate."""
    bits = similarities.view(np.int32)
    ascending = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    return np.asarray((ascending << 32) | (0xFFFFFFFF - indices))


def from_keys(keys: Integers) -> tuple[Floats, Integers]:
    """Unpack similarities and indices."""
    ascending = (keys >> 32).astype(np.int32)
    bits = np.where(ascending < 0, ascending ^ np.int32(0x7FFFFFFF), ascending)
    return bits.view(np.float32), 0xFFFFFFFF - (keys & 0xFFFFFFFF)


class _Tile(threading.local):
    """Memory for one tile of each thread."""

    cells: Floats = np.empty(0, np.float32)

    def product(self, queries: Floats, gallery: Floats) -> Floats:
        shape = len(queries), len(gallery)
        if self.cells.size < shape[0] * shape[1]:
            self.cells = np.empty(shape[0] * shape[1], np.float32)
        cells = self.cells[: shape[0] * shape[1]].reshape(shape)
        torch.mm(torch.from_numpy(queries), torch.from_numpy(gallery).T, out=torch.from_numpy(cells))
        return cells


def symmetric(
    units: Floats, length: int, *, side: int, use: Callable[[Candidates], T], progress: Callable[[int, int], None]
) -> Iterator[T]:
    """Search a set in itself, each pair of images multiplied once for both directions.

    Args:
        units: `(images, dim)`, unit rows.
        length: candidates per image; the image itself is none.
        side: rows and columns of a tile.
        use: called with the candidates of consecutive images, on several threads; the results are yielded in order.
        progress: called with (tiles done, tiles).
    """
    lists = Lists(len(units), length)
    tile = _Tile()
    blocks = [slice(start, start + side) for start in range(0, len(units), side)]
    locks = [threading.Lock() for _ in blocks]
    # Along the diagonals: threads at work on neighbours in this order seldom wait for the same lists.
    pairs = [(i, i + step) for step in range(len(blocks)) for i in range(len(blocks) - step)]

    def search(pair: tuple[int, int]) -> None:
        i, j = pair
        cells = tile.product(units[blocks[i]], units[blocks[j]])
        if i == j:
            np.fill_diagonal(cells, -np.inf)
        with locks[i]:
            lists.offer(blocks[i].start, cells, blocks[j].start)
        if i != j:
            with locks[j]:
                lists.offer(blocks[j].start, cells, blocks[i].start, transposed=True)

    with threads() as each:
        for done, _ in enumerate(each(search, pairs), start=1):
            progress(done, len(pairs))
        yield from each(lambda block: use(lists.take(block, block.start)), blocks)


def row_by_row(
    queries: Floats,
    gallery: Floats | None,
    length: int,
    *,
    sides: tuple[int, int],
    use: Callable[[Candidates], T],
    progress: Callable[[int, int], None],
) -> Iterator[T]:
    """Search queries in a gallery or, without one, in themselves.

    Args:
        queries: `(queries, dim)`, unit rows.
        gallery: `(gallery, dim)`, unit rows.
        length: candidates per query.
        sides: rows and columns of a tile.
        use: as for `symmetric`.
        progress: called with (queries done, queries).
    """
    height, width = sides
    within = queries if gallery is None else gallery
    tile = _Tile()

    def search(start: int) -> T:
        mine = queries[start : start + height]
        lists = Lists(len(mine), length)
        for first in range(0, len(within), width):
            cells = tile.product(mine, within[first : first + width])
            if gallery is None:
                itself = np.arange(max(start, first), min(start + len(mine), first + cells.shape[1]))
                cells[itself - start, itself - first] = -np.inf
            lists.offer(0, cells, first)
        return use(lists.take(slice(None), start))

    with threads() as each:
        for start, result in enumerate(each(search, range(0, len(queries), height))):
            yield result
            progress(min((start + 1) * height, len(queries)), len(queries))


@contextmanager
def threads() -> Iterator[Callable[..., Iterator[Any]]]:
    """Give a `map` over as many threads as torch uses, each of which runs torch's operations alone, in order."""
    number = torch.get_num_threads()
    if number == 1:
        yield map
        return
    pool = ThreadPoolExecutor(number, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(number)  # a thread's own setting is also the default of threads to come
