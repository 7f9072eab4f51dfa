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


def is_full(error: BaseException) -> bool:
    """Say whether the disk, or the user's part of it, is full."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def write_at(handle: int, block: bytes | memoryview, offset: int) -> None:
    """Write all of a block into an open file, at `offset`."""
    view = memoryview(block)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
