"""A command whose standard streams are closed or full ends with a status, and says why where it still can."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlrc.harness.machine.stopping import DISK_FULL

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
COMMAND = f"{sys.executable} -m mlrc.harness.cli"


def _shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)


def test_a_full_standard_output_is_a_sentence() -> None:
    done = _shell(f"{COMMAND} list protocols > /dev/full")
    assert done.returncode == DISK_FULL
    assert done.stderr.startswith("Error: A file must be usable, but is not (No space left on device)")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("how", "status"), [("2>&-", 2), ("2>/dev/full", 2), (">&- 2>&-", 2)])
def test_where_errors_cannot_be_told_the_status_still_tells(how: str, status: int) -> None:
    assert _shell(f"{COMMAND} retry --runs no_such_folder {how}").returncode == status


@pytest.mark.parametrize("how", ["2>&-", "<&-", ">&-", "2>/dev/full"])
def test_a_closed_stream_that_is_not_needed_changes_nothing(how: str) -> None:
    done = _shell(f"{COMMAND} list protocols {how}")
    assert done.returncode == 0
    assert ("quick" in done.stdout) == (how != ">&-")
