"""Files that are there whole or not at all, also after a kill."""

import errno
import os
from pathlib import Path


def write_atomically(path: Path, *contents: bytes) -> None:
    """Write the contents one after the other, so that a reader finds all of them or no new file."""
    path.parent.mkdir(exist_ok=True)  # but not the run's folder anew, which may have been moved
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            for content in contents:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def require_place(path: Path) -> None:
    """Hold a file that is to be written at the end of some work against the disk, before the work.

    Raises:
        FileNotFoundError: its folder is not there.
        ValueError: a folder stands in its place, or nothing can be written there.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} must be there, but is not; make it.")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        what = "is a folder" if path.is_dir() else f"lies in {path.parent}, where this user may write nothing"
        raise ValueError(f"{path} must be a file that can be written, but {what}; give another.")


def is_full(error: BaseException) -> bool:
    """Say whether the disk, or the user's part of it, is full."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def write_at(handle: int, block: bytes | memoryview, offset: int) -> None:
    """Write all of a block into an open file, at `offset`."""
    view = memoryview(block)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
