"""Who does the jobs: this process, or several worker processes. Both keep one contract, `Execute`.

`execute(jobs)` starts jobs as places become free and yields each outcome as it comes. It iterates `jobs` anew after
every outcome that the caller has taken in, so `jobs` may be a live view that by then offers more; each starts once.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from harness.plan import FoldJob
from harness.train import Trained
from harness.work import FoldOutcome, Workplace, perform, record_of

Execute = Callable[[Iterable[FoldJob]], Iterator[FoldOutcome]]
OnProgress = Callable[[FoldJob, int, float], None]
"""Told (job, epoch, validation score in percent) while the job is at work."""

ATTEMPTS = 2
"""How often a job whose process died is started before it is recorded as failed."""


def in_this_process(workplace: Workplace, on_progress: OnProgress) -> Execute:
    """Do one job after the other, here."""

    def execute(jobs: Iterable[FoldJob]) -> Iterator[FoldOutcome]:
        started: set[str] = set()
        while job := _next(jobs, started):
            yield perform(job, workplace, lambda epoch, score, job=job: on_progress(job, epoch, score))  # type: ignore[misc]

    return execute


def in_processes(workplace: Workplace, workers: int, on_progress: OnProgress) -> Execute:
    """Do jobs in `workers` processes; one that dies takes only its own job with it, which is started again."""

    def execute(jobs: Iterable[FoldJob]) -> Iterator[FoldOutcome]:
        started: set[str] = set()
        attempts: dict[str, int] = {}
        idle: list[_Worker] = []
        busy: list[_Worker] = []
        try:
            while True:
                while len(busy) < workers and (job := _next(jobs, started)):
                    worker = idle.pop() if idle else _Worker(workplace)
                    worker.start(job)
                    busy.append(worker)
                if not busy:
                    return
                for worker in _heard(busy):
                    message = worker.receive()
                    if isinstance(message, tuple) and not isinstance(message, FoldOutcome):
                        on_progress(worker.job, *message)
                        continue
                    busy.remove(worker)
                    if isinstance(message, FoldOutcome):
                        idle.append(worker)
                        yield message
                        continue
                    job = worker.job
                    attempts[job.key] = attempts.get(job.key, 0) + 1
                    if attempts[job.key] < ATTEMPTS:
                        started.discard(job.key)
                    else:
                        yield _lost(job, workplace, message)
        finally:
            for worker in (*idle, *busy):
                worker.process.kill()
                worker.process.join()

    return execute


def _next(jobs: Iterable[FoldJob], started: set[str]) -> FoldJob | None:
    for job in jobs:
        if job.key not in started:
            started.add(job.key)
            return job
    return None


def _lost(job: FoldJob, workplace: Workplace, exitcode: int | None) -> FoldOutcome:
    message = f"its process died {ATTEMPTS} times, at last with exit code {exitcode}"
    trained = Trained("failed", None, (), None, None, message)
    return FoldOutcome(job, record_of(job, trained, workplace.environment, 0.0), None)


@dataclass(eq=False)
class _Worker:
    """A process with a pipe: jobs go in, (epoch, score) pairs and outcomes come out."""

    workplace: Workplace
    process: BaseProcess = field(init=False)
    connection: Connection = field(init=False)
    job: FoldJob = field(init=False)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # a forked torch would share its parent's threads and locks
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.workplace, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def start(self, job: FoldJob) -> None:
        """Hand over a job."""
        self.job = job
        self.connection.send(job)

    def receive(self) -> "FoldOutcome | tuple[int, float] | int | None":
        """Give the next message, or the exit code once the process is dead."""
        try:
            message: FoldOutcome | tuple[int, float] = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return self.process.exitcode
        return message


def _heard(busy: list[_Worker]) -> list[_Worker]:
    ready = set(wait([worker.connection for worker in busy]))
    return [worker for worker in busy if worker.connection in ready]


def _serve(workplace: Workplace, connection: Connection) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            job: FoldJob = connection.recv()
        except EOFError:
            return
        connection.send(perform(job, workplace, lambda epoch, score: connection.send((epoch, score))))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
