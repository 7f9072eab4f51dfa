"""The ledger file: append-only JSON lines, one writer, each line on the disk before the next job counts on it.

What is left to do is what was planned minus what is recorded here, so a reader forgives the one line that a killed
writer left torn at the end, and no other.
"""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from mlrc.results.records.lines import from_line, to_line
from mlrc.results.records.record import (
    FoldRecord,
    Identity,
    ImagesRecord,
    ProtocolRecord,
    Record,
    RetryRecord,
    RunRecord,
    SweepRecord,
    UncheckedRecord,
)

LEDGER = "ledger.jsonl"
_LOCK = "ledger.lock"
_SECONDS_TO_LOCK = 1.0


@dataclass(frozen=True, kw_only=True)
class Records:
    """The content of a ledger, each kind by its key; of two records with one key the later counts.

    Of two protocols of one digest, which differ in the number of searches alone, the one with more counts.

    Attributes:
        contents: (dataset, fingerprint) to the content that it stands for, where the fingerprint alone does not tell.
        torn: whether the last line was half written, and so is not among them.
    """

    protocols: dict[str, ProtocolRecord] = field(default_factory=dict)
    folds: dict[str, FoldRecord] = field(default_factory=dict)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    sweeps: dict[str, SweepRecord] = field(default_factory=dict)
    contents: dict[tuple[str, str], str] = field(default_factory=dict)
    unchecked: dict[Identity, UncheckedRecord] = field(default_factory=dict)
    torn: bool = False

    def add(self, record: Record) -> None:
        """Take in one record."""
        match record:
            case ProtocolRecord():
                known = self.protocols.get(record.digest)
                if known is None or known.searches <= record.searches:
                    self.protocols[record.digest] = record
            case FoldRecord():
                self.folds[record.key] = record
            case RunRecord():
                self.runs[record.key] = record
            case SweepRecord():
                self.sweeps[record.key] = record
            case ImagesRecord():
                self.contents[record.dataset, record.fingerprint] = record.content
            case UncheckedRecord():
                self.unchecked[record.identity] = record
            case RetryRecord():
                for key in record.keys:
                    self.folds.pop(key, None)
                    self.runs.pop(key, None)


def read(path: Path) -> Records:
    """Read a ledger; a file that does not exist is an empty one.

    Raises:
        ValueError: a line other than a torn last one is broken; names the file and the line.
    """
    if not path.exists():
        return Records()
    *lines, rest = path.read_bytes().split(b"\n")
    records = Records(torn=bool(rest))
    for number, line in enumerate(lines, start=1):
        try:
            records.add(from_line(line.decode()))
        except ValueError as error:
            raise ValueError(
                f"Line {number} of {path} is not a record ({error}); restore the file from a copy or delete that one "
                "line, and its work is done again. Nothing was changed."
            ) from error
    return records


def require(runs: Path) -> Path:
    """Give the ledger of a runs folder that must have one.

    Raises:
        FileNotFoundError: there is none.
    """
    path = runs / LEDGER
    if not path.is_file():
        raise FileNotFoundError(f"There is no {LEDGER} in {runs}; give the folder of a run with --runs.")
    return path


class NoLocksError(OSError):
    """The file system has no locks, so that nobody can tell whether a process writes to a folder."""


NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What file systems answer that have no locks, as some network and container mounts."""


def writer(runs: Path) -> str | None:
    """Say which process writes to a runs folder now; `None` if there is none.

    Raises:
        NoLocksError: that cannot be told there.
    """
    try:
        with (runs / _LOCK).open(encoding="utf-8", errors="replace") as lock:
            try:
                _lock(lock, fcntl.LOCK_SH)
            except BlockingIOError:
                return lock.read().strip() or "another process"
    except FileNotFoundError:
        pass  # no driver was ever there
    return None


def _lock(lock: TextIO, kind: int) -> None:
    """Lock a file at once; raises `BlockingIOError` where another process has it, or `NoLocksError`."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise NoLocksError(error.errno, error.strerror, lock.name) from error
        raise


def _locked(lock: TextIO) -> bool:
    """Lock it for this process alone; `False` if another keeps it, and does not only look as `writer` does."""
    until = time.monotonic() + _SECONDS_TO_LOCK
    while True:
        try:
            _lock(lock, fcntl.LOCK_EX)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(_SECONDS_TO_LOCK / 20)
        else:
            return True


class Ledger:
    """The one writer of a runs folder, for as long as the `with` block lasts.

    Raises:
        OSError: the folder cannot be written.
        ValueError: another process writes to it, or the ledger is broken.
    """

    def __init__(self, runs: Path) -> None:
        self.path = runs / LEDGER
        try:
            runs.mkdir(parents=True, exist_ok=True)
            self._lock = (runs / _LOCK).open("a+", encoding="utf-8", errors="replace")
        except OSError as error:
            raise OSError(
                f"The runs folder {runs} must be writable, but it is not ({error.strerror}); give another with --runs."
            ) from error
        if not self._is_mine(runs):
            self._lock.seek(0)
            owner = self._lock.read().strip() or "another process"
            self._lock.close()
            raise ValueError(
                f"The runs folder {runs} must have one writer, but {owner} is at work in it; wait for it, stop it, or "
                "give another folder with --runs."
            )
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._lock.flush()
        try:
            self.records = read(self.path)
            self._file = self.path.open("ab")
            self._drop_torn_line()
        except BaseException:
            self._lock.close()
            raise

    def _is_mine(self, runs: Path) -> bool:
        try:
            return _locked(self._lock)
        except NoLocksError as error:
            self._lock.close()
            raise OSError(
                f"The runs folder {runs} must lie on a file system with locks, as two writers would spoil its ledger, "
                f"but that has none ({error.strerror}); give a folder elsewhere with --runs."
            ) from error

    def append(self, records: Iterable[Record]) -> None:
        """Write records and wait until they are on the disk.

        Raises:
            OSError: they cannot be written, or the file is not at its place any more.
        """
        if self.path.stat().st_ino != os.fstat(self._file.fileno()).st_ino:
            raise FileNotFoundError(errno.ENOENT, "another file stands in its place", str(self.path))
        for record in records:
            line = to_line(record).encode(errors="backslashreplace")  # JSON's own escape of a byte of a file's name
            self._file.write(line + b"\n")
            self.records.add(record)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _drop_torn_line(self) -> None:
        content = self.path.read_bytes()
        self._file.truncate(content.rfind(b"\n") + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as failure:
            if failure.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise  # of a full disk `append` has told: all that it did not tell of is on the disk
        finally:
            self._lock.close()
