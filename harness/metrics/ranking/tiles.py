"""What the searches on CPU cores share: tiles of the float32 similarity matrix, their best places as keys, and threads.

Each thread works on a tile of its own with single-threaded operations: on shared machines the barriers of
multi-threaded operations on tiles cost more than the tiles. numpy selects, as its comparisons, partitions and sorts of
small rows are several times faster than torch's; torch multiplies, as its products follow the thread's setting.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import prod
from operator import length_hint
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

LOWEST = np.iinfo(np.int64).min
"""Key of no candidate."""

BYTES_PER_CANDIDATE = 64
"""Of a row's candidate while the rows of a block are settled and measured."""

T = TypeVar("T")
Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Candidates(NamedTuple):
    """The best candidates of consecutive queries; no image that is left out is more similar than a query's last one.

    `start` is the first of these queries; `similarities` is `(queries, candidates)`, descending; `indices`, of the same
    shape, points into the gallery. A list that stayed short, though images are left out, is filled up with a similarity
    that none of these exceeds, and any index.
    """

    start: int
    similarities: Floats
    indices: Integers


def to_keys(similarities: Floats, indices: NDArray[np.integer]) -> Integers:
    """Pack similarities and indices below 2^32 so that the larger key is the better candidate."""
    ascending = similarities.view(np.int32) >> 31
    ascending &= 0x7FFFFFFF
    ascending ^= similarities.view(np.int32)
    keys = ascending.astype(np.int64)
    keys <<= 32
    keys += 0xFFFFFFFF
    keys -= indices
    return keys


def from_keys(keys: Integers) -> tuple[Floats, Integers]:
    """Unpack similarities and indices."""
    ascending = (keys >> 32).astype(np.int32)
    return (ascending ^ (ascending >> 31 & 0x7FFFFFFF)).view(np.float32), 0xFFFFFFFF - (keys & 0xFFFFFFFF)


def reached(tile: Floats, places: int) -> Floats:
    """Bound from below what so many places of each row reach, from the larger of every few similarities; −∞ if none."""
    width = tile.shape[1]
    while width >= 8 * places:
        width //= 2
        tile = np.maximum(tile[:, :width], tile[:, width : 2 * width])
    if width < places:
        return np.full(len(tile), -np.inf, np.float32)
    return np.partition(tile, width - places, axis=1)[:, width - places].copy()


class Room(threading.local):
    """Memory of each thread for one tile.

    Args:
        most: places of the largest tile.
        dtype: of a place.
    """

    def __init__(self, most: int, dtype: DTypeLike) -> None:
        self._places = np.empty(most, dtype)

    def shaped(self, *shape: int) -> NDArray[Any]:
        """Give room of some shape; what was written there before is lost."""
        return self._places[: prod(shape)].reshape(shape)


def share(work: Callable[[T], None], items: Sequence[T], progress: Callable[[int, int], None]) -> None:
    """Work on all items with as many threads as torch uses, this one among them, each running torch's operations alone.

    As torch's number of threads is the process's while this lasts, no other search may run in it at the same time.

    Args:
        work: called once with each item; after an error no further item is begun, and the error is raised.
        items: taken in order.
        progress: called on this thread with (items begun, items), at last when all are done.
    """
    threads = torch.get_num_threads()
    left = iter(items)  # the same for all threads: each takes the next

    def run(report: Callable[[int, int], None]) -> None:
        torch.set_num_threads(1)
        for item in left:
            work(item)
            report(len(items) - length_hint(left), len(items))

    @contextmanager
    def none_after_an_error() -> Iterator[None]:
        try:
            yield
        except BaseException:
            for _ in left:
                pass
            raise

    def help_out() -> None:
        with none_after_an_error():
            run(lambda *_: None)

    try:
        with ThreadPoolExecutor(max(1, threads - 1)) as pool, none_after_an_error():
            others = [pool.submit(help_out) for _ in range(threads - 1)]
            run(progress)
        for other in others:
            other.result()
    finally:
        torch.set_num_threads(threads)  # a thread's own setting is also the default of threads to come
    progress(len(items), len(items))
