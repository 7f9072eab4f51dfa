"""How a driver is asked to end before its work is done: by Ctrl-C, by a batch system's SIGTERM, by the clock."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells have it."""
WORK_LEFT = 75
"""Exit status after SIGTERM or the time limit: EX_TEMPFAIL of sysexits.h, by which a batch system knows to requeue."""
DISK_FULL = 74
"""Exit status when the disk is full: EX_IOERR, which no batch system should requeue on."""


class Stop:
    """Whether to end, and why; asked between two jobs by the driver and between two iterations by a worker.

    Args:
        after: seconds from now, after which to end; `None` for no limit.
    """

    def __init__(self, after: float | None = None) -> None:
        self._deadline = None if after is None else time.monotonic() + after
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        """Say whether to end."""
        return self.signal is not None or (self._deadline is not None and time.monotonic() >= self._deadline)

    @property
    def reason(self) -> str:
        """Why, in words."""
        return {None: "the time limit", signal.SIGINT: "Ctrl-C"}.get(self.signal, "SIGTERM")

    @property
    def status(self) -> int:
        """The exit status of a driver that left work undone."""
        return INTERRUPTED if self.signal == signal.SIGINT else WORK_LEFT

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as a wish to end; a second SIGINT raises `KeyboardInterrupt`."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Python handles signals in the main thread alone
            return
        before = {number: signal.signal(number, self._heard) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


LONGEST = 1000 * 86400.0
"""Seconds after which a run may be asked to end."""
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_LENGTH = re.compile("".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?){unit})?" for unit in _UNITS))


def seconds(text: str) -> float:
    """Read a length of time such as `90s`, `30m`, `3h`, `1.5d` or `2h30m`.

    Raises:
        ValueError: it is none.
    """
    match = _LENGTH.fullmatch(text.strip())
    total = sum(float(number) * _UNITS[unit] for unit, number in match.groupdict("0").items()) if match else 0.0
    if not 0 < total <= LONGEST:
        raise ValueError(
            f"A length of time is written like 90s, 30m, 3h, 1.5d or 2h30m, and is 1000d at most, but got {text!r}."
        )
    return total
