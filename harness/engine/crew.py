"""The worker processes of one machine: who is at work where, and what becomes of a job whose worker dies."""

import errno
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import NamedTuple

from mlrc.harness.engine.events import Lost, OnEvent, Started, Stopping, Validated
from mlrc.harness.engine.perform import FoldOutcome, Workplace, record_of
from mlrc.harness.engine.worker import STOPPED, Death, Ready, Told, Worker
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.training.fold import Trained

DEATHS = 3
"""How many workers may die over a job without its getting further, before it is recorded as failed."""
MEMORY_ATTEMPTS = 2
"""How often a job that runs out of memory is tried; from the second time on it has its device for itself."""


class Place(NamedTuple):
    """Where a worker works; at most one at a time."""

    number: int
    workplace: Workplace

    @property
    def device(self) -> str:
        """The device it shares with the other places on it."""
        return self.workplace.device


@dataclass
class Trouble:
    """What a job has been through.

    Attributes:
        memory: how often it ran out of memory.
        deaths: how many processes died over it since it last got further.
        seconds: that those processes spent on it.
        furthest: epoch of its last validation.
    """

    memory: int = 0
    deaths: int = 0
    seconds: float = 0.0
    furthest: int = -1
    furthest_at_death: int = -1

    @property
    def attempt(self) -> int:
        """The number of the attempt that comes next, 1 for the first."""
        return 1 + self.memory + self.deaths

    def got_to(self, epoch: int) -> None:
        """Take in a validation."""
        self.furthest = max(self.furthest, epoch)

    def out_of_memory(self) -> bool:
        """Take in that it ran out of memory; say whether it is worth another attempt."""
        self.memory += 1
        return self.memory < MEMORY_ATTEMPTS

    def died(self, seconds: float) -> bool:
        """Take in that its process died after `seconds`; say whether it is worth another attempt."""
        self.seconds += seconds
        self.deaths = self.deaths + 1 if self.furthest <= self.furthest_at_death else 1
        self.furthest_at_death = self.furthest
        return self.deaths < DEATHS


def failed(job: FoldJob, workplace: Workplace, trouble: Trouble, message: str) -> FoldOutcome:
    """Give the outcome of a job that is not worth another attempt."""
    trained = Trained("failed", None, (), None, None, message)
    return FoldOutcome(job, record_of(job, trained, workplace, trouble.seconds), None)


class Crew:
    """The workers at their places."""

    def __init__(self, places: Sequence[Place], on_event: OnEvent) -> None:
        self._places = places
        self._on_event = on_event
        self._at_work: dict[int, Worker] = {}
        self._idle: dict[int, Worker] = {}
        self._started: set[str] = set()
        self._troubles: defaultdict[str, Trouble] = defaultdict(Trouble)
        self._alone: dict[str, list[FoldJob]] = {place.device: [] for place in places}
        self._stopping = False

    @property
    def busy(self) -> int:
        """How many jobs are at work."""
        return len(self._at_work)

    def employ(self, jobs: Iterable[FoldJob]) -> None:
        """Give every free place a job, as far as there are jobs."""
        more = True
        for place in self._places:
            if place.number in self._at_work:
                continue
            others = [worker for worker in self._at_work.values() if worker.place_device == place.device]
            if any(worker.alone for worker in others):
                continue
            if waiting := self._alone[place.device]:
                if not others:
                    self._dismiss_idle(place.device)
                    self._start(place, waiting.pop(0), alone=True)
                continue
            job = next_job(jobs, self._started) if more else None
            if job is None:
                more = False
            else:
                self._start(place, job, alone=False)

    def hear(self, timeout: float) -> Iterator[FoldOutcome]:
        """Wait until workers have something to tell, or for `timeout` seconds, and give the outcomes among it.

        Raises:
            OSError: a worker found the disk full.
        """
        ready = set(wait([worker.connection for worker in self._at_work.values()], timeout))
        for number, worker in list(self._at_work.items()):
            if worker.connection not in ready:
                continue
            message = worker.receive()
            if isinstance(message, Ready):
                continue
            if isinstance(message, Told):
                self._troubles[worker.job.key].got_to(message.epoch)
                self._on_event(Validated(worker.job, *message))
                continue
            del self._at_work[number]
            if isinstance(message, FoldOutcome):
                yield from self._came_to_an_end(number, worker, message)
            elif message == STOPPED or message.exitcode == STOPPED.exitcode or self._stopping:
                worker.dismiss()
                self._started.discard(worker.job.key)
            else:
                yield from self._died(worker, message)

    def stop(self, reason: str) -> None:
        """Have the jobs at work leave a checkpoint and end."""
        self._stopping = True
        self._on_event(Stopping(reason, self.busy))
        for worker in self._at_work.values():
            worker.ask_to_stop()

    def dismiss(self) -> None:
        """End all workers at once."""
        for worker in (*self._at_work.values(), *self._idle.values()):
            worker.dismiss()

    def _start(self, place: Place, job: FoldJob, *, alone: bool) -> None:
        worker = self._idle.pop(place.number, None)
        if worker is not None and not worker.start(job, alone=alone):
            worker.dismiss()
            worker = None
        if worker is None:
            workplace = replace(place.workplace, share=1.0) if alone else place.workplace
            worker = Worker(place.number, workplace)
            worker.start(job, alone=alone)  # if it is dead already, it is heard of as any death
        self._at_work[place.number] = worker
        attempt = self._troubles[job.key].attempt
        self._on_event(Started(job, f"worker {place.number} on {place.device}", attempt))

    def _came_to_an_end(self, number: int, worker: Worker, outcome: FoldOutcome) -> Iterator[FoldOutcome]:
        if outcome.shortage == "disk":
            worker.dismiss()
            raise OSError(errno.ENOSPC, outcome.record.message)
        if outcome.shortage == "memory":
            worker.dismiss()  # what its process holds of the device's memory is free then
            if self._troubles[outcome.job.key].out_of_memory():
                self._again(worker, outcome.record.message)
                return
        elif self._stopping or worker.alone:
            worker.dismiss()  # one that was alone would write the whole device's share into its next record
        else:
            self._idle[number] = worker
        self._troubles.pop(outcome.job.key, None)
        yield outcome

    def _died(self, worker: Worker, death: Death) -> Iterator[FoldOutcome]:
        worker.dismiss()
        trouble = self._troubles[worker.job.key]
        worth_another = trouble.died(time.monotonic() - worker.started_at)
        message = f"its process died {trouble.deaths} times, at last with {death}"
        if worth_another:
            self._again(worker, message)
        else:
            yield failed(worker.job, worker.workplace, trouble, message)

    def _again(self, worker: Worker, message: str) -> None:
        self._alone[worker.place_device].append(worker.job)
        self._on_event(Lost(worker.job, message))

    def _dismiss_idle(self, device: str) -> None:
        for number, worker in list(self._idle.items()):
            if worker.place_device == device:
                self._idle.pop(number).dismiss()


def next_job(jobs: Iterable[FoldJob], started: set[str]) -> FoldJob | None:
    """Give the first job that was not started yet, and note that it is."""
    for job in jobs:
        if job.key not in started:
            started.add(job.key)
            return job
    return None
