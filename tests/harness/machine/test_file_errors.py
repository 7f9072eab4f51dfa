"""What the system says of a file becomes a sentence with a way out, and tells a machine's faults from a loss's."""

import errno
from pathlib import Path

import pytest

from mlrc.harness.machine.file_errors import is_of_the_machine, sentence


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (errno.EROFS, "mount it for writing"),
        (errno.EACCES, "change its permissions"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EFBIG, "ulimit -f"),
        (errno.ENOENT, "put it back"),
        (errno.EISDIR, "a folder stands where a file belongs"),
        (errno.ENOSPC, "make room"),
        (errno.ELOOP, "see to it"),
    ],
)
def test_every_error_of_a_file_names_it_and_says_what_to_do(number: int, way_out: str) -> None:
    told = sentence(OSError(number, "as the system says", "runs/ledger.jsonl"))
    assert told.startswith("runs/ledger.jsonl must be usable, but is not (as the system says): ")
    assert way_out in told
    assert told.endswith("The same command then goes on.")


def test_a_file_below_the_run_or_a_limit_is_of_the_machine_and_any_other_is_the_loss_s(tmp_path: Path) -> None:
    mine = OSError(errno.ENOENT, "no", str(tmp_path / "runs" / "checkpoints" / "a.pt"))
    assert is_of_the_machine(mine, [tmp_path / "runs"])
    assert not is_of_the_machine(mine, [tmp_path / "root"])
    assert not is_of_the_machine(OSError(errno.ENOENT, "no", "weights_of_my_loss.pt"), [tmp_path])
    assert is_of_the_machine(OSError(errno.EMFILE, "too many"), [])
    assert not is_of_the_machine(ValueError("no"), [tmp_path])
    assert not is_of_the_machine(OSError("no number"), [tmp_path])
