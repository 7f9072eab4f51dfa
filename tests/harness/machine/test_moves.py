"""Who waits for another process, or for threads of its own, is no process that hangs."""

import threading
import time
from pathlib import Path

import pytest

from mlrc.harness.engine import serving
from mlrc.harness.engine.events import Alive
from mlrc.harness.machine.alone import alone
from mlrc.harness.machine.moves import made, moved


def test_whoever_waits_for_a_folder_moves_until_it_is_free(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    there: list[bool] = []

    def wait() -> None:
        with alone(folder, "The features", "give another") as ours:
            there.append(ours)

    with alone(folder, "The features", "give another") as ours:
        assert ours
        before = made()
        thread = threading.Thread(target=wait)
        thread.start()
        until = time.monotonic() + 30
        while made() < before + 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert made() >= before + 2
        assert not there
    thread.join(30)
    assert there == [True]


def test_a_move_is_a_sign_of_life_of_a_thread_that_stands_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SECONDS_BETWEEN_SIGNS", 0.02)
    hold, gone = threading.Event(), threading.Event()
    signs: list[object] = []
    hanging = threading.Thread(target=hold.wait, args=(30,))
    hanging.start()

    def send(message: object) -> None:
        signs.append(message)
        if gone.is_set():
            raise BrokenPipeError

    assert hanging.ident is not None
    telling = threading.Thread(target=serving._tell_signs_of_life, args=(send, hanging.ident))
    telling.start()
    time.sleep(0.3)
    before = len(signs)
    time.sleep(0.3)
    assert len(signs) == before
    moved()
    time.sleep(0.3)
    assert len(signs) == before + 1
    assert signs[-1] == Alive()
    gone.set()
    moved()
    telling.join(30)
    hold.set()
    hanging.join(30)
    assert not telling.is_alive()
