"""What a set of image files is: the bytes of its files, hashed side by side and remembered in a small index.

An index lies beside the decode-once cache. It gives the hash of a file whose size and times (of its content, and of
its entry in the file system) are as they were when it was hashed. What changed within the last moments is hashed again
the next time, since a clock may not tell two changes apart.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.images.decoding import UnusableImageError
from mlrc.harness.images.files import FilePixels
from mlrc.harness.machine.atomic import write_atomically

OnProgress = Callable[[str, int, int], None]
"""Told (what is done, how much of it, of how much)."""

Entry = tuple[int, int, int, str]
"""Size of a file in bytes, times of its content and of its entry in nanoseconds, and hash."""

INDEX = "content-"
"""How the name of an index begins."""
MOMENT = 2 * 10**9
"""Nanoseconds in which a file system may give two changes the same time."""

AT_A_TIME = 64
"""Files that a thread takes at once."""


def with_content(
    images: ImageSet, *, index: Path | None = None, threads: int = 1, on_progress: OnProgress | None = None
) -> ImageSet:
    """Give a set of files with the hash of its content, which is its fingerprint too; any other set as it is.

    Labels, queries, cameras, the set's own split and the bytes of the files in their order decide; no name of a file,
    folder or class does.

    Args:
        images: that a reader opened.
        index: folder of the indices; `None` remembers nothing.
        threads: that hash side by side.
        on_progress: told of long work.

    Raises:
        UnusableImageError: a file cannot be read.
    """
    if images.fingerprint or not isinstance(images.pixels, FilePixels):
        return images
    hashes = hashes_of(images.pixels, index, threads=threads, on_progress=on_progress or _silent, of=images.facts.name)
    digest = hashlib.sha256(f"files {images.trainval_classes}\n".encode())
    nothing = np.zeros(len(hashes), dtype=np.int64)
    queries = nothing if images.queries is None else images.queries
    cameras = nothing if images.cameras is None else images.cameras
    for label, query, camera, hashed in zip(images.labels, queries, cameras, hashes, strict=True):
        digest.update(f"{label}\t{query:d}\t{camera}\t{hashed}\n".encode())
    content = digest.hexdigest()[:16]
    return replace(images, fingerprint=content, content=content)


def hashes_of(pixels: FilePixels, index: Path | None, *, threads: int, on_progress: OnProgress, of: str) -> list[str]:
    """Give the first 32 hexadecimal digits of each file's sha256."""
    path = index_of(pixels, index) if index is not None else None
    known = _read(path) if path else {}
    found: dict[str, Entry] = {}
    now = time.time_ns()

    def hashed(names: Sequence[str]) -> list[Entry]:
        return [_hashed(os.path.join(pixels.folder, name), known.get(name)) for name in names]

    parts = [pixels.paths[start : start + AT_A_TIME] for start in range(0, len(pixels), AT_A_TIME)]
    with ThreadPoolExecutor(threads) as pool:
        for names, entries in zip(parts, pool.map(hashed, parts), strict=True):
            found.update(zip(names, entries, strict=True))
            on_progress(f"hashing {of}", len(found), len(pixels))
    kept = {name: entry for name, entry in found.items() if max(entry[1:3]) < now - MOMENT}
    if path and kept != known:
        with suppress(OSError):  # where nothing can be written, all is hashed every time
            write_atomically(path, json.dumps(kept).encode())
    return [found[name][3] for name in pixels.paths]


def _hashed(file: str, before: Entry | None) -> Entry:
    try:
        state = os.stat(file)
        times = (state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        if before is not None and before[:3] == times:
            return before
        with open(file, "rb") as content:
            return (*times, hashlib.file_digest(content, "sha256").hexdigest()[:32])
    except OSError as error:
        raise UnusableImageError(Path(file), f"it cannot be read ({error.strerror})") from error


def index_of(pixels: FilePixels, folder: Path) -> Path:
    """Give the index of the files below a folder of images, by where that lies."""
    place = hashlib.sha256(bytes(pixels.folder.resolve())).hexdigest()[:16]
    return folder / f"{INDEX}{place}.json"


def _read(path: Path) -> Mapping[str, Entry]:
    """Read an index; none, or a damaged one, knows nothing."""
    try:
        return dict(_entries(json.loads(path.read_bytes())))
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _entries(content: Mapping[str, list[object]]) -> Iterable[tuple[str, Entry]]:
    for name, entry in content.items():
        match entry:
            case [int(size), int(changed), int(entered), str(hashed)]:
                yield name, (size, changed, entered, hashed)


def _silent(_what: str, _done: int, _total: int) -> None:
    pass
