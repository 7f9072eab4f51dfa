"""What counts as hanging: silence, measured against what is usual, and processes that a signal stopped."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mlrc.harness.engine import watchdog
from mlrc.harness.engine.watchdog import LEAST_SECONDS, MULTIPLE, STOPPED_SECONDS, Watchdog
from mlrc.harness.plan.job import FoldJob


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float, dog: Watchdog) -> None:
        """Let time pass as an awake driver sees it."""
        for _ in range(10):
            self.now += seconds / 10
            dog.look()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(watchdog, "ASLEEP_SECONDS", 1e6)
    return Clock()


def test_silence_is_too_long_after_some_minutes_and_a_sign_of_life_ends_it(clock: Clock, job: FoldJob) -> None:
    dog = Watchdog(clock)
    dog.begin(job)
    clock.pass_by(LEAST_SECONDS - 1, dog)
    assert not dog.verdict(job, signs=True)
    dog.moved(job)
    clock.pass_by(LEAST_SECONDS - 1, dog)
    assert not dog.verdict(job, signs=True)
    clock.pass_by(2, dog)
    assert dog.verdict(job, signs=True) == "its process gave no sign of life for 301 seconds"
    assert not dog.verdict(job, signs=False), "where there are no signs their lack tells nothing"


def test_a_training_that_moves_but_is_not_validated_is_measured_by_what_is_usual_for_its_loss(
    clock: Clock, job: FoldJob
) -> None:
    dog = Watchdog(clock)
    first, slow = replace(job, fold=1), replace(job, loss="multi_similarity")
    for one in (first, job, slow):
        dog.begin(one)
    clock.pass_by(60, dog)
    dog.told(first)
    dog.end(first)
    clock.pass_by(MULTIPLE * 60 - 61, dog)
    for one in (job, slow):
        dog.moved(one)
        assert not dog.verdict(one, signs=True)
    clock.pass_by(2, dog)
    assert dog.verdict(job, signs=True) == "it was not validated for 1201 seconds, of which 60 are usual"
    assert not dog.verdict(slow, signs=True), "nothing is known of its loss yet"


def test_after_a_sleep_of_the_driver_nobody_is_blamed(job: FoldJob) -> None:
    clock = Clock()
    dog = Watchdog(clock)
    dog.begin(job)
    clock.now += 10 * LEAST_SECONDS
    dog.look()
    assert not dog.verdict(job, signs=True)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's /proc")
def test_a_stopped_process_is_given_some_seconds(clock: Clock, job: FoldJob) -> None:
    dog = Watchdog(clock)
    dog.begin(job)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            assert not dog.verdict(job, signs=True, pid=process.pid)
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            assert not dog.verdict(job, signs=True, pid=process.pid)
            clock.pass_by(STOPPED_SECONDS, dog)
            assert dog.verdict(job, signs=True, pid=process.pid).startswith(
                "its process was stopped by a signal for 10"
            )
        finally:
            process.kill()
