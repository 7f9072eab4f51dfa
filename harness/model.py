"""The network of a protocol: trunk, pooling, one linear layer. No normalisation: losses and metrics do that."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness.trunks.trunk import TRUNKS
from protocols.protocol import Protocol


def average(maps: Tensor) -> Tensor:
    """Average every feature map: `(n, features, rows, columns)` to `(n, features)`."""
    return maps.mean(dim=(2, 3))


def maximum(maps: Tensor) -> Tensor:
    """Take the maximum of every feature map: `(n, features, rows, columns)` to `(n, features)`."""
    return maps.amax(dim=(2, 3))


def average_plus_maximum(maps: Tensor) -> Tensor:
    """Add average and maximum of every feature map, as Proxy-Anchor's code does."""
    return average(maps) + maximum(maps)


POOLINGS: Mapping[str, Callable[[Tensor], Tensor]] = {"avg": average, "max": maximum, "avg+max": average_plus_maximum}


class Embedder(nn.Module):
    """Images `(n, channels, crop, crop)` to embeddings `(n, embedding_size)`, not normalised."""

    def __init__(self, protocol: Protocol) -> None:
        super().__init__()
        trunk = TRUNKS.find(protocol.trunk)
        self.trunk = trunk.build(1 if protocol.channels == "grey" else 3)
        self.pool = POOLINGS[protocol.pooling]
        self.head = nn.Linear(trunk.features, protocol.embedding_size)
        self.frozen_batch_norm = protocol.frozen_batch_norm

    def features(self, images: Tensor) -> Tensor:
        """Give the pooled output of the trunk, `(n, features)`."""
        return self.pool(self.trunk(images))

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch of images."""
        embeddings: Tensor = self.head(self.features(images))
        return embeddings

    def train(self, mode: bool = True) -> "Embedder":
        """Switch to training; frozen batch norms keep their running statistics, and still learn weight and bias."""
        super().train(mode)
        if mode and self.frozen_batch_norm:
            for module in self.trunk.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def build(protocol: Protocol, *, seed: int) -> Embedder:
    """Build the network with its random weights drawn from `seed`, leaving torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Embedder(protocol)
