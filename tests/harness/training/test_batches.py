"""Batches: the classes and images that protocol A3 draws, from the seed and the position alone."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlrc.harness.training.batches import (
    batches,
    batches_of_blocks,
    drawn,
    iterations_per_epoch,
    random_batches,
    require_a_batch,
)
from mlrc.losses.spec import Batch
from mlrc.protocols.protocol import PerDataset, Protocol
from mlrc.protocols.quick import QUICK


def _first(
    labels: NDArray[np.int64], count: int, *, batch_size: int = 32, m: int = 4, seed: int = 7
) -> list[NDArray[np.int64]]:
    return list(islice(batches(labels, batch_size=batch_size, images_per_class=m, seed=seed), count))


@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 4), st.integers(1, 24), st.integers(0, 2**63 - 1))
def test_each_pass_takes_m_images_of_every_class_once(
    classes: int, images: int, m: int, batch_size: int, seed: int
) -> None:
    labels = np.repeat(np.arange(classes) * 3 + 1, images)
    one_pass = classes * m
    count = -(-3 * one_pass // batch_size)
    drawn = np.concatenate(_first(labels, count, batch_size=batch_size, m=m, seed=seed))
    for start in range(0, 3 * one_pass, one_pass):
        part = drawn[start : start + one_pass].reshape(classes, m)
        assert np.all(labels[part] == labels[part][:, :1])
        assert sorted(labels[part][:, 0].tolist()) == np.unique(labels).tolist()
        if images >= m:
            assert all(len(set(row)) == m for row in part.tolist())


def test_batches_have_the_size_asked_for_and_go_on_across_passes() -> None:
    labels = np.repeat(np.arange(5), 4)
    assert [len(batch) for batch in _first(labels, 9)] == [32] * 9


def test_a_class_with_too_few_images_repeats_them() -> None:
    labels = np.array([0, 1, 1, 1, 1])
    batch = _first(labels, 1, batch_size=8)[0]
    assert sorted(batch.tolist()) == [0, 0, 0, 0, 1, 2, 3, 4]


def test_the_same_seed_gives_the_same_batches_and_another_seed_others() -> None:
    labels = np.repeat(np.arange(30), 8)
    first, again, other = (_first(labels, 5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_passes_differ_in_the_order_of_classes() -> None:
    labels = np.arange(16)
    first, second = _first(labels, 2, batch_size=16, m=1)
    assert not np.array_equal(first, second)


def test_nothing_is_drawn_from_the_global_generator() -> None:
    np.random.seed(3)  # noqa: NPY002 the generator under test must be left alone
    before = np.random.get_state()[1].copy()  # type: ignore[index] # noqa: NPY002
    _first(np.repeat(np.arange(9), 4), 3)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index] # noqa: NPY002


@pytest.mark.parametrize("m", [1, 4])
def test_every_image_is_drawn_in_the_long_run(m: int) -> None:
    labels = np.repeat(np.arange(6), 10)
    drawn = np.concatenate(_first(labels, 80, m=m))
    assert set(drawn.tolist()) == set(range(60))


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 3), st.integers(1, 20), st.integers(0, 30))
def test_the_stream_can_be_entered_anywhere(classes: int, images: int, m: int, batch_size: int, start: int) -> None:
    labels = np.repeat(np.arange(classes), images)
    from_the_start = _first(labels, start + 3, batch_size=batch_size, m=m)
    entered = batches(labels, batch_size=batch_size, images_per_class=m, seed=7, start=start)
    for expected, batch in zip(from_the_start[start:], entered, strict=False):
        assert np.array_equal(expected, batch)


def test_entering_the_stream_late_draws_no_earlier_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[int]] = []
    generator = np.random.default_rng

    def noted(seed: list[int]) -> np.random.Generator:
        drawn.append(seed)
        return generator(seed)

    monkeypatch.setattr(np.random, "default_rng", noted)
    next(batches(np.repeat(np.arange(16), 4), batch_size=32, images_per_class=4, seed=7, start=1_000_000))
    assert drawn == [[7, 500_000]]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**63 - 1))
def test_random_batches_take_every_image_at_most_once_per_pass_and_drop_the_rest(
    images: int, batch_size: int, seed: int
) -> None:
    batch_size = min(batch_size, images)
    full = images // batch_size
    found = list(islice(random_batches(images, batch_size=batch_size, seed=seed), 3 * full))
    for start in range(0, 3 * full, full):
        one_pass = np.concatenate(found[start : start + full])
        assert len(set(one_pass.tolist())) == len(one_pass) == full * batch_size
        assert set(one_pass.tolist()) <= set(range(images))


@given(st.integers(5, 30), st.integers(1, 5), st.integers(0, 40))
def test_random_batches_can_be_entered_anywhere(images: int, batch_size: int, start: int) -> None:
    from_the_start = list(islice(random_batches(images, batch_size=batch_size, seed=7), start + 3))[start:]
    entered = list(islice(random_batches(images, batch_size=batch_size, seed=7, start=start), 3))
    assert np.array_equal(from_the_start, entered)


def test_random_batches_differ_between_passes_and_seeds_and_leave_out_no_image_in_the_long_run() -> None:
    first, second = islice(random_batches(10, batch_size=10, seed=1), 2)
    (other,) = islice(random_batches(10, batch_size=10, seed=2), 1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert set(np.concatenate(list(islice(random_batches(11, batch_size=5, seed=1), 20))).tolist()) == set(range(11))


TRADITIONAL = replace(
    QUICK, batch_size=PerDataset(8, (("sop", 6),)), images_per_class_pairs=PerDataset(4, (("sop", 3),))
)


@pytest.mark.parametrize(
    ("protocol", "dataset", "kind", "size", "per_class"),
    [
        (QUICK, "sop", "pairs", 32, 4),
        (QUICK, "sop", "classes", 32, 1),
        (TRADITIONAL, "cub200", "pairs", 8, 4),
        (TRADITIONAL, "sop", "pairs", 6, 3),
    ],
)
def test_a_protocol_draws_m_images_per_class_of_the_dataset_and_the_kind_of_loss(
    protocol: Protocol, dataset: str, kind: Batch, size: int, per_class: int
) -> None:
    labels = np.repeat(np.arange(40), 10)
    batch = next(drawn(labels, protocol, dataset, kind, seed=1))
    assert np.bincount(labels[batch])[np.unique(labels[batch])].tolist() == [per_class] * (size // per_class)
    again = next(drawn(labels, replace(protocol, sampling="random"), dataset, kind, seed=1))
    assert np.array_equal(again, next(random_batches(400, batch_size=size, seed=1)))
    for sampling in ("class_balanced", "random"):
        rules = replace(protocol, sampling=sampling)
        *_, fourth = islice(drawn(labels, rules, dataset, kind, seed=1), 4)
        assert np.array_equal(next(drawn(labels, rules, dataset, kind, seed=1, start=3)), fourth)


def test_an_epoch_is_a_number_of_iterations_or_a_pass() -> None:
    assert iterations_per_epoch(1000, QUICK, "sop") == 25
    one_pass = replace(TRADITIONAL, iterations_per_epoch=0)
    assert [iterations_per_epoch(images, one_pass, "sop") for images in (3, 6, 11, 12)] == [1, 1, 1, 2]
    assert iterations_per_epoch(12, one_pass, "cub200") == 1


def test_batches_that_cannot_be_drawn_are_one_sentence() -> None:
    few = replace(QUICK, sampling="random")
    with pytest.raises(ValueError, match="batch_size must not exceed the 31 training images, .* but got 32; use --set"):
        require_a_batch(31, few, "sop")
    require_a_batch(32, few, "sop")
    odd = replace(TRADITIONAL, batch_size=8)
    with pytest.raises(ValueError, match="images_per_class_pairs must divide batch_size=8 on 'sop', but got 3; use"):
        require_a_batch(999, odd, "sop")
    require_a_batch(999, odd, "cub200")


@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 4), st.integers(1, 24), st.integers(0, 2**63 - 1))
def test_a_pass_of_a_block_takes_m_images_of_every_class_once(
    classes: int, images: int, m: int, batch_size: int, seed: int
) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(classes) * 3 + 1, images))
    one_pass = classes * m
    count = -(-3 * one_pass // batch_size)
    stream = batches_of_blocks(labels, batch_size=batch_size, images_per_class=m, seed=seed)
    drawn = np.concatenate(list(islice(stream, count)))
    for start in range(0, 3 * one_pass, one_pass):
        part = drawn[start : start + one_pass].reshape(classes, m)
        assert np.all(labels[part] == labels[part][:, :1])
        assert sorted(labels[part][:, 0].tolist()) == np.unique(labels).tolist()
        if images >= m:
            assert all(len(set(row)) == m for row in part.tolist())


@given(st.integers(1, 400))
def test_a_stream_of_blocks_can_be_entered_anywhere_also_beyond_the_first_block(start: int) -> None:
    labels = np.repeat(np.arange(40), 7)
    whole = islice(batches_of_blocks(labels, batch_size=30, images_per_class=4, seed=5), start, start + 3)
    entered = islice(batches_of_blocks(labels, batch_size=30, images_per_class=4, seed=5, start=start), 3)
    assert all(np.array_equal(one, other) for one, other in zip(whole, entered, strict=True))


def test_in_a_block_every_image_of_a_class_is_drawn_as_often_at_every_place() -> None:
    labels = np.repeat(np.arange(2), 5)
    stream = batches_of_blocks(labels, batch_size=6, images_per_class=3, seed=1)
    drawn = np.stack(list(islice(stream, 20_000))).reshape(-1, 3)
    for place in range(3):
        counts = np.bincount(drawn[:, place], minlength=10)
        assert np.abs(counts - 4000).max() < 300  # five standard deviations
    orders = {tuple(row) for row in (drawn % 5).tolist()}
    assert len(orders) == 60
