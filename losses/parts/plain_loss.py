"""A loss whose `forward` takes embeddings and labels alone, among losses that are handed a miner's indices, too."""

import inspect
from typing import Any

from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision


class PlainLoss(nn.Module):
    """Takes PML's indices and leaves them out, and moves the labels to the embeddings, as PML's losses do."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: None = None) -> Any:
        """Compute as the loss inside does: embeddings `(batch, dim)`, labels `(batch,)`."""
        del indices_tuple  # there is no miner, see `LossSpec.make`
        return self.loss(embeddings, labels.to(embeddings.device))


def takes_indices(loss: nn.Module) -> bool:
    """Say whether a loss can be called with embeddings, labels and indices; whatever tells no signature counts so."""
    forward = loss.forward
    if isinstance(loss, FullPrecision):  # it hands on whatever it is given
        forward = super(FullPrecision, loss).forward  # type: ignore[misc]  # of the class mixed in after it
    try:
        signature = inspect.signature(forward)
    except (TypeError, ValueError):
        return True
    return _binds(signature, 3) or not _binds(signature, 2)


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
