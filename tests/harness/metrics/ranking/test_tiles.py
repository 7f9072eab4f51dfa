"""What the searches on CPU cores share: keys, bounds from below, threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlrc.harness.metrics.ranking.tiles import from_keys, reached, share, to_keys


@given(st.lists(st.tuples(st.floats(-1, 1, width=32), st.integers(0, 2**32 - 2)), min_size=1, unique=True))
def test_keys_sort_by_similarity_and_then_by_lowest_index(pairs: list[tuple[float, int]]) -> None:
    similarities = np.array([similarity for similarity, _ in pairs], np.float32)
    indices = np.array([index for _, index in pairs])
    similarities += np.float32(0)  # of the two zeros, the one
    keys = to_keys(similarities, indices)
    order = np.lexsort((indices, -similarities))
    np.testing.assert_array_equal(np.argsort(-keys), order)
    back = from_keys(keys)
    np.testing.assert_array_equal(back[0], similarities)
    np.testing.assert_array_equal(back[1], indices)


@pytest.mark.parametrize("places", [1, 3, 20])
def test_what_some_places_reach_is_bounded_from_below_and_closely(places: int) -> None:
    tile = np.random.default_rng(0).standard_normal((50, 400)).astype(np.float32)
    bound = reached(tile, places)
    descending = -np.sort(-tile, axis=1)
    assert (bound <= descending[:, places - 1]).all()
    assert (bound >= descending[:, 2 * places + 3]).all()
    assert np.isneginf(reached(tile[:, : places - 1], places)).all()


@pytest.mark.usefixtures("torch_threads")
@pytest.mark.parametrize("threads", [1, 3])
def test_items_are_shared_among_threads_each_of_which_multiplies_alone(threads: int) -> None:
    torch.set_num_threads(threads)
    met = threading.Barrier(threads, timeout=60)
    seen: list[tuple[int, int, int]] = []
    told: list[tuple[int, int]] = []

    def work(item: int) -> None:
        if item < threads:  # all are at work at the same time
            met.wait()
        seen.append((item, threading.get_ident(), torch.get_num_threads()))

    share(work, range(50), lambda *done: told.append(done))
    assert sorted(item for item, _, _ in seen) == list(range(50))
    assert len({ident for _, ident, _ in seen}) == threads
    assert {alone for _, _, alone in seen} == {1}
    assert told == sorted(told)
    assert told[-1] == (50, 50)


@pytest.mark.usefixtures("torch_threads")
@pytest.mark.parametrize("where", ["this thread", "another"])
def test_after_an_error_nothing_is_begun_and_the_number_of_threads_is_as_it_was(where: str) -> None:
    torch.set_num_threads(3)
    mine = threading.get_ident()
    failed = threading.Event()
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        if (threading.get_ident() == mine) == (where == "this thread"):
            failed.set()
            raise ZeroDivisionError
        assert failed.wait(60)

    with pytest.raises(ZeroDivisionError):
        share(work, range(1000), lambda *_: None)
    assert len(begun) < 20
    assert torch.get_num_threads() == 3
    seen: list[int] = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [3]


@pytest.mark.usefixtures("torch_threads")
def test_where_no_further_thread_can_be_started_nothing_is_begun() -> None:
    torch.set_num_threads(3)
    begun: list[int] = []
    submit = ThreadPoolExecutor.submit

    def second_fails(pool: ThreadPoolExecutor, *work: Any) -> Any:
        if failing:
            raise RuntimeError("can't start new thread")
        failing.append(True)
        return submit(pool, *work)

    failing: list[bool] = []

    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.01)

    with (
        patch.object(ThreadPoolExecutor, "submit", second_fails),
        pytest.raises(RuntimeError, match="can't start new thread"),
    ):
        share(work, range(1000), lambda *_: None)
    assert len(begun) < 50
    assert torch.get_num_threads() == 3
