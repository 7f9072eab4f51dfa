"""A command whose standard streams are closed or full ends with a status, and says why where it still can."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlrc.harness.machine.stopping import DISK_FULL

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
CANARY = Path(__file__).parents[2] / "results" / "canaries" / "other_seed"
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


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("PYTHONIOENCODING=latin-1", "86.88 \xb1 0.59".encode("latin-1")),
        ("PYTHONIOENCODING=ascii", b"86.88 ? 0.59"),
        ("PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 LC_ALL=C", b"86.88 ? 0.59"),
    ],
)
def test_what_a_terminal_s_encoding_lacks_is_replaced_and_the_report_is_whole(
    setting: str, shown: bytes, tmp_path: Path
) -> None:
    line = f"{setting} {COMMAND} report --runs {CANARY} --out {tmp_path}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert shown in done.stdout
    assert "86.88 ± 0.59" in (tmp_path / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", ["PYTHONUTF8=1", "PYTHONIOENCODING=latin-1"])
def test_a_name_that_is_no_text_is_named_byte_by_byte(setting: str, tmp_path: Path) -> None:
    done = _shell(f"{setting} {COMMAND} retry --runs \"$(printf 'caf\\351')\"")
    assert done.returncode == 2
    assert done.stderr == "Error: There is no ledger.jsonl in caf\\xe9; give the folder of a run with --runs.\n"
