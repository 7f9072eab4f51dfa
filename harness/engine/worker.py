"""One worker process as its driver sees it: jobs go in, messages come into the inbox of all workers."""

import multiprocessing
import threading
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple

from mlrc.harness.engine.entrance import enter
from mlrc.harness.engine.events import Alive, Told
from mlrc.harness.engine.serving import Death, Ready
from mlrc.harness.engine.spawning import signals_blocked, without_main
from mlrc.harness.engine.workplace import JobOutcome, Workplace
from mlrc.harness.plan.job import Job

LAST_LINES = 5
"""Of a dead worker's log, for the record; looked for in its last `LOG_TAIL` bytes."""
LOG_TAIL = 20_000
SECONDS_TO_END = 5.0
"""That a process is waited for that closed its pipe, or was killed."""


class Ended(NamedTuple):
    """The worker's pipe is at its end: no message comes any more, perhaps in the middle of one."""


Message = JobOutcome | Told | Ready | Alive | Death | Ended
Inbox = SimpleQueue[tuple["Worker", Message]]


class Worker:
    """A process at a place, and the job it has.

    Attributes:
        job: at work, or last at work.
        alone: whether the job has the device for itself.
        started_at: when the job was handed over, on the monotonic clock.
        ready: whether the process has imported what it needs.

    Args:
        number: of the place.
        workplace: where its jobs are done.
        inbox: that its messages come into. A thread of each worker puts them there, so that one which stops in the
            middle of a message holds nobody up.
    """

    def __init__(self, number: int, workplace: Workplace, inbox: Inbox) -> None:
        self.number = number
        self.workplace = workplace
        self.place_device = workplace.device
        self.job: Job
        self.alone = False
        self.started_at = 0.0
        self.ready = False
        self._inbox = inbox
        self._log = workplace.runs / "logs" / f"worker-{number}.log" if workplace.runs else None
        self._log_begins = 0
        context = multiprocessing.get_context("spawn")  # a forked torch would share its parent's threads and locks
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=enter, args=(theirs,), daemon=True)
        with without_main(), signals_blocked():
            self._process.start()
        theirs.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._send((workplace, self._log))

    @property
    def pid(self) -> int | None:
        """The process's number."""
        return self._process.pid

    def start(self, job: Job, *, alone: bool) -> bool:
        """Hand over a job; `False` if the process is dead, of which the inbox tells more."""
        self.job, self.alone, self.started_at = job, alone, time.monotonic()
        with suppress(OSError):
            self._log_begins = self._log.stat().st_size if self._log and self._log.exists() else 0
        return self._send(job)

    def death(self) -> Death:
        """Say how the process ended, after the end of its messages."""
        self._process.join(SECONDS_TO_END)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join(SECONDS_TO_END)
        return Death(self._process.exitcode, self._last_lines())

    def ask_to_stop(self) -> None:
        """Have the job leave a checkpoint and end; a process that is still being set up has nothing to leave."""
        if self.ready:
            self._process.terminate()
        else:
            self._process.kill()

    def dismiss(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join(SECONDS_TO_END)
        self._reader.join(SECONDS_TO_END)
        if not self._reader.is_alive():  # a child of the process may hold the pipe's other end
            self._connection.close()

    def _send(self, message: object) -> bool:
        try:
            self._connection.send(message)
        except OSError:
            return False
        return True

    def _read(self) -> None:
        while True:
            try:
                message: Message = self._connection.recv()
            except Exception:  # noqa: BLE001 whatever is no whole message ends this worker
                self._inbox.put((self, Ended()))
                return
            self._inbox.put((self, message))

    def _last_lines(self) -> str:
        if self._log is None or not self._log.exists():
            return ""
        with self._log.open("rb") as file:
            file.seek(max(self._log_begins, self._log.stat().st_size - LOG_TAIL))
            lines = [line.strip() for line in file.read().decode(errors="replace").split("\n") if line.strip()]
        fatal = next((number for number, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
        told = lines[-LAST_LINES:] if fatal is None else lines[fatal : fatal + LAST_LINES]  # then frames, newest first
        return " | ".join(told)
