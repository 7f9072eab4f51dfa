"""Standard streams that are closed, full, read by nobody or not of Unicode, which must cost no work."""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TextIO, cast


def open_closed_streams() -> None:
    """Point closed standard streams at nothing, before a file of ours takes one of their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
                os.close(nothing)
        if getattr(sys, name) is None:
            setattr(sys, name, _text(number, "r" if number == 0 else "w"))


def replace_what_cannot_be_shown() -> None:
    """Let a character that a standard stream's encoding lacks be written as `?`, and bytes of names in hexadecimal."""
    codecs.register_error(_SHOWN, _shown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_SHOWN)


_SHOWN = "mlrc.shown"


def _shown(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = map(ord, error.object[error.start : error.end])
    told = (f"\\x{sign - 0xDC00:02x}" if 0xDC80 <= sign <= 0xDCFF else "?" for sign in signs)  # PEP 383
    return "".join(told), error.end


def redirect_output(log: Path | None) -> None:
    """Send what this process writes to a log, or leave it; writing never fails from now on."""
    if log is not None:
        try:
            log.parent.mkdir(exist_ok=True)
            target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError:
            target = os.open(os.devnull, os.O_WRONLY)
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.close(target)
    sys.stdout, sys.stderr = forgiving(_text(1, "w")), forgiving(_text(2, "w"))


def forgiving(stream: IO[str]) -> TextIO:
    """Give a stream that drops what cannot be written."""
    return cast(TextIO, _Forgiving(stream))


class _Forgiving:
    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _text(number: int, mode: str) -> IO[str]:
    return open(number, mode, buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


@contextmanager
def nothing_written_is_lost_in_silence() -> Iterator[None]:
    """Flush standard output at the end, where it still can be told that it is full.

    Raises:
        OSError: it cannot be written.
    """
    try:
        yield
    finally:
        sys.stdout.flush()


def drop_output() -> None:
    """Send standard output nowhere, so that the end of the program does not try to write the rest again."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
