"""The ledger: what is written stays, a torn end is forgiven, anything else is said, and there is one writer."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from mlrc.results.records.ledger import LEDGER, Ledger, NoLocksError, read, writer
from mlrc.results.records.lines import to_line
from mlrc.results.records.record import ProtocolRecord


def _protocol(digest: str) -> ProtocolRecord:
    return ProtocolRecord(digest=digest, name=digest, fields={}, changes={})


def _written(runs: Path, *digests: str) -> Path:
    with Ledger(runs) as ledger:
        ledger.append(_protocol(digest) for digest in digests)
    return runs / LEDGER


def test_records_are_there_for_the_next_reader(tmp_path: Path) -> None:
    path = _written(tmp_path / "new" / "folder", "a", "b")
    assert list(read(path).protocols) == ["a", "b"]


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / LEDGER).protocols == {}


def test_opening_again_appends(tmp_path: Path) -> None:
    _written(tmp_path, "a")
    path = _written(tmp_path, "b")
    assert list(read(path).protocols) == ["a", "b"]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_forgiven_and_the_next_record_starts_a_line_of_its_own(tmp_path: Path, cut: int) -> None:
    path = _written(tmp_path, "a", "b")
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(read(path).protocols) == ["a"]
    _written(tmp_path, "c")
    assert list(read(path).protocols) == ["a", "c"]


def test_every_point_at_which_a_writer_can_be_killed_leaves_a_readable_ledger(tmp_path: Path) -> None:
    path = _written(tmp_path, "a", "b")
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        expected = ["a"] * (length >= first) + ["b"] * (length == len(whole))
        assert list(read(path).protocols) == expected


def test_a_broken_line_in_the_middle_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    path = _written(tmp_path, "a", "b", "c")
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1][:20]
    broken = b"\n".join(lines)
    path.write_bytes(broken)
    with pytest.raises(ValueError, match=r"Line 2 of .*ledger.jsonl is not a record"):
        read(path)
    with pytest.raises(ValueError, match="Nothing was changed"):
        Ledger(tmp_path)
    assert path.read_bytes() == broken


def test_of_two_records_with_one_key_the_later_counts(tmp_path: Path) -> None:
    path = _written(tmp_path, "a")
    later = ProtocolRecord(digest="a", name="later", fields={}, changes={})
    with path.open("ab") as file:
        file.write(to_line(later).encode() + b"\n")
    assert read(path).protocols["a"] == later


def test_a_disk_that_is_full_at_a_line_is_told_once_and_the_folder_is_free_again(tmp_path: Path) -> None:
    path = _written(tmp_path, "a")
    with Ledger(tmp_path) as ledger:
        ledger._file.close()
        ledger.path = Path("/dev/full")
        ledger._file = ledger.path.open("ab")
        with pytest.raises(OSError, match="No space left on device"):
            ledger.append([_protocol("b")])
    assert ledger._file.closed
    assert list(read(path).protocols) == ["a"]
    _written(tmp_path, "b")
    assert list(read(path).protocols) == ["a", "b"]


def test_a_look_at_who_writes_refuses_no_writer(tmp_path: Path) -> None:
    _written(tmp_path, "a")
    with (tmp_path / "ledger.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        looked = Timer(0.2, fcntl.flock, (lock, fcntl.LOCK_UN))
        looked.start()
        with Ledger(tmp_path) as ledger:
            assert list(ledger.records.protocols) == ["a"]
        looked.join()


def test_a_second_writer_is_refused_with_the_first_one_s_host_and_process(tmp_path: Path) -> None:
    script = (
        f"from pathlib import Path\nfrom mlrc.results.records.ledger import Ledger\nLedger(Path({str(tmp_path)!r}))"
    )
    with Ledger(tmp_path):
        second = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "must have one writer, but process" in second.stderr
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.fixture(params=[errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def _no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file system have no locks."""

    def flock(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.usefixtures("_no_locks")
def test_a_file_system_without_locks_is_a_sentence_for_a_writer_and_no_hindrance_for_a_reader(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text(to_line(_protocol("a")) + "\n", encoding="utf-8")
    with pytest.raises(OSError, match=r"must lie on a file system with locks, .* give a folder elsewhere with --runs"):
        Ledger(tmp_path)
    assert list(read(tmp_path / LEDGER).protocols) == ["a"]
    with pytest.raises(NoLocksError):
        writer(tmp_path)


def test_a_byte_of_a_name_in_a_message_comes_back_as_it_was(tmp_path: Path) -> None:
    name = "caf\udce9 \\udce9"
    with Ledger(tmp_path) as ledger:
        ledger.append([ProtocolRecord(digest="a", name=name, fields={}, changes={})])
    assert read(tmp_path / LEDGER).protocols["a"].name == name
