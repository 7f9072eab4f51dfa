"""One worker process: jobs go in through a pipe, validations and outcomes come out."""

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from mlrc.harness.engine.events import Told
from mlrc.harness.engine.perform import perform
from mlrc.harness.engine.spawning import without_main
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.machine.determinism import prepare_process
from mlrc.harness.machine.stopping import WORK_LEFT, Stop
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.training.fold import StoppedError

LAST_LINES = 5
"""Of a dead worker's log, for the record; looked for in its last `LOG_TAIL` bytes."""
LOG_TAIL = 20_000
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ready(NamedTuple):
    """The process has imported what it needs and hears signals; its first job begins."""


class Death(NamedTuple):
    """How a process ended, and what it said last."""

    exitcode: int | None
    last_lines: str = ""

    def __str__(self) -> str:
        code = self.exitcode or 0
        name = f" ({signal.Signals(-code).name})" if -code in set(signal.Signals) else ""
        said = f"; it said last: {self.last_lines}" if self.last_lines else ""
        return f"exit code {self.exitcode}{name}{said}"


STOPPED = Death(WORK_LEFT)
"""Of a worker that was asked to stop; its job counts as not begun, and goes on from its checkpoint some day."""


class Worker:
    """A process at a place, and the job it has.

    Attributes:
        connection: readable when there is something to receive.
        job: at work, or last at work.
        alone: whether the job has the device for itself.
        started_at: when the job was handed over, on the monotonic clock.
    """

    def __init__(self, number: int, workplace: Workplace) -> None:
        self.workplace = workplace
        self.place_device = workplace.device
        self.job: FoldJob
        self.alone = False
        self.started_at = 0.0
        self._ready = False
        self._log = workplace.runs / "logs" / f"worker-{number}.log" if workplace.runs else None
        self._log_begins = 0
        context = multiprocessing.get_context("spawn")  # a forked torch would share its parent's threads and locks
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(workplace, theirs, self._log), daemon=True)
        with (
            without_main(),
            _blocked(),
        ):  # a Ctrl-C goes to the whole group, and would hit the child before it has a handler
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """The process's number."""
        return self._process.pid

    def start(self, job: FoldJob, *, alone: bool) -> bool:
        """Hand over a job; `False` if the process is dead, of which `receive` tells more."""
        self.job, self.alone, self.started_at = job, alone, time.monotonic()
        self._log_begins = self._log.stat().st_size if self._log and self._log.exists() else 0
        try:
            self.connection.send(job)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self) -> FoldOutcome | Told | Ready | Death:
        """Give the next message."""
        try:
            message: FoldOutcome | Told | Ready | Death = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            return Death(self._process.exitcode, self._last_lines())
        self._ready = self._ready or isinstance(message, Ready)
        return message

    def ask_to_stop(self) -> None:
        """Have the job leave a checkpoint and end; a process that is still being set up has nothing to leave."""
        if self._ready:
            self._process.terminate()
        else:
            self._process.kill()

    def dismiss(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    def _last_lines(self) -> str:
        if self._log is None or not self._log.exists():
            return ""
        with self._log.open("rb") as file:
            file.seek(max(self._log_begins, self._log.stat().st_size - LOG_TAIL))
            lines = [line.strip() for line in file.read().decode(errors="replace").split("\n") if line.strip()]
        fatal = next((number for number, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
        told = lines[-LAST_LINES:] if fatal is None else lines[fatal : fatal + LAST_LINES]  # then frames, newest first
        return " | ".join(told)


@contextmanager
def _blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(workplace: Workplace, connection: Connection, log: Path | None) -> None:
    """Do jobs as they come until the driver is gone or a SIGTERM asks to stop; what the process runs."""
    if log is not None:
        _write_output_to(log)
    faulthandler.enable(all_threads=False)
    threading.Thread(target=die_with_parent, daemon=True).start()
    stop = Stop()
    idle = True

    def asked(number: int, frame: FrameType | None) -> None:
        del number, frame
        if idle:
            os._exit(WORK_LEFT)
        stop.signal = signal.SIGTERM

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the driver's to handle
    signal.signal(signal.SIGTERM, asked)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    prepare_process()  # asking for a device's name makes a CUDA context
    here = workplace.found_here()
    connection.send(Ready())
    while not stop():
        idle = True
        try:
            job: FoldJob = connection.recv()
        except EOFError:
            return
        idle = False
        try:
            connection.send(perform(job, here, lambda *told: connection.send(Told(*told)), stop))
        except StoppedError:
            connection.send(STOPPED)
            return


def _write_output_to(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())


def die_with_parent() -> None:
    """Wait until the driver is gone, and end this process; for a thread of its own."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
