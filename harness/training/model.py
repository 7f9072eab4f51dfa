"""The network of a protocol: trunk, pooling, one linear layer. No unit length: losses and metrics see to that."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mlrc.harness.trunks.catalogue import build_trunk, find_trunk
from mlrc.protocols.protocol import Protocol, of

Pooling = Callable[[Tensor], Tensor]


def average(maps: Tensor) -> Tensor:
    """Average every feature map: `(n, features, rows, columns)` to `(n, features)`."""
    return maps.mean(dim=(2, 3))


def maximum(maps: Tensor) -> Tensor:
    """Take the maximum of every feature map: `(n, features, rows, columns)` to `(n, features)`."""
    return maps.amax(dim=(2, 3))


def average_plus_maximum(maps: Tensor) -> Tensor:
    """Add average and maximum of every feature map, as Proxy-Anchor's code does."""
    return average(maps) + maximum(maps)


def generalised_mean(maps: Tensor, power: float = 3.0) -> Tensor:
    """Take the power mean of every feature map, GeM (Radenović et al., TPAMI 2018, arXiv 1711.02512), p fixed."""
    return maps.clamp(min=1e-6).pow(power).mean(dim=(2, 3)).pow(1 / power)


def mean_of_largest(maps: Tensor, count: int) -> Tensor:
    """Average the `count` largest values of every feature map, k-max pooling (ProxyNCA++, arXiv 2004.01113)."""
    values = maps.flatten(2)
    return values.topk(min(count, values.shape[2]), dim=2).values.mean(dim=2)


POOLINGS: Mapping[str, Pooling] = {
    "avg": average,
    "max": maximum,
    "avg+max": average_plus_maximum,
    "gem": generalised_mean,
}
"""Poolings without a parameter; `gem:P` and `kmax:K` take one."""


def pooling(text: str) -> Pooling:
    """Give the pooling of that name: one of `POOLINGS`, `gem:P` with P of 0.1 to 100, `kmax:K` with K of 1 or more.

    Raises:
        ValueError: there is none.
    """
    if text in POOLINGS:
        return POOLINGS[text]
    name, _, number = text.partition(":")
    try:
        if name == "gem" and 0.1 <= float(number) <= 100:
            return partial(generalised_mean, power=float(number))
        if name == "kmax" and int(number) >= 1:
            return partial(mean_of_largest, count=int(number))
    except ValueError:
        pass  # no number: the sentence below says what one looks like
    raise ValueError(
        f"pooling must be one of {', '.join(POOLINGS)}, gem:P (0.1 to 100) or kmax:K (as kmax:3), but got {text!r}."
    )


class Embedder(nn.Module):
    """Images `(n, channels, crop, crop)` to embeddings `(n, embedding_size)`, not normalised.

    The weights that the protocol names are read from the file `weights`; raises what `build_trunk` and `pooling` raise.
    What it does in training may depend on the `dataset`.
    """

    def __init__(self, protocol: Protocol, weights: Path | None = None, dataset: str = "") -> None:
        super().__init__()
        features = find_trunk(protocol.trunk).features
        self.trunk = build_trunk(protocol, weights)
        self.pool = pooling(protocol.pooling)
        self.norm = nn.LayerNorm(features, elementwise_affine=False) if protocol.layer_norm else nn.Identity()
        self.head = nn.Linear(features, protocol.embedding_size)
        self.frozen_batch_norm = of(protocol.frozen_batch_norm, dataset)

    def features(self, images: Tensor) -> Tensor:
        """Give the pooled output of the trunk, `(n, features)`."""
        return self.pool(self.trunk(images))

    def forward(self, images: Tensor) -> Tensor:
        """Embed a batch of images."""
        embeddings: Tensor = self.head(self.norm(self.features(images)))
        return embeddings

    def train(self, mode: bool = True) -> "Embedder":
        """Switch to training; frozen batch norms keep their running statistics, and still learn weight and bias."""
        super().train(mode)
        if mode and self.frozen_batch_norm:
            for module in self.trunk.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def rehearse(network: Embedder, protocol: Protocol, device: torch.device | None = None) -> None:
    """Embed two black images, so that a network that does not fit its protocol is told before any work.

    Raises:
        ValueError: the network fails, or gives embeddings of another shape.
    """
    images = torch.zeros((2, 1 if protocol.channels == "grey" else 3, protocol.crop, protocol.crop), device=device)
    try:
        with torch.inference_mode():
            shape = tuple(network.eval()(images).shape)
    except (RuntimeError, AssertionError, ValueError, TypeError, IndexError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise ValueError(
            f"The trunk {protocol.trunk} must embed images of {protocol.crop} × {protocol.crop} pixels, but fails "
            f"({reason}); give its own size with --set crop=… and resize=…, or another --trunk."
        ) from error
    if shape != (2, protocol.embedding_size):
        raise ValueError(
            f"The trunk {protocol.trunk} must give embeddings {(2, protocol.embedding_size)}, but gives {shape}."
        )


def build(protocol: Protocol, *, seed: int, weights: Path | None = None, dataset: str = "") -> Embedder:
    """Build the network with its random weights drawn from `seed`, leaving torch's global generator as it was.

    Raises what `Embedder` raises.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        embedder = Embedder(protocol, weights, dataset)
    return embedder.to(memory_format=torch.channels_last) if protocol.channels_last else embedder
