"""The search of a set in itself on CPU cores: each tile of the symmetric similarity matrix serves rows and columns."""

import threading
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.metrics.ranking.tiles import LOWEST, Candidates, Room, from_keys, reached, share, to_keys

MOST_SIDE = 1024
"""Rows and columns of a tile beyond which it only leaves the caches."""

DENSE = 8
"""A tile with a candidate in more than one of so many places is taken in parts, so that memory stays bounded."""

BYTES_PER_CELL = 4 + 1 + 48 // DENSE
"""Of a tile: similarity, comparison, and what a candidate takes while it is sorted in."""

BYTES_PER_PLACE = 8
"""Of a list: one key."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


def largest_side(images: int, length: int, *, memory: int, threads: int) -> int:
    """Give the most rows and columns of a tile of each thread that fit, with the lists, into some bytes; 0 if none."""
    left = max(0, memory - images * length * BYTES_PER_PLACE)
    return min(MOST_SIDE, int((left / threads / BYTES_PER_CELL) ** 0.5))


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
            seed = reached(tile.T if transposed else tile, self.length)
            floor = np.maximum(floor, np.nextafter(seed, np.float32(-np.inf)))
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

    def take(self, rows: slice) -> Candidates:
        """Give the candidates of some rows, the best first."""
        return Candidates(rows.start, *from_keys(np.sort(self.keys[rows], axis=1)[:, ::-1]))


def symmetric(
    units: Floats,
    length: int,
    *,
    side: int,
    use: Callable[[Candidates], None],
    progress: Callable[[int, int], None],
) -> None:
    """Search a set in itself, each pair of images multiplied once for both directions.

    Args:
        units: `(images, dim)`, unit rows.
        length: candidates per image; the image itself is none.
        side: rows and columns of a tile.
        use: called with the candidates of consecutive images, on several threads.
        progress: called with (tiles and blocks begun, tiles and blocks), at last when all are done.
    """
    lists = Lists(len(units), length)
    room = Room(side * side, np.float32)
    blocks = [slice(start, start + side) for start in range(0, len(units), side)]
    locks = [threading.Lock() for _ in blocks]
    # Along the diagonals: threads at work on neighbours in this order seldom wait for the same lists.
    pairs = [(i, i + step) for step in range(len(blocks)) for i in range(len(blocks) - step)]

    def search(pair: tuple[int, int]) -> None:
        i, j = pair
        queries, images = torch.from_numpy(units[blocks[i]]), torch.from_numpy(units[blocks[j]])
        cells = room.shaped(len(queries), len(images))
        torch.mm(queries, images.T, out=torch.from_numpy(cells))
        if i == j:
            np.fill_diagonal(cells, -np.inf)
        with locks[i]:
            lists.offer(blocks[i].start, cells, blocks[j].start)
        if i != j:
            with locks[j]:
                lists.offer(blocks[j].start, cells, blocks[i].start, transposed=True)

    steps = len(pairs) + len(blocks)
    share(search, pairs, lambda begun, _: progress(begun, steps))
    share(lambda block: use(lists.take(block)), blocks, lambda begun, _: progress(len(pairs) + begun, steps))
