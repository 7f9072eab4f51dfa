"""How a command is asked to end before its work is done: by Ctrl-C, SIGTERM, a closed terminal, or the clock."""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells have it."""
WORK_LEFT = 75
"""Exit status after SIGTERM or the time limit: EX_TEMPFAIL of sysexits.h, by which a batch system knows to requeue."""
DISK_FULL = 74
"""Exit status when the disk is full or a file cannot be used: EX_IOERR, which no batch system should requeue on."""
FAILED = 70
"""Exit status when trainings failed for good, so that losses have no row: EX_SOFTWARE."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether to end, and why; asked between two jobs by the driver and between two iterations by a worker.

    Args:
        after: seconds from now, after which to end; `None` for no limit.

    Attributes:
        early: whether a signal came before there was work that could be saved.
    """

    _of_this_command: ClassVar["Stop | None"] = None

    def __init__(self, after: float | None = None) -> None:
        self._begun = time.monotonic()
        self._deadline: float | None = None
        self.early = False
        self.limit(after)
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        """Say whether to end."""
        return self.signal is not None or (self._deadline is not None and time.monotonic() >= self._deadline)

    def limit(self, after: float | None) -> None:
        """End so many seconds after this was made; with `None` whenever."""
        self._deadline = None if after is None else self._begun + after

    @property
    def reason(self) -> str:
        """Why, in words."""
        names = {None: "the time limit", signal.SIGINT: "Ctrl-C", signal.SIGHUP: "SIGHUP"}
        return names.get(self.signal, "SIGTERM")

    @property
    def status(self) -> int:
        """The exit status of a driver that left work undone."""
        return INTERRUPTED if self.signal == signal.SIGINT else WORK_LEFT

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGHUP as a wish to end; a second SIGINT or SIGTERM raises `KeyboardInterrupt`.

        A SIGHUP that is ignored, as below `nohup`, stays so.
        """
        with self._handling(self._heard):
            yield

    @contextmanager
    def from_the_start(self) -> Iterator[None]:
        """Take them as a wish to end at once, before there is work that could be saved.

        Raises:
            KeyboardInterrupt: one came.
        """
        Stop._of_this_command = self
        try:
            with self._handling(self._heard_at_once):
                yield
        finally:
            Stop._of_this_command = None

    @classmethod
    def of_this_command(cls) -> "Stop":
        """Give the wish that has been heard from the start, or a new one where nobody did."""
        return cls._of_this_command or cls()

    @contextmanager
    def _handling(self, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # Python handles signals in the main thread alone
            return
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, handler) for number in heard}
        try:
            yield
        finally:
            for number, one in before.items():
                signal.signal(number, one)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == self.signal and number != signal.SIGHUP:  # of a closed terminal the shell tells too
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def _heard_at_once(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal, self.early = signal.Signals(number), True
        raise KeyboardInterrupt


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
