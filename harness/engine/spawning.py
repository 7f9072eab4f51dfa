"""A process of ours starts without the user's main program.

`multiprocessing` would run that again in every process it spawns: a script without `if __name__ == "__main__"` would
start itself over and over, and a program read from standard input cannot be run again at all. What our processes need
is imported by name.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""That reach a whole group of processes, and are the driver's to handle."""
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def without_main() -> Iterator[None]:
    """Within it, what `multiprocessing` starts does not run the main program."""
    with _ONE_AT_A_TIME:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")  # of no file
        try:
            yield
        finally:
            sys.modules["__main__"] = main


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Hold signals back: a Ctrl-C goes to the group, and would hit a child before it has a handler."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
