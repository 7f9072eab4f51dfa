"""A memory of earlier batches: what is compared, what is forgotten, and that a saved one goes on bit by bit."""

import io
from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss, MultiSimilarityLoss, NTXentLoss, TripletMarginLoss
from torch import Tensor, nn

from mlrc.losses.parts.cross_batch_memory import CrossBatchMemory
from tests.losses.loss_oracle import euclidean, mean, mean_of_active

LOSSES: list[Callable[[], nn.Module]] = [
    lambda: ContrastiveLoss(pos_margin=0.1, neg_margin=1.2),
    lambda: TripletMarginLoss(margin=0.2),
    lambda: MultiSimilarityLoss(alpha=2, beta=10, base=0.5),
    lambda: NTXentLoss(temperature=0.5),
]


def batches(number: int, size: int = 6) -> list[tuple[Tensor, Tensor]]:
    generator = torch.manual_seed(0)
    return [
        (torch.randn(size, 4, generator=generator, dtype=torch.float64), (torch.arange(size) + k) % 3)
        for k in range(number)
    ]


def test_a_batch_is_compared_with_itself_and_all_that_is_remembered() -> None:
    memory = CrossBatchMemory(ContrastiveLoss(pos_margin=0.1, neg_margin=1.2), 4, size=14).double()
    for number, (embeddings, labels) in enumerate(batches(4)):
        leaf = embeddings.clone().requires_grad_()
        value = memory(leaf, labels)
        past = [(one, int(y)) for es, ys in batches(4)[: number + 1] for one, y in zip(es, ys, strict=True)][-14:]
        slow = embeddings.clone().requires_grad_()
        first_of_batch = len(past) - len(labels)
        pulls, pushes = [], []
        for i in range(len(labels)):
            for k, (other, label) in enumerate(past):
                if k == first_of_batch + i:
                    continue
                apart = euclidean(slow[i], other)
                if label == labels[i]:
                    pulls.append((apart - 0.1).relu())
                else:
                    pushes.append((1.2 - apart).relu())
        expected = mean_of_active(pulls) + mean_of_active(pushes)
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
        (gradient,), (slow_gradient,) = torch.autograd.grad(value, leaf), torch.autograd.grad(expected, slow)
        torch.testing.assert_close(gradient, slow_gradient, rtol=1e-7, atol=1e-9)
    assert mean([torch.tensor(1.0)]) == 1


@pytest.mark.parametrize("made", LOSSES, ids=lambda made: type(made()).__name__)
def test_a_saved_memory_goes_on_bit_by_bit(made: Callable[[], nn.Module]) -> None:
    whole = CrossBatchMemory(made(), 4, size=16).double()
    stopped = CrossBatchMemory(made(), 4, size=16).double()
    everything = batches(7)
    for embeddings, labels in everything[:3]:
        assert torch.equal(whole(embeddings, labels), stopped(embeddings, labels))
    file = io.BytesIO()
    torch.save(stopped.state_dict(), file)
    file.seek(0)
    resumed = CrossBatchMemory(made(), 4, size=16).double()
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for embeddings, labels in everything[3:]:
        value = whole(embeddings, labels)
        assert torch.equal(value, resumed(embeddings, labels))
    forgetful = CrossBatchMemory(made(), 4, size=16).double()
    assert not torch.equal(value, forgetful(*everything[-1])), "the memory takes part"


def test_what_does_not_fit_is_refused() -> None:
    memory = CrossBatchMemory(ContrastiveLoss(), 4, size=5)
    with pytest.raises(ValueError, match="must not exceed the memory of 5 images, but has 6"):
        memory(torch.randn(6, 4), torch.arange(6))
    with pytest.raises(ValueError, match="no miner's pairs"):
        memory(torch.randn(2, 4), torch.arange(2), (torch.zeros(1), torch.zeros(1), torch.zeros(1)))
