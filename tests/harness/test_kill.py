"""A study whose driver is killed again and again, and one with another number of workers, give the same bytes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from results.ledger import LEDGER

KILLS = 5
PROTOCOL = [
    f"--set={change}"
    for change in (
        "embedding_size=8",
        "batch_size=8",
        "iterations_per_epoch=2",
        "max_epochs=2",
        "validation_interval=1",
        "trials=2",
        "startup_trials=1",
        "repeats=2",
    )
]
JOBS = 8 + 2 * (8 + 8)  # untrained, and two losses with two trials and two repeats of four folds


def _command(root: Path, runs: Path, workers: int) -> list[str]:
    words = ["run", "--dataset", "glyphs", "--losses", "contrastive,proxy_anchor", "--protocol", "quick", *PROTOCOL]
    places = ["--root", str(root), "--runs", str(runs), "--workers", str(workers), "--device", "cpu"]
    return [sys.executable, "-m", "harness.cli", *words, *places]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def undisturbed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The leaderboard of a run on one worker that nothing disturbed."""
    runs = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(_command(root, runs, 1), check=True, capture_output=True)
    return (runs / "leaderboard.csv").read_bytes()


def _lines(runs: Path) -> int:
    ledger = runs / LEDGER
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alive(pids: Sequence[int]) -> list[int]:
    def alive(pid: int) -> bool:
        status = Path(f"/proc/{pid}/stat")
        return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"

    return [pid for pid in pids if alive(pid)]


def _wait_for_death(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + 20
    while _alive(pids):
        assert time.monotonic() < deadline, f"workers {_alive(pids)} outlived their driver"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc to find the workers")
def test_a_driver_killed_at_five_random_moments_gives_the_bytes_of_an_undisturbed_one(
    root: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    chance = random.Random(20030850)  # noqa: S311 moments, no secrets
    moments = sorted(chance.sample(range(1, JOBS), KILLS))
    for moment in moments:
        driver = subprocess.Popen(_command(root, tmp_path, 2), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while _lines(tmp_path) <= moment:
            assert driver.poll() is None, "the driver ended before it was killed"
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))
        assert driver.poll() is None, "the driver ended before it was killed"
        workers = _children(driver.pid)
        assert workers
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        _wait_for_death(workers)
        assert not (tmp_path / "leaderboard.csv").exists()
    subprocess.run(_command(root, tmp_path, 2), check=True, capture_output=True)
    assert (tmp_path / "leaderboard.csv").read_bytes() == undisturbed


def test_two_workers_give_the_bytes_of_one(root: Path, undisturbed: bytes, tmp_path: Path) -> None:
    subprocess.run(_command(root, tmp_path, 2), check=True, capture_output=True)
    assert (tmp_path / "leaderboard.csv").read_bytes() == undisturbed
