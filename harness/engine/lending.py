"""One copy of a set in a device's memory for all workers there: a process that holds it and lends it, by CUDA's IPC.

A worker that borrows maps the same memory, so what several trainings read takes the device's memory once. The lender
outlives the workers, as memory ends with the process that made it. Where there is none, or it has nothing to lend,
a worker makes a copy of its own if its share of the device allows.
"""

import multiprocessing
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import torch
import torch.multiprocessing  # tells `Connection` how tensors travel
from torch import Tensor

from mlrc.harness.engine.entrance import lend
from mlrc.harness.engine.spawning import signals_blocked, without_main
from mlrc.harness.machine.moves import moved

SECONDS_TO_BEGIN = 90.0
"""That a lender is waited for: it imports torch beside all workers."""
SECONDS_TO_LEND = 3600.0
"""That whoever waits for a lender's answer tells that it lives; then it is noticed like anything that hangs."""
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_END = 5.0

Copy = Callable[[object], Tensor | None]
"""From what is wanted to the copy that is lent, if there is one."""


@contextmanager
def lenders(devices: Sequence[str]) -> Iterator[dict[str, str]]:
    """Run a lender for each device, and give where it answers."""
    if not devices:
        yield {}
        return
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlrc-", ignore_cleanup_errors=True))
        addresses = {}
        for device in devices:
            addresses[device] = str(Path(folder) / device.replace(":", "-"))
            stack.enter_context(_lender(addresses[device], device))
        yield addresses


@contextmanager
def _lender(address: str, device: str) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=lend, args=(address, device), daemon=True)
    with without_main(), signals_blocked():
        process.start()
    try:
        yield
    finally:
        process.kill()
        process.join(SECONDS_TO_END)


def borrowed(address: str, wanted: object) -> Tensor | None:
    """Ask a lender for a copy, which it may still be making; `None` where it has none to lend, or does not answer."""
    until = time.monotonic() + SECONDS_TO_LEND
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_asked, address, wanted)
        while not wait([asked], timeout=SECONDS_BETWEEN_LOOKS).done and time.monotonic() < until:
            moved()
        return asked.result()


def _asked(address: str, wanted: object) -> Tensor | None:
    until = time.monotonic() + SECONDS_TO_BEGIN
    while True:
        try:
            with Client(address, "AF_UNIX", authkey=multiprocessing.current_process().authkey) as connection:
                connection.send(wanted)
                lent: Tensor | None = connection.recv()
                return lent
        except (FileNotFoundError, ConnectionRefusedError):  # it has not begun
            if time.monotonic() > until:
                return None
            time.sleep(0.05)
        except (OSError, EOFError, RuntimeError, multiprocessing.AuthenticationError) as error:
            print(f"Nothing was lent on this device ({error}); a copy of its own.", file=sys.stderr)  # noqa: T201 the worker's log
            return None


def serve_copies(address: str, copy: Copy) -> None:
    """Lend copies until the process ends, each made once; one that fails is none, and whoever wanted it finds out."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # those are for the workers, who still read
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    kept: dict[object, Tensor | None] = {}
    with Listener(address, "AF_UNIX", authkey=multiprocessing.current_process().authkey) as listener:
        while True:
            with suppress(OSError, EOFError, multiprocessing.AuthenticationError), listener.accept() as connection:
                _answer(connection, copy, kept)


def _answer(connection: Connection, copy: Copy, kept: dict[object, Tensor | None]) -> None:
    wanted = connection.recv()
    if wanted not in kept:
        try:
            kept[wanted] = copy(wanted)
        except Exception:  # noqa: BLE001 a worker that needs it for itself fails with it, and tells
            traceback.print_exc()
            kept[wanted] = None
    connection.send(kept[wanted])
    with suppress(EOFError):
        connection.recv()  # until the borrower has it


def lend_on(address: str, device: str) -> None:
    """Lend copies on a device; what a lender's process runs."""
    from mlrc.harness.engine.inputs import Wanted, copy_of  # noqa: PLC0415 which borrows from here
    from mlrc.harness.machine.determinism import prepare_process  # noqa: PLC0415 see above

    prepare_process()
    place = torch.device(device)

    def copy(wanted: object) -> Tensor | None:
        assert isinstance(wanted, Wanted)  # noqa: S101 nobody else knows the key
        made = copy_of(wanted, place)
        if made is not None and place.type == "cuda":
            torch.cuda.synchronize(place)
        return made

    serve_copies(address, copy)
