"""The contract's instruments measure what they say: live memory, and labels on a device that is not there."""

import gc

import pytest
import torch

from mlrc.losses.contract.elsewhere import ElsewhereTensor
from mlrc.losses.contract.live_memory import LiveMemory

MEGABYTE = 2**20


def test_the_peak_is_the_greatest_sum_alive_at_one_time() -> None:
    with LiveMemory() as memory:
        first = torch.zeros(MEGABYTE, dtype=torch.uint8)
        second = first + 1
        del first
        gc.collect()
        third = second + 1
        assert third.sum()
    assert 2 * MEGABYTE <= memory.peak < 2.1 * MEGABYTE


def test_views_and_what_was_there_before_are_not_counted() -> None:
    before = torch.zeros(MEGABYTE, dtype=torch.uint8)
    with LiveMemory() as memory:
        before.view(2, -1).t()[:5].add_(1)
    assert memory.peak == 0


def test_the_backward_pass_is_counted() -> None:
    leaf = torch.ones(MEGABYTE // 4, requires_grad=True)
    with LiveMemory() as memory:
        value = leaf.exp().sum()
    forward = memory.peak
    with LiveMemory() as memory:
        value = leaf.exp().sum()
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert forward < 1.1 * MEGABYTE < 1.9 * MEGABYTE < memory.peak


def test_elsewhere_labels_can_be_asked_and_moved_and_nothing_else() -> None:
    labels = ElsewhereTensor(torch.tensor([2, 0, 1], dtype=torch.int32))
    assert labels.device.type == "meta"
    assert (labels.shape, labels.ndim, len(labels), labels.dtype) == ((3,), 1, 3, torch.int32)
    assert torch.equal(labels.to("cpu"), torch.tensor([2, 0, 1], dtype=torch.int32))
    assert torch.equal(labels.long().to("cpu"), torch.tensor([2, 0, 1]))
    assert labels.long().device.type == "meta"
    assert "3" in repr(labels)
    with pytest.raises(RuntimeError, match="eq was called on labels that are not on the embeddings' device"):
        labels == torch.tensor([2, 0, 1])  # noqa: B015 the comparison is what must fail
