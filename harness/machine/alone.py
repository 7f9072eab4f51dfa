"""One process at a time: a folder that is being built is held by whoever builds it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlrc.harness.machine.moves import moved

SECONDS_BETWEEN_LOOKS = 0.2
"""At what another process holds, which ends with that process at the latest."""


@contextmanager
def alone(folder: Path, what: str, way_out: str) -> Iterator[bool]:
    """Make a folder if need be and hold it; false where another process has just finished or dropped it.

    Args:
        folder: in which something is being built.
        what: is being built, and
        way_out: where that cannot be, for the sentence that says so.

    Raises:
        OSError: it cannot be made, or its file system has no locks.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    except OSError as error:
        raise OSError(
            f"{what} must be kept in {folder.parent}, but it cannot be written ({error.strerror}); {way_out}."
        ) from error
    try:
        _lock(handle, folder, what, way_out)
        yield folder.is_dir() and folder.stat().st_ino == os.fstat(handle).st_ino
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, what: str, way_out: str) -> None:
    try:
        while not _taken(handle):
            moved()
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except OSError as error:
        raise OSError(
            f"{what} must be kept on a file system with locks, but that of {folder.parent} has none "
            f"({error.strerror}); {way_out}."
        ) from error


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
