"""NVIDIA's MPS for a run: a script stands in for its control program and notes what it was asked."""

import os
from pathlib import Path

import pytest

from mlrc.harness.machine import mps

SCRIPT = """#!/bin/sh
here=$(dirname "$0")
if [ "$1" = "-d" ]; then
    if [ -e "$here/refuses" ]; then echo "An instance of this daemon is already running" >&2; exit 1; fi
    echo "start $CUDA_MPS_PIPE_DIRECTORY" >> "$here/asked"
    touch "$here/runs"
    exit 0
fi
read line
echo "$line" >> "$here/asked"
if [ "$line" = quit ]; then rm "$here/runs"; exit 0; fi
if [ -e "$here/runs" ]; then echo 4711; else echo "Cannot find MPS control daemon process"; fi
"""


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / mps.CONTROL
    program.write_text(SCRIPT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in mps.PLACES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_service_runs_for_as_long_as_it_is_wanted(control: Path) -> None:
    assert mps.told() == "not running; mlrc run --mps starts it for the run"
    with mps.service():
        folder = os.environ[mps.PLACES[0]]
        assert Path(folder).is_dir()
        assert mps.told() == "running"
    assert not Path(folder).exists()
    assert mps.PLACES[0] not in os.environ
    asked = (control / "asked").read_text().split("\n")
    assert asked == ["get_server_list", "get_server_list", f"start {folder}", "get_server_list", "quit", ""]


def test_one_that_runs_already_is_used_and_left_alone(control: Path) -> None:
    (control / "runs").touch()
    with mps.service():
        assert mps.PLACES[0] not in os.environ
    assert (control / "asked").read_text() == "get_server_list\n"


def test_one_that_cannot_be_started_is_told_in_a_sentence(control: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (control / "refuses").touch()
    with (
        pytest.raises(ValueError, match="must start, but did not .An instance of this daemon is already running.; run"),
        mps.service(),
    ):
        pass
    assert mps.PLACES[0] not in os.environ
    monkeypatch.setenv("PATH", str(control / "nowhere"))
    assert mps.told() == f"no ({mps.CONTROL} is not there)"
    with pytest.raises(ValueError, match="--mps needs NVIDIA's nvidia-cuda-mps-control, which is not"), mps.service():
        pass
