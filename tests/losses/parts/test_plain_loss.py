"""A loss without PML's third argument is called as it is written, and with it as before."""

from typing import Any

import pytest
import torch
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.miners import BatchHardMiner
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.parts.plain_loss import PlainLoss, takes_indices
from mlrc.losses.spec import LossSpec, MinedLoss


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return self.weight * embeddings.square().mean() + labels.sum()


class TwoAndMore(nn.Module):
    def forward(self, embeddings: Tensor, labels: Tensor, scale: float = 1.0, **more: Any) -> Tensor:
        return embeddings.sum() * scale


class TwoInFullPrecision(FullPrecision, Two):
    pass


class ContrastiveInFullPrecision(FullPrecision, ContrastiveLoss):  # type: ignore[misc]  # PML's are untyped
    pass


@pytest.mark.parametrize(
    ("loss", "takes"),
    [
        (Two(), False),
        (TwoInFullPrecision(), False),
        (TwoAndMore(), True),
        (ContrastiveLoss(), True),
        (ContrastiveInFullPrecision(), True),
        (nn.Identity(), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_signature_tells_whether_indices_are_taken(loss: nn.Module, takes: bool) -> None:
    assert takes_indices(loss) == takes


def _spec(build: Any) -> LossSpec:
    space = {"loss_lr": FloatDistribution(1e-6, 1, log=True)}
    return LossSpec(name="two", title="Two", source="a test", space=space, build=build, batch="pairs")


def test_a_plain_loss_is_called_with_two_arguments_and_keeps_its_parameters() -> None:
    two = Two()
    made = _spec(lambda classes, size: two).make(num_classes=3, embedding_size=2, params={"loss_lr": 0.1})
    assert isinstance(made, PlainLoss)
    embeddings, labels = torch.ones(4, 2), torch.zeros(4, dtype=torch.long)
    assert made(embeddings, labels, None) == two(embeddings, labels) == 1
    assert list(made.parameters()) == [two.weight]


def test_a_loss_that_takes_indices_is_left_as_it_is() -> None:
    contrastive = ContrastiveLoss()
    made = _spec(lambda classes, size: contrastive).make(num_classes=3, embedding_size=2, params={"loss_lr": 0.1})
    assert made is contrastive


def test_a_miner_needs_a_loss_that_takes_what_it_finds() -> None:
    spec = _spec(lambda classes, size: MinedLoss(Two(), BatchHardMiner()))
    with pytest.raises(TypeError, match="'two' must take what its miner found, as .*indices_tuple"):
        spec.make(num_classes=3, embedding_size=2, params={"loss_lr": 0.1})
