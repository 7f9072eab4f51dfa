"""What stands in for a loss and for validations where a test watches the training itself."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from mlrc.harness.training import fold as training
from mlrc.losses.proxy_anchor import SPEC
from mlrc.losses.spec import LossSpec


def scripted(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
    """Make the validations give these scores, the first before training."""
    given: Iterator[float] = iter(scores)
    monkeypatch.setattr(training, "_validate", lambda *_: next(given))


class Proxies(nn.Module):
    """A loss with parameters of its own, `(classes, dim)`, and a note of the labels it saw."""

    def __init__(self, num_classes: int, embedding_size: int) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.ones(num_classes, embedding_size))
        self.seen: set[int] = set()

    def forward(self, embeddings: Tensor, labels: Tensor, indices: object = None) -> Tensor:
        self.seen |= set(labels.tolist())
        return (embeddings - self.proxies[labels]).square().mean()


def proxy_spec(made: list[Proxies], weight_decay: float | None = None) -> LossSpec:
    """Give a loss of such parameters, in the search space of another; what it builds is added to `made`."""

    def build(num_classes: int, embedding_size: int) -> nn.Module:
        made.append(Proxies(num_classes, embedding_size))
        return made[-1]

    space = {"loss_lr": SPEC.space["loss_lr"]}
    return replace(SPEC, space=space, build=build, weight_decay=weight_decay)
