"""A study in which everything that machines do happens again and again ends in the bytes of an undisturbed one."""

import csv
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from mlrc.harness.machine.stopping import DISK_FULL, FAILED, INTERRUPTED, WORK_LEFT
from mlrc.results.records.ledger import LEDGER, read

PROTOCOL = {
    "embedding_size": 8,
    "batch_size": 8,
    "iterations_per_epoch": 4,
    "max_epochs": 3,
    "validation_interval": 1,
    "trials": 2,
    "startup_trials": 1,
    "repeats": 2,
}
SHORT = ("contrastive", "proxy_anchor", "triplet")
LONG = (*SHORT, "multi_similarity", "cosface", "normalized_softmax")
"""As much work as lasts until all that happens has happened."""
TABLES = ("leaderboard.csv", "comparisons.csv", "table.md", "table.tex")
"""What holds nothing that timing can change."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in Linux's /proc")


class Study:
    """A study in a folder, and one driver after the other at work on it."""

    def __init__(self, folder: Path, losses: Sequence[str], workers: int, **environment: str) -> None:
        self.runs = folder / "runs"
        self.faults = folder / "faults"
        self.faults.mkdir(parents=True)
        changes = [f"--set={name}={value}" for name, value in PROTOCOL.items()]
        words = ["run", "--dataset", "glyphs", "--losses", ",".join(losses), "--protocol", "quick", *changes]
        places = ["--root", str(folder.parent / "root"), "--runs", str(self.runs), "--workers", str(workers)]
        self._command = [sys.executable, str(Path(__file__).with_name("faults.py")), *words, *places, "--device", "cpu"]
        # Without a history in reach the version stands in for the commit, which may change while the test is at work.
        self._environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(Path(__file__).parents[3])}
        self._environment |= {"FAULTS": str(self.faults), "OMP_NUM_THREADS": "1"} | environment

    def begin(self, closed: str = "") -> subprocess.Popen[bytes]:
        """Start a driver in a session of its own, so that a Ctrl-C can be sent to it and its workers alone."""
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", *self._command] if closed else self._command
        with (self.runs.parent / "stderr.txt").open("ab") as errors:
            return subprocess.Popen(
                command, env=self._environment, stdout=errors, stderr=errors, start_new_session=True
            )

    def finish(self, status: int = 0, closed: str = "") -> dict[str, str]:
        """Let a driver do what is left and give the tables."""
        assert self.begin(closed).wait() == status, self.said
        return {name: (self.runs / name).read_text(encoding="utf-8") for name in TABLES}

    def mend(self) -> None:
        """See to what always fails, and have it done again."""
        del self._environment["ALWAYS_FAILS"]
        words = [sys.executable, "-m", "mlrc.harness.cli", "retry", "--runs", str(self.runs)]
        subprocess.run(words, env=self._environment, check=True, capture_output=True)

    @property
    def said(self) -> str:
        return (self.runs.parent / "stderr.txt").read_text()

    def wait_for(self, driver: subprocess.Popen[bytes], lines: int) -> None:
        """Wait until the driver has recorded so many lines more."""
        goal = self._lines() + lines
        while self._lines() < goal:
            assert driver.poll() is None, f"the driver ended too soon: {self.said}"
            time.sleep(0.005)

    def wait_until_taken(self, driver: subprocess.Popen[bytes], fault: str) -> None:
        while (self.faults / fault).exists():
            assert driver.poll() is None, f"the driver ended too soon: {self.said}"
            time.sleep(0.005)

    def _lines(self) -> int:
        ledger = self.runs / LEDGER
        return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("torture")


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _alive(pids: Sequence[int]) -> list[int]:
    def alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False

    return [pid for pid in pids if alive(pid)]


def _wait_for_death(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + 20
    while _alive(pids):
        assert time.monotonic() < deadline, f"workers {_alive(pids)} outlived their driver"
        time.sleep(0.02)


def _ended(study: Study, driver: subprocess.Popen[bytes], status: int) -> None:
    workers = _children(driver.pid)
    assert driver.wait(timeout=60) == status, study.said
    _wait_for_death(workers)
    assert not (study.runs / "leaderboard.csv").exists()


# What happens to a driver. Each takes it at work and leaves it dead.


def driver_killed(study: Study, driver: subprocess.Popen[bytes]) -> None:
    workers = _children(driver.pid)
    driver.kill()
    driver.wait()
    _wait_for_death(workers)


def driver_terminated(study: Study, driver: subprocess.Popen[bytes]) -> None:
    os.killpg(driver.pid, signal.SIGTERM)  # a batch system tells everyone
    _ended(study, driver, WORK_LEFT)


def ctrl_c(study: Study, driver: subprocess.Popen[bytes]) -> None:
    os.killpg(driver.pid, signal.SIGINT)  # a terminal tells everyone
    _ended(study, driver, INTERRUPTED)


def ctrl_c_twice(study: Study, driver: subprocess.Popen[bytes]) -> None:
    os.killpg(driver.pid, signal.SIGINT)
    time.sleep(0.01)
    os.killpg(driver.pid, signal.SIGINT)
    _ended(study, driver, INTERRUPTED)


def ledger_s_disk_full(study: Study, driver: subprocess.Popen[bytes]) -> None:
    (study.faults / "ledger").touch()
    _ended(study, driver, DISK_FULL)
    assert "is full" in study.said


def worker_s_disk_full(study: Study, driver: subprocess.Popen[bytes]) -> None:
    (study.faults / "disk").touch()
    _ended(study, driver, DISK_FULL)


def terminal_closed(study: Study, driver: subprocess.Popen[bytes]) -> None:
    os.killpg(driver.pid, signal.SIGHUP)
    _ended(study, driver, WORK_LEFT)


def folder_read_only(study: Study, driver: subprocess.Popen[bytes]) -> None:
    (study.faults / "read-only").touch()
    _ended(study, driver, DISK_FULL)
    assert "must be usable, but is not (Read-only file system)" in study.said


def terminated_while_a_worker_is_stopped(study: Study, driver: subprocess.Popen[bytes]) -> None:
    for pid in _workers(driver):
        os.kill(pid, signal.SIGSTOP)
    os.kill(driver.pid, signal.SIGTERM)
    time.sleep(0.1)
    os.kill(driver.pid, signal.SIGTERM)
    _ended(study, driver, WORK_LEFT)


# What happens to a worker, while the driver goes on.


def _worker_suffers(fault: str) -> "Injection":
    def suffer(study: Study, driver: subprocess.Popen[bytes]) -> None:
        (study.faults / fault).touch()
        study.wait_until_taken(driver, fault)
        study.wait_for(driver, 3)  # the job it hit has been done again then, and the next fault hits another

    suffer.__name__ = f"worker suffers {fault}"
    return suffer


def _workers(driver: subprocess.Popen[bytes]) -> list[int]:
    return [pid for pid in _children(driver.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def worker_terminated(study: Study, driver: subprocess.Popen[bytes]) -> None:
    os.kill(_workers(driver)[0], signal.SIGTERM)
    study.wait_for(driver, 1)


def memory_limited(study: Study, driver: subprocess.Popen[bytes]) -> None:
    """Let a worker have no more memory; the limit holds for that process alone, and is gone with it."""
    pid = _workers(driver)[0]
    size = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (size, size))
    study.wait_for(driver, 3)


Injection = Callable[[Study, subprocess.Popen[bytes]], None]
ON_DRIVERS: tuple[Injection, ...] = (
    driver_killed,
    driver_terminated,
    driver_killed,
    ctrl_c,
    driver_killed,
    ledger_s_disk_full,
    ctrl_c_twice,
    worker_s_disk_full,
    terminal_closed,
    folder_read_only,
    terminated_while_a_worker_is_stopped,
)
IN_SHORT = (terminal_closed, folder_read_only, driver_killed, terminated_while_a_worker_is_stopped)
ON_WORKERS: tuple[Injection, ...] = (
    _worker_suffers("memory"),
    _worker_suffers("kill"),
    worker_terminated,
    _worker_suffers("abort"),
    _worker_suffers("sending"),
    _worker_suffers("stop"),
    _worker_suffers("poison"),
    memory_limited,
)


# What happens to the files while no driver is there.


def last_line_truncated(study: Study, chance: random.Random) -> None:
    ledger = study.runs / LEDGER
    content = ledger.read_bytes()
    last = len(content[: content.rstrip(b"\n").rfind(b"\n") + 1])
    ledger.write_bytes(content[: chance.randint(last + 1, len(content) - 1)])


def checkpoint_damaged(study: Study, chance: random.Random) -> None:
    for path in (study.runs / "checkpoints").glob("*.pt"):
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)


def embeddings_lost(study: Study, chance: random.Random) -> None:
    for path in sorted((study.runs / "embeddings").glob("*.npy"))[:1]:
        path.unlink()


def embeddings_damaged(study: Study, chance: random.Random) -> None:
    for path in sorted((study.runs / "embeddings").glob("*.npy"))[:1]:
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)


ON_FILES = (embeddings_damaged, last_line_truncated, checkpoint_damaged, embeddings_lost)


def _torture(study: Study, on_drivers: Sequence[Injection], on_workers: Iterator[Injection], pause: int) -> int:
    """Break one driver after the other, workers and files in between; give the number of injections."""
    chance = random.Random(20030850)  # noqa: S311 moments, no secrets
    injections = 0
    for number, on_driver in enumerate(on_drivers):
        driver = study.begin()
        study.wait_for(driver, 1)
        if on_worker := next(on_workers, None):
            on_worker(study, driver)
            injections += 1
        study.wait_for(driver, chance.randint(0, pause))
        time.sleep(chance.uniform(0, 0.2))
        on_driver(study, driver)
        ON_FILES[number % len(ON_FILES)](study, chance)
        injections += 2
    return injections


def _terminated_while_the_cache_is_built(study: Study) -> None:
    (study.faults / "building").touch()
    driver = study.begin()
    study.wait_until_taken(driver, "building")
    driver.terminate()
    assert driver.wait(timeout=60) == WORK_LEFT, study.said
    assert "Stopped (SIGTERM) before there was work to save" in study.said


def _measured(tables: dict[str, str]) -> list[dict[str, str]]:
    """Give the rows of the losses without their ranks, which a loss has among all that have a row."""
    found = list(csv.DictReader(tables["leaderboard.csv"].splitlines()))
    return [
        {name: row[name] for name in row if name not in ("rank_low", "rank_high", "could_be_best")} for row in found
    ]


def test_a_tortured_study_gives_the_bytes_of_an_undisturbed_one(folder: Path) -> None:
    undisturbed = Study(folder / "undisturbed", SHORT, workers=1).finish()
    study = Study(folder / "tortured", SHORT, workers=2, ALWAYS_FAILS="triplet")
    _terminated_while_the_cache_is_built(study)
    on_workers = (_worker_suffers("sending"), _worker_suffers("stop"), _worker_suffers("poison"), memory_limited)
    assert _torture(study, IN_SHORT, iter(on_workers), pause=1) == 4 + 4 + 4
    failing = study.finish(FAILED, closed="2>&-")

    assert _measured(failing) == [row for row in _measured(undisturbed) if row["loss"] != "triplet"]
    failed = [fold for fold in read(study.runs / LEDGER).folds.values() if fold.outcome == "failed"]
    assert {(fold.loss, fold.stage, fold.number) for fold in failed} == {("triplet", "search", 0)}
    assert "injected for good" in failed[0].message
    study.mend()
    assert study.finish() == undisturbed
    of_anchor = [
        row for row in csv.DictReader(undisturbed["leaderboard.csv"].splitlines()) if row["loss"] == "proxy_anchor"
    ]
    assert {row["diverged"] for row in of_anchor} == {"1"}
    assert {fold.outcome for fold in read(study.runs / LEDGER).folds.values()} == {"done", "diverged"}
    assert not list((study.runs / "checkpoints").iterdir())
    assert not list((study.runs / "embeddings").iterdir())


@pytest.mark.slow
def test_a_study_tortured_for_long_gives_the_bytes_of_an_undisturbed_one(folder: Path) -> None:
    undisturbed = Study(folder / "long undisturbed", LONG, workers=1).finish()
    study = Study(folder / "long tortured", LONG, workers=2, ALWAYS_FAILS="multi_similarity")
    injections = _torture(study, ON_DRIVERS + ON_DRIVERS[:5], iter(ON_WORKERS * 2), pause=2)
    assert injections >= 40
    study.finish(FAILED)
    study.mend()
    assert study.finish() == undisturbed
