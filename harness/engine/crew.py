"""The worker processes of one machine: who is at work where, and what becomes of a job whose worker dies."""

import errno
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import NamedTuple

from mlrc.harness.engine.attempts import Trouble, UnfitError, failed, next_job
from mlrc.harness.engine.events import Alive, Closed, Lost, OnEvent, Started, Stopping, Told, Validated
from mlrc.harness.engine.serving import STOPPED, Death, Ready
from mlrc.harness.engine.watchdog import Watchdog
from mlrc.harness.engine.worker import Ended, Inbox, Message, Worker
from mlrc.harness.engine.workplace import JobOutcome, Workplace
from mlrc.harness.plan.job import Job

GRACE_SECONDS = 30.0
"""That a job has to leave a checkpoint after it was asked to stop; batch systems give about as long."""
FAILURES_IN_A_ROW = 4
"""Jobs that fail one after the other at a place before it is closed; each is of another study, or of many at once."""
STILLBORN_IN_A_ROW = 3
"""Processes that die at a place one after the other before they can begin."""


class Place(NamedTuple):
    """Where a worker works; at most one at a time."""

    number: int
    workplace: Workplace

    @property
    def device(self) -> str:
        """The device it shares with the other places on it."""
        return self.workplace.device

    def __str__(self) -> str:
        return f"worker {self.number} on {self.device}"


class Crew:
    """The workers at their places."""

    def __init__(self, places: Sequence[Place], on_event: OnEvent) -> None:
        self._places = places
        self._on_event = on_event
        self._inbox: Inbox = SimpleQueue()
        self._at_work: dict[int, Worker] = {}
        self._idle: dict[int, Worker] = {}
        self._started: set[str] = set()
        self._troubles: defaultdict[str, Trouble] = defaultdict(Trouble)
        self._again: list[Job] = []
        self._alone: dict[str, list[Job]] = {place.device: [] for place in places}
        self._failures: defaultdict[int, int] = defaultdict(int)
        self._stillborn: defaultdict[int, int] = defaultdict(int)
        self._closed: dict[int, str] = {}
        self._watchdog = Watchdog()
        self._asked_to_stop_at: float | None = None

    @property
    def busy(self) -> int:
        """How many jobs are at work."""
        return len(self._at_work)

    def employ(self, jobs: Iterable[Job]) -> None:
        """Give every free place a job, as far as there are jobs.

        Raises:
            UnfitError: no process can begin anywhere.
        """
        if all(self._stillborn[place.number] >= STILLBORN_IN_A_ROW for place in self._places):
            raise UnfitError(
                f"A worker process must be able to begin, but each dies before: {next(iter(self._closed.values()))}. "
                "See to it; the same command then goes on."
            )
        more = True
        for place in self._places:
            if place.number in self._at_work or place.number in self._closed:
                continue
            others = [worker for worker in self._at_work.values() if worker.place_device == place.device]
            if any(worker.alone for worker in others):
                continue
            if waiting := self._alone[place.device]:
                if not others:
                    self._dismiss_idle(place.device)
                    self._start(place, waiting.pop(0), alone=True)
                continue
            if self._again:
                self._start(place, self._again.pop(0), alone=False)
                continue
            job = next_job(jobs, self._started) if more else None
            if job is None:
                more = False
            else:
                self._start(place, job, alone=False)

    def hear(self, timeout: float) -> Iterator[JobOutcome]:
        """Wait until workers have something to tell, or for `timeout` seconds, and give the outcomes among it.

        Raises:
            OSError: a worker found the disk full, or a file that cannot be used.
        """
        try:
            waiting = [self._inbox.get(timeout=timeout)]
        except Empty:
            waiting = []
        while not self._inbox.empty():
            waiting.append(self._inbox.get())
        for worker, message in waiting:
            if self._at_work.get(worker.number) is worker:
                yield from self._heard(worker, message)
        yield from self._end_what_hangs()

    def stop(self, reason: str) -> None:
        """Have the jobs at work leave a checkpoint and end."""
        self._asked_to_stop_at = time.monotonic()
        self._on_event(Stopping(reason, self.busy))
        for worker in self._at_work.values():
            worker.ask_to_stop()

    def dismiss(self) -> None:
        """End all workers at once."""
        for worker in (*self._at_work.values(), *self._idle.values()):
            worker.dismiss()

    def _start(self, place: Place, job: Job, *, alone: bool) -> None:
        worker = self._idle.pop(place.number, None)
        if worker is not None and not worker.start(job, alone=alone):
            worker.dismiss()
            worker = None
        if worker is None:
            workplace = replace(place.workplace, share=1.0) if alone else place.workplace
            worker = Worker(place.number, workplace, self._inbox)
            worker.start(job, alone=alone)  # if it is dead already, it is heard of as any death
        self._at_work[place.number] = worker
        self._watchdog.begin(job)
        self._on_event(Started(job, str(place), self._troubles[job.key].attempt))

    def _heard(self, worker: Worker, message: Message) -> Iterator[JobOutcome]:
        match message:
            case Ready():
                worker.ready = True
                self._stillborn[worker.number] = 0
                self._watchdog.moved(worker.job)
            case Alive():
                self._watchdog.moved(worker.job)
            case Told():
                self._troubles[worker.job.key].got_to(message.epoch)
                self._watchdog.told(worker.job)
                self._on_event(Validated(worker.job, *message))
            case Death() | Ended():
                death = worker.death() if isinstance(message, Ended) else message
                self._left(worker)
                if death.exitcode == STOPPED.exitcode or self._asked_to_stop_at is not None:
                    self._started.discard(worker.job.key)
                elif worker.ready:
                    yield from self._died(worker, f"with {death}")
                else:
                    self._never_began(worker, death)
            case _:
                yield from self._came_to_an_end(worker, message)

    def _came_to_an_end(self, worker: Worker, outcome: JobOutcome) -> Iterator[JobOutcome]:
        del self._at_work[worker.number]
        self._watchdog.end(worker.job)
        # A process in which something failed may be spoilt, and what it holds of a device is free only when it is gone;
        # one that was alone would write the whole device's share into its next record.
        if outcome.failed or worker.alone or self._asked_to_stop_at is not None:
            worker.dismiss()
        else:
            self._idle[worker.number] = worker
        trouble = self._troubles[outcome.job.key]
        match outcome.shortage:
            case "disk":
                raise OSError(errno.ENOSPC, outcome.message)
            case "files":
                raise OSError(outcome.message)
            case "memory" if trouble.out_of_memory():
                self._once_more(worker, outcome.message, alone=True)
                return
            case "device" if trouble.device_broke():
                self._once_more(worker, outcome.message, alone=False)
                return
        self._troubles.pop(outcome.job.key)
        self._count(worker, outcome)
        yield outcome

    def _died(self, worker: Worker, how: str) -> Iterator[JobOutcome]:
        trouble = self._troubles[worker.job.key]
        worth_another = trouble.died(time.monotonic() - worker.started_at)
        message = f"its process died {trouble.deaths} times, at last {how}"
        if worth_another:
            self._once_more(worker, message, alone=trouble.last)
            return
        outcome = failed(worker.job, worker.workplace, self._troubles.pop(worker.job.key), message)
        self._count(worker, outcome)
        yield outcome

    def _never_began(self, worker: Worker, death: Death) -> None:
        """Take in a process that died before its job began, which is no fault of the job."""
        self._stillborn[worker.number] += 1
        message = f"a process died before it could begin, with {death}"
        self._once_more(worker, message, alone=worker.alone)
        if self._stillborn[worker.number] >= STILLBORN_IN_A_ROW:
            self._close(worker, message)

    def _end_what_hangs(self) -> Iterator[JobOutcome]:
        self._watchdog.look()
        stopping_for = 0.0 if self._asked_to_stop_at is None else time.monotonic() - self._asked_to_stop_at
        for worker in list(self._at_work.values()):
            if stopping_for >= GRACE_SECONDS:
                self._left(worker)
                self._on_event(Lost(worker.job, f"its process did not stop within {GRACE_SECONDS:.0f} seconds"))
            elif self._asked_to_stop_at is None:
                why = self._watchdog.verdict(worker.job, signs=True, pid=worker.pid)
                if why:
                    self._left(worker)
                    yield from self._died(worker, f"ended because {why}")

    def _left(self, worker: Worker) -> None:
        """Part with a worker that is dead, or will be."""
        del self._at_work[worker.number]
        self._watchdog.end(worker.job)
        worker.dismiss()

    def _count(self, worker: Worker, outcome: JobOutcome) -> None:
        number = worker.number
        self._failures[number] = self._failures[number] + 1 if outcome.failed else 0
        if self._failures[number] >= FAILURES_IN_A_ROW:
            self._close(worker, f"{FAILURES_IN_A_ROW} jobs in a row failed there, the last one: {outcome.message}")

    def _close(self, worker: Worker, message: str) -> None:
        if worker.number not in self._closed:
            self._closed[worker.number] = message
            self._on_event(Closed(f"worker {worker.number} on {worker.place_device}", message))

    def _once_more(self, worker: Worker, message: str, *, alone: bool) -> None:
        (self._alone[worker.place_device] if alone else self._again).append(worker.job)
        self._on_event(Lost(worker.job, message))

    def _dismiss_idle(self, device: str) -> None:
        for number, worker in list(self._idle.items()):
            if worker.place_device == device:
                self._idle.pop(number).dismiss()
