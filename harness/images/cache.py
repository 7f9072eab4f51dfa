"""The decode-once cache: every image after the protocol's first step, in one memory-mapped file that workers share.

Decoding and `Resize` are deterministic and come first in both transforms, so what they give can be kept: the bytes are
those that decoding on the fly gives, in the same version of the decoder, which is part of the file's key.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

from mlrc.harness.images.content import OnProgress, with_content
from mlrc.harness.images.dataset import ImageSet, Pixels
from mlrc.harness.images.decoding import VERSION, UnusableImageError, together
from mlrc.harness.images.files import FilePixels
from mlrc.harness.images.resize import resize, resized, resized_size

_CHUNK = 128
"""Images per unit of work: what a killed build loses at most, per thread."""
PIXELS, _INDEX, _DONE = "pixels.bin", "index.npz", "done.txt"
_VERIFIED: set[Path] = set()
"""Caches that this process has read as a whole, or built."""


def cached(
    images: ImageSet,
    side: int,
    *,
    folder: Path | None,
    threads: int = 1,
    on_progress: OnProgress | None = None,
    verify: bool = False,
) -> Pixels:
    """Give the images with their shorter side at `side` pixels, by the fastest way there is.

    A set in memory is resized there; image files are read from the cache in `folder`, which is built if need be, or
    decoded at every access where `folder` is `None`. With `verify` all of it is read once per process, and a
    damaged one is built again.

    Raises:
        OSError: the cache needs more room than there is, or its folder cannot be written.
        ValueError: an image cannot be decoded.
    """
    if folder is None or not isinstance(images.pixels, FilePixels):
        return resized(images.pixels, side)
    cache = Cache(images, side, folder)
    if verify and cache.path.is_dir() and cache.path not in _VERIFIED:
        (on_progress or _silent)(f"verifying {cache.path.name}", 0, 0)
        cache.verify(threads)
    if verify:
        _VERIFIED.add(cache.path)
    return cache.open(threads=threads, on_progress=on_progress)


class CachedPixels:
    """Images of a cache file, each a view into the mapped memory."""

    def __init__(self, flat: NDArray[np.uint8], sizes: NDArray[np.int64]) -> None:
        self.flat = flat
        self.sizes = sizes
        self.offsets = _offsets(sizes)

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.sizes)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Give one image, `(height, width, 3)`; what is written to it stays in this process."""
        height, width = self.sizes[index]
        return self.flat[self.offsets[index] : self.offsets[index + 1]].reshape(height, width, 3)


class _Index(NamedTuple):
    sizes: NDArray[np.int64]
    checksums: list[str]


class Cache:
    """The cache of one set at one size: a folder that is there whole or not at all.

    Args:
        images: a set of files.
        side: shorter side in pixels.
        folder: that holds the caches.
    """

    def __init__(self, images: ImageSet, side: int, folder: Path) -> None:
        if not isinstance(images.pixels, FilePixels):
            raise TypeError(f"Only image files are cached, but {images.facts.name} is in memory.")
        self._pixels = images.pixels
        self._side = side
        self._name = images.facts.name
        decoders = (VERSION, PIL.__version__, *map(features.version, ("jpg", "zlib", "webp", "avif")))
        decoder = hashlib.sha256(repr(decoders).encode())
        # what the bytes are, not under which fingerprint results stand
        content = images.content or with_content(images).content
        key = f"{self._name.replace(':', '-')}-{content}-{side}-{decoder.hexdigest()[:8]}"
        self.path = folder / key
        self._part = folder / f"{key}.part"

    def open(self, *, threads: int = 1, on_progress: OnProgress | None = None) -> CachedPixels:
        """Map the cache, after building it if it is absent or damaged; a build that was killed goes on.

        Raises what `cached` raises.
        """
        while True:
            if (pixels := self._mapped()) is not None:
                return pixels
            with self._alone() as ours:
                if ours and self._mapped() is None:
                    self._build(threads, on_progress or _silent)
                elif ours:
                    shutil.rmtree(self._part)  # another process finished between our look and our lock

    def verify(self, threads: int = 1) -> bool:
        """Read the whole cache against its checksums; a damaged one is removed. Says whether it is whole."""
        index = self._read_index()
        if index is not None and self._mapped() is not None:
            with ThreadPoolExecutor(threads) as pool:
                found = list(pool.map(partial(_checksum_at, self.path / PIXELS), *_spans(index.sizes)))
            if found == index.checksums:
                return True
        shutil.rmtree(self.path, ignore_errors=True)
        return False

    def _read_index(self) -> _Index | None:
        try:
            with (self.path / _INDEX).open("rb") as file, np.load(file) as index:
                return _Index(index["sizes"], index["checksums"].tolist())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None

    def _mapped(self) -> CachedPixels | None:
        index = self._read_index()
        path = self.path / PIXELS
        if index is None or not path.is_file() or path.stat().st_size != _offsets(index.sizes)[-1]:
            return None
        return CachedPixels(np.asarray(np.memmap(path, dtype=np.uint8, mode="c")), index.sizes)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Hold the unfinished build; false where another process has just finished or dropped it."""
        try:
            self._part.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._part, os.O_RDONLY)
        except FileNotFoundError:
            yield False
            return
        except OSError as error:
            raise OSError(
                f"The cache of {self._name} must be kept in {self._part.parent}, but it cannot be written "
                f"({error.strerror}); give another --root or decode on the fly (--no-cache)."
            ) from error
        try:
            self._lock(handle)
            yield self._part.is_dir() and self._part.stat().st_ino == os.fstat(handle).st_ino
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise OSError(
                f"The cache of {self._name} must be kept on a file system with locks, but that of {self._part.parent} "
                f"has none ({error.strerror}); give another --root or decode on the fly (--no-cache)."
            ) from error

    def _build(self, threads: int, on_progress: OnProgress) -> None:
        try:
            sizes = self._sizes(threads, on_progress)
            self._require_room(int(_offsets(sizes)[-1]))
            checksums = self._fill(sizes, threads, on_progress)
            with (self._part / _INDEX).open("wb") as file:
                np.savez(file, sizes=sizes, checksums=np.array(checksums))
                file.flush()
                os.fsync(file.fileno())
            (self._part / _DONE).unlink()
            shutil.rmtree(self.path, ignore_errors=True)  # a damaged one
            self._part.rename(self.path)
        except OSError as error:
            shutil.rmtree(self._part, ignore_errors=True)
            if error.errno != errno.ENOSPC:
                raise
            raise OSError(
                f"The cache of {self._name} filled the disk of {self._part.parent} and was removed; "
                "make room, give another --root or decode on the fly (--no-cache)."
            ) from error
        except ValueError:
            shutil.rmtree(self._part, ignore_errors=True)
            raise

    def _sizes(self, threads: int, on_progress: OnProgress) -> NDArray[np.int64]:
        sizes = np.empty((len(self._pixels), 2), dtype=np.int64)

        bad: list[UnusableImageError] = []

        def read(chunk: range) -> int:
            for index in chunk:
                try:
                    sizes[index] = resized_size(*self._pixels.size(index), self._side)
                except UnusableImageError as error:
                    bad.append(error)
            return len(chunk)

        with ThreadPoolExecutor(threads) as pool:
            for done in _counted(pool, read, _chunks(len(sizes))):
                on_progress(f"measuring {self._name}", done, len(sizes))
            if bad:  # all files are decoded, so that all bad ones are named at once
                bad.clear()
                for done in _counted(pool, lambda chunk: len(self._decoded(chunk, bad)), _chunks(len(sizes))):
                    on_progress(f"checking {self._name}", done, len(sizes))
        self._require_whole(bad)
        return sizes

    def _decoded(self, chunk: range, bad: list[UnusableImageError]) -> list[NDArray[np.uint8]]:
        """Give the resized images of a chunk, and add those that can't be decoded to the bad ones."""
        images = []
        for index in chunk:
            try:
                images.append(resize(self._pixels[index], self._side))
            except UnusableImageError as error:
                bad.append(error)
        return images

    def _require_whole(self, bad: list[UnusableImageError]) -> None:
        if bad:
            raise together(sorted(bad, key=lambda error: error.path), len(self._pixels), self._name)

    def _require_room(self, needed: int) -> None:
        path = self._part / PIXELS
        written = path.stat().st_blocks * 512 if path.is_file() else 0
        free = shutil.disk_usage(self._part).free
        if needed - written > free:
            raise OSError(
                f"The cache of {self._name} at {self._side} pixels needs {needed / 1e9:.2f} GB in {self._part.parent}, "
                f"but {free / 1e9:.2f} GB are free; make room, give another --root or decode on the fly (--no-cache)."
            )

    def _fill(self, sizes: NDArray[np.int64], threads: int, on_progress: OnProgress) -> list[str]:
        offsets = _offsets(sizes)
        done = self._resumed(sizes)
        bad: list[UnusableImageError] = []
        with (self._part / PIXELS).open("r+b" if done else "wb") as file, (self._part / _DONE).open("a") as journal:
            file.truncate(offsets[-1])

            def write(chunk: range) -> int:
                images = self._decoded(chunk, bad)
                if len(images) < len(chunk):
                    return len(chunk)
                block = b"".join(image.tobytes() for image in images)
                _write_at(file.fileno(), block, int(offsets[chunk.start]))
                done[chunk.start] = _checksum(block)
                journal.write(f"{chunk.start} {done[chunk.start]}\n")
                journal.flush()
                return len(chunk)

            missing = [chunk for chunk in _chunks(len(sizes)) if chunk.start not in done]
            before = len(sizes) - sum(map(len, missing))
            with ThreadPoolExecutor(threads) as pool:
                for count in _counted(pool, write, missing):
                    on_progress(f"decoding {self._name}", before + count, len(sizes))
            os.fsync(file.fileno())
        self._require_whole(bad)
        return [done[chunk.start] for chunk in _chunks(len(sizes))]

    def _resumed(self, sizes: NDArray[np.int64]) -> dict[int, str]:
        """Give the chunks of an interrupted build that are on the disk as they were written, by their first image."""
        path = self._part / PIXELS
        if not (self._part / _DONE).is_file() or not path.is_file() or path.stat().st_size != _offsets(sizes)[-1]:
            (self._part / _DONE).unlink(missing_ok=True)
            return {}
        lines = [line.split() for line in (self._part / _DONE).read_text().splitlines()]
        told = {int(line[0]): line[1] for line in lines if len(line) == 2}
        blocks = zip(_chunks(len(sizes)), _blocks(path, sizes), strict=True)
        return {chunk.start: told[chunk.start] for chunk, block in blocks if told.get(chunk.start) == _checksum(block)}


def _chunks(count: int) -> list[range]:
    return [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]


def _offsets(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes.prod(axis=1) * 3)])


def _blocks(path: Path, sizes: NDArray[np.int64]) -> Iterator[bytes]:
    offsets = _offsets(sizes)
    with path.open("rb") as file:
        for chunk in _chunks(len(sizes)):
            yield file.read(int(offsets[chunk.stop] - offsets[chunk.start]))


def _spans(sizes: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Give where each chunk begins and how long it is, in bytes."""
    offsets, chunks = _offsets(sizes), _chunks(len(sizes))
    starts = [int(offsets[chunk.start]) for chunk in chunks]
    return starts, [int(offsets[chunk.stop]) - start for chunk, start in zip(chunks, starts, strict=True)]


def _checksum_at(path: Path, start: int, size: int) -> str:
    with path.open("rb") as file:
        file.seek(start)
        return _checksum(file.read(size))


def _write_at(handle: int, block: bytes, offset: int) -> None:
    view = memoryview(block)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


def _checksum(block: bytes) -> str:
    return hashlib.blake2b(block, digest_size=16).hexdigest()


def _counted(pool: ThreadPoolExecutor, work: Callable[[range], int], chunks: list[range]) -> Iterator[int]:
    """Do the chunks in threads, which decode side by side, and give the running count; a failure stops the rest."""
    futures = [pool.submit(work, chunk) for chunk in chunks]
    total = 0
    try:
        for future in as_completed(futures):
            total += future.result()
            yield total
    finally:
        for future in futures:
            future.cancel()


def _silent(_what: str, _done: int, _total: int) -> None:
    pass
