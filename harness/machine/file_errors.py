"""What the operating system says when a file of a run cannot be used, as a sentence with what to do."""

import errno
from collections.abc import Iterable
from pathlib import Path

from mlrc.harness.machine.atomic import is_full

_ADVICE = {
    errno.EFBIG: "a file would pass the limit of a file's size; raise it (ulimit -f)",
    errno.EMFILE: "the process may open no more files; raise the limit (ulimit -n)",
    errno.ENFILE: "the machine may open no more files; close some, or raise its limit",
    errno.EROFS: "its disk can only be read; mount it for writing",
    errno.EACCES: "it may not be used by this user; change its permissions",
    errno.EPERM: "it may not be used by this user; change its permissions",
    errno.ENOENT: "it is not there, or was moved while at work; put it back, or give its new place",
    errno.ENOTDIR: "a file stands where a folder belongs; move it away",
    errno.EISDIR: "a folder stands where a file belongs; move it away",
    errno.ESTALE: "its network disk lost it; mount it again",
    errno.EIO: "its disk or terminal does not answer; see to it",
    errno.EPIPE: "nobody reads what is written; send it elsewhere",
}
_WHEREVER = {errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EIO, errno.ESTALE}
"""Told of by the machine alone, whatever file it is."""


def sentence(error: OSError) -> str:
    """Say what must hold of a file, what is found, and what to do; nothing recorded is lost by it."""
    if error.errno is None:
        return str(error)
    place = error.filename if isinstance(error.filename, str | Path) else "A file"
    what = "its disk is full; make room" if is_full(error) else _ADVICE.get(error.errno, "see to it")
    return f"{place} must be usable, but is not ({error.strerror}): {what}. The same command then goes on."


def is_of_the_machine(error: BaseException, folders: Iterable[Path]) -> bool:
    """Say whether an error tells of the disk, of a limit of this machine, or of a file in one of the folders."""
    if not isinstance(error, OSError) or error.errno is None:
        return False
    if is_full(error) or error.errno in _WHEREVER:
        return True
    if not isinstance(error.filename, str | Path):
        return False
    place = Path(error.filename).absolute()
    return any(place.is_relative_to(folder.absolute()) for folder in folders)
