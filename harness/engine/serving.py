"""The inside of a worker process: jobs come in through a pipe, signs of life, validations and outcomes go out."""

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from mlrc.harness.engine.events import Alive, Told
from mlrc.harness.engine.perform import do
from mlrc.harness.engine.spawning import SIGNALS
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.machine.determinism import prepare_process
from mlrc.harness.machine.moves import made
from mlrc.harness.machine.stopping import WORK_LEFT, Stop
from mlrc.harness.machine.streams import redirect_output
from mlrc.harness.plan.job import Job
from mlrc.harness.training.fold import StoppedError

SECONDS_BETWEEN_SIGNS = 5.0


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


def serve(connection: Connection) -> None:
    """Do jobs as they come until the driver is gone or a SIGTERM asks to stop."""
    workplace: Workplace
    log: Path | None
    workplace, log = connection.recv()
    redirect_output(log)
    with suppress(OSError, AttributeError):  # of other systems, and of cores that are gone
        os.sched_setaffinity(0, workplace.cores or os.sched_getaffinity(0))
    faulthandler.enable(all_threads=False)
    stop = Stop()
    idle = True

    def asked(number: int, frame: FrameType | None) -> None:
        del number, frame
        if idle:
            os._exit(WORK_LEFT)
        stop.signal = signal.SIGTERM

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, asked)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    prepare_process()  # asking for a device's name makes a CUDA context
    here = workplace.found_here()
    lock = threading.Lock()

    def send(message: object) -> None:
        with lock:  # a sign of life must not fall into the middle of an outcome
            connection.send(message)

    send(Ready())
    threading.Thread(target=_tell_signs_of_life, args=(send, threading.get_ident()), daemon=True).start()
    while not stop():
        idle = True
        try:
            job: Job = connection.recv()
        except (EOFError, OSError):
            return
        idle = False
        try:
            send(do(job, here, lambda *told: send(Told(*told)), stop))
        except StoppedError:
            send(STOPPED)
            return


def _tell_signs_of_life(send: Callable[[object], None], thread: int) -> None:
    """Tell the driver whenever the thread that works has moved; one that hangs in a call has not (but see `moves`)."""
    before: list[tuple[int, int]] = []
    while True:
        time.sleep(SECONDS_BETWEEN_SIGNS)
        now = [(made(), 0)]
        frame = sys._current_frames().get(thread)
        while frame is not None:
            now.append((id(frame), frame.f_lasti))
            frame = frame.f_back
        if now != before:
            try:
                send(Alive())
            except OSError:
                return  # the driver is gone, and this process with it
        before = now
