"""Wishes to end: signals, the clock, and how a length of time is written."""

import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.harness.machine.stopping import INTERRUPTED, WORK_LEFT, Stop, seconds


@pytest.mark.parametrize(
    ("number", "reason", "status"), [(signal.SIGINT, "Ctrl-C", INTERRUPTED), (signal.SIGTERM, "SIGTERM", WORK_LEFT)]
)
def test_a_signal_is_a_wish_to_end_with_a_status_of_its_own(number: signal.Signals, reason: str, status: int) -> None:
    stop = Stop()
    before = signal.getsignal(number)
    with stop.on_signals():
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert signal.getsignal(number) == before
    assert (stop.reason, stop.status) == (reason, status)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_one_of_a_kind_ends_at_once(number: signal.Signals) -> None:
    with Stop().on_signals():
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_a_closed_terminal_tells_twice_and_means_it_once() -> None:
    stop = Stop()
    with stop.on_signals():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
    assert (stop.reason, stop.status) == ("SIGHUP", WORK_LEFT)


def test_what_is_ignored_below_nohup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Stop()
        with stop.on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_before_there_is_work_a_signal_ends_at_once_and_the_clock_already_runs() -> None:
    stop = Stop()
    time.sleep(0.02)
    stop.limit(0.01)
    assert stop()
    with stop.from_the_start():
        assert Stop.of_this_command() is stop
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert stop.early
    assert Stop.of_this_command() is not stop


def test_a_ctrl_c_after_a_sigterm_is_not_the_second() -> None:
    stop = Stop()
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.status == INTERRUPTED


def test_the_time_limit_is_a_wish_to_end() -> None:
    assert not Stop(after=60)()
    stop = Stop(after=0.01)
    time.sleep(0.02)
    assert stop()
    assert (stop.reason, stop.status) == ("the time limit", WORK_LEFT)


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("30m", 1800), ("3h", 10800), ("1.5d", 129600), ("2h30m", 9000), (" 1h ", 3600)]
)
def test_lengths_of_time_are_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@given(st.text(alphabet="0123456789.dhms-+einfa ", max_size=6))
def test_a_length_of_time_is_positive_or_refused(text: str) -> None:
    try:
        assert seconds(text) > 0
    except ValueError as error:
        assert "3h" in str(error)  # noqa: PT017 either way is right


@pytest.mark.parametrize("text", ["", "3", "h", "3x", "-3h", "0s", "30m2h", "infh", "1e3s"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is written like 90s, 30m, 3h"):
        seconds(text)
