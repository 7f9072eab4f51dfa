"""A file of features: made once, resumed where it was left, checked against its checksums, mapped by all workers.

What stands in it is a function of its key alone, never of who made which part of it.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mlrc.harness.machine.alone import alone
from mlrc.harness.machine.atomic import write_at

ROWS, _INDEX, _DONE = "features.npy", "index.json", "done.txt"
BATCH = 32
"""Images of every forward pass, the last one filled up: what a trunk gives for an image may depend on their number."""
_CHUNK = 8 * BATCH
"""Images of a unit of work: what a killed process loses at most, per thread."""


class Shape(NamedTuple):
    """How many rows there are, and how wide; the central view is the first of the `views`."""

    views: int
    images: int
    width: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.views * self.images * self.width * 4


class Chunk(NamedTuple):
    """Images `start` … `stop` − 1 of one view."""

    view: int
    start: int
    stop: int


Done = tuple[Chunk, NDArray[np.float32]]
"""A chunk with its rows `(stop − start, width)`."""

Extract = Callable[[Sequence[Chunk]], Iterator[Done]]
"""Gives the rows of chunks, in any order."""

OnProgress = Callable[[str, int, int], None]
"""Told (what is done, how much of it, of how much)."""


class Store:
    """The features of one set by one trunk: a folder that is there whole or not at all.

    Args:
        folder: that holds all of them.
        name: of the set, for people.
        key: of all that decides a bit of it.
    """

    def __init__(self, folder: Path, name: str, key: str) -> None:
        self._name = name
        self.path = folder / f"features-{name.replace(':', '-')}-{key}"
        self._part = folder / f"{self.path.name}.part"

    def mapped(self) -> NDArray[np.float32] | None:
        """Map the rows `(views, images, width)`, if they are there; what is written to them stays in this process."""
        index = self._read_index()
        if index is None:
            return None
        shape, _ = index
        try:
            rows = np.load(self.path / ROWS, mmap_mode="c")
        except (OSError, ValueError):
            return None
        return np.asarray(rows) if rows.shape == tuple(shape) and rows.dtype == np.float32 else None

    def verify(self) -> bool:
        """Read all of it against its checksums; a damaged one is removed. Says whether it is whole."""
        index, rows = self._read_index(), self.mapped()
        if index is not None and rows is not None:
            shape, checksums = index
            if all(
                _checksum(rows[chunk.view, chunk.start : chunk.stop]) == checksum
                for chunk, checksum in zip(chunks(shape), checksums, strict=True)
            ):
                return True
        shutil.rmtree(self.path, ignore_errors=True)
        return False

    def made(self, shape: Shape, extract: Extract, on_progress: OnProgress) -> NDArray[np.float32]:
        """Map the rows, after making them if they are absent or damaged; what was made and killed goes on.

        Raises:
            OSError: there is too little room, or the folder cannot be written.
        """
        while True:
            if (rows := self.mapped()) is not None:
                return rows
            with alone(self._part, f"The features of {self._name}", "give another --root") as ours:
                if ours and self.mapped() is None:
                    self._make(shape, extract, on_progress)
                elif ours:
                    shutil.rmtree(self._part)  # another process finished between our look and our hold

    def _read_index(self) -> tuple[Shape, list[str]] | None:
        try:
            told = json.loads((self.path / _INDEX).read_text())
            shape, checksums = Shape(*told["shape"]), [str(one) for one in told["checksums"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return (shape, checksums) if len(checksums) == len(chunks(shape)) else None

    def _make(self, shape: Shape, extract: Extract, on_progress: OnProgress) -> None:
        try:
            self._require_room(shape)
            checksums = self._fill(shape, extract, on_progress)
            with (self._part / _INDEX).open("w") as file:
                json.dump({"shape": shape, "checksums": checksums}, file)
                file.flush()
                os.fsync(file.fileno())
            (self._part / _DONE).unlink()
            shutil.rmtree(self.path, ignore_errors=True)  # a damaged one
            self._part.rename(self.path)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            shutil.rmtree(self._part, ignore_errors=True)
            raise OSError(
                f"The features of {self._name} filled the disk of {self._part.parent} and were removed; make room or "
                "give another --root."
            ) from error

    def _require_room(self, shape: Shape) -> None:
        path = self._part / ROWS
        written = path.stat().st_blocks * 512 if path.is_file() else 0
        free = shutil.disk_usage(self._part).free
        if shape.size - written > free:
            raise OSError(
                f"The features of {self._name} need {shape.size / 1e9:.2f} GB in {self._part.parent}, but "
                f"{free / 1e9:.2f} GB are free; make room, give another --root or fewer views."
            )

    def _fill(self, shape: Shape, extract: Extract, on_progress: OnProgress) -> list[str]:
        rows, done = self._resumed(shape)
        missing = [chunk for chunk in chunks(shape) if chunk not in done]
        count, whole = sum(chunk.stop - chunk.start for chunk in done), shape.views * shape.images
        what = f"embedding {self._name} ({shape.size / 1e6:.0f} MB)"
        on_progress(what, count, whole)
        with (self._part / ROWS).open("r+b") as file, (self._part / _DONE).open("a") as journal:
            for chunk, made in extract(missing):
                place = (chunk.view * shape.images + chunk.start) * shape.width * 4
                write_at(file.fileno(), made.tobytes(), rows.offset + place)  # into a map, a full disk would kill us
                done[chunk] = _checksum(made)
                journal.write(f"{chunk.view} {chunk.start} {chunk.stop} {done[chunk]}\n")
                journal.flush()
                count += chunk.stop - chunk.start
                on_progress(what, count, whole)
            os.fsync(file.fileno())
        return [done[chunk] for chunk in chunks(shape)]

    def _resumed(self, shape: Shape) -> tuple[np.memmap[tuple[int, ...], np.dtype[np.float32]], dict[Chunk, str]]:
        """Give the unfinished file, and the chunks of it that are on the disk as they were made."""
        path = self._part / ROWS
        try:
            rows = npy.open_memmap(path, mode="r+")
            told = dict(_journal((self._part / _DONE).read_text()))
            if rows.shape == tuple(shape) and rows.dtype == np.float32:
                kept = {
                    chunk: told[chunk]
                    for chunk in chunks(shape)
                    if chunk in told and told[chunk] == _checksum(rows[chunk.view, chunk.start : chunk.stop])
                }
                return rows, kept
        except (OSError, ValueError):
            pass  # none was begun, or it cannot be gone on from
        (self._part / _DONE).unlink(missing_ok=True)
        return npy.open_memmap(path, mode="w+", dtype=np.float32, shape=tuple(shape)), {}


def passes(chunk: Chunk) -> Iterator[tuple[range, NDArray[np.int64]]]:
    """Give the images of each forward pass over a chunk, and the `BATCH` of them that go in: the last one repeated."""
    for start in range(chunk.start, chunk.stop, BATCH):
        wanted = range(start, min(start + BATCH, chunk.stop))
        yield wanted, np.minimum(np.arange(start, start + BATCH), chunk.stop - 1)


def chunks(shape: Shape) -> list[Chunk]:
    """Give the units of work of a store, in order."""
    return [
        Chunk(view, start, min(start + _CHUNK, shape.images))
        for view in range(shape.views)
        for start in range(0, shape.images, _CHUNK)
    ]


def _journal(text: str) -> Iterable[tuple[Chunk, str]]:
    for line in text.splitlines():
        match line.split():
            case [view, start, stop, checksum] if all(word.isdecimal() for word in (view, start, stop)):
                yield Chunk(int(view), int(start), int(stop)), checksum


def _checksum(rows: NDArray[np.float32]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).hexdigest()
