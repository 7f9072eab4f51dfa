"""Notices jobs that hang: an hour of silence is no training, but neither is a long one a dead one.

A worker tells that it moves, and a training that it was validated. A silence is too long when it is a multiple of the
usual one for that loss, and at least some minutes; a process that a signal stopped is given some seconds.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlrc.harness.plan.job import FoldJob, Job, rules

LEAST_SECONDS = 300.0
"""No silence shorter than this is too long."""
MULTIPLE = 20.0
"""Of the longest time between two validations of that loss."""
STOPPED_SECONDS = 10.0
"""That a stopped process may stay so; after a Ctrl-Z of all, workers may wake a little after the driver."""
ASLEEP_SECONDS = 30.0
"""Of which the driver heard nothing of itself: then it was stopped too, or the machine asleep."""


@dataclass
class _Pulse:
    job: Job
    moved: float
    told: float
    stopped: float | None = None


class Watchdog:
    """Hears of the jobs at work by their keys, and says which of them hang.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pulses: dict[str, _Pulse] = {}
        self._usual: dict[tuple[str, str, str], float] = {}
        self._looked = clock()

    def begin(self, job: Job) -> None:
        """Take in that a job is at work."""
        now = self._clock()
        self._pulses[job.key] = _Pulse(job, now, now)

    def moved(self, job: Job) -> None:
        """Take in a sign of life."""
        if pulse := self._pulses.get(job.key):
            pulse.moved = self._clock()

    def told(self, job: Job) -> None:
        """Take in a validation."""
        if (pulse := self._pulses.get(job.key)) and isinstance(job, FoldJob):
            now = self._clock()
            kind = _kind(job)
            self._usual[kind] = max(self._usual.get(kind, 0.0), now - pulse.told)
            pulse.moved = pulse.told = now

    def end(self, job: Job) -> None:
        """Take in that a job is not at work any more."""
        self._pulses.pop(job.key, None)

    def verdict(self, job: Job, *, signs: bool, pid: int | None = None) -> str:
        """Say why a job counts as hanging; nothing where it does not.

        Args:
            job: at work.
            signs: whether its worker gives signs of life beside the validations.
            pid: of its process, where that is on this machine.
        """
        pulse, now = self._pulses[job.key], self._clock()
        if pid is not None and _is_stopped(pid):
            pulse.stopped = pulse.stopped or now
            if now - pulse.stopped >= STOPPED_SECONDS:
                return f"its process was stopped by a signal for {now - pulse.stopped:.0f} seconds"
            return ""
        pulse.stopped = None
        if signs and now - pulse.moved >= LEAST_SECONDS:
            return f"its process gave no sign of life for {now - pulse.moved:.0f} seconds"
        usual = self._usual.get(_kind(job)) if isinstance(job, FoldJob) else None
        if usual is not None and now - pulse.told >= max(LEAST_SECONDS, MULTIPLE * usual):
            return f"it was not validated for {now - pulse.told:.0f} seconds, of which {usual:.0f} are usual"
        return ""

    def look(self) -> None:
        """Take in that the driver is awake; to be called every few seconds, before the verdicts."""
        now = self._clock()
        if now - self._looked >= ASLEEP_SECONDS:
            for pulse in self._pulses.values():
                pulse.moved = pulse.told = now
                pulse.stopped = None
        self._looked = now


def _kind(job: FoldJob) -> tuple[str, str, str]:
    return rules(job.protocol), job.dataset, job.loss


def _is_stopped(pid: int) -> bool:
    """Say whether a signal stopped a process, as far as this system tells; elsewhere its silence does."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False
