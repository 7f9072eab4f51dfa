"""The worker processes of one machine: who is at work where, and what becomes of a job whose worker dies."""

import errno
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from typing import NamedTuple

from mlrc.harness.engine.attempts import Trouble, failed, next_job
from mlrc.harness.engine.events import Lost, OnEvent, Started, Stopping, Told, Validated
from mlrc.harness.engine.worker import STOPPED, Death, Ready, Worker
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.plan.job import FoldJob


class Place(NamedTuple):
    """Where a worker works; at most one at a time."""

    number: int
    workplace: Workplace

    @property
    def device(self) -> str:
        """The device it shares with the other places on it."""
        return self.workplace.device


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
