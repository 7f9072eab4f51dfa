"""The network of a protocol: trunk, pooling, one linear layer. No unit length: losses and metrics see to that."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.modules.batchnorm import _BatchNorm

from mlrc.harness.plan.job import digest
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


def head(text: str, width: int, embedding_size: int) -> nn.Module:
    """Give the head of that name, `linear` or `mlp:N`, from features `(n, width)` to `(n, embedding_size)`."""
    hidden = int(text.removeprefix("mlp:")) if text.startswith("mlp:") else 0
    if not hidden:
        return nn.Linear(width, embedding_size)
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, embedding_size))


class UnitLength(nn.Module):
    """Rows at unit length; a row of zeros stays one."""

    def forward(self, features: Tensor) -> Tensor:
        """Scale `(n, width)`."""
        return normalize(features)


class Standardised(nn.Module):
    """Every number less its mean and divided by its deviation, as `fit` has them of the rows that are trained on."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def fit(self, rows: NDArray[np.float32]) -> None:
        """Take mean and deviation from rows `(n, width)`; a number that never varies is divided by 1."""
        self.mean.copy_(torch.from_numpy(rows.mean(axis=0, dtype=np.float64)))
        deviation = rows.std(axis=0, dtype=np.float64)
        self.deviation.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))

    def forward(self, features: Tensor) -> Tensor:
        """Scale `(n, width)`."""
        return (features - self.mean) / self.deviation


def _norm(protocol: Protocol, width: int) -> nn.Module:
    """Give what comes between the features and the head."""
    scaling: Mapping[str, Callable[[], nn.Module]] = {
        "none": nn.Identity,
        "unit": UnitLength,
        "standard": lambda: Standardised(width),
    }
    given = scaling[protocol.scaling]()
    if not protocol.layer_norm:
        return given
    norm = nn.LayerNorm(width, elementwise_affine=False)
    return norm if protocol.scaling == "none" else nn.Sequential(given, norm)


def _as_it_is(features: Tensor) -> Tensor:
    return features


class Embedder(nn.Module):
    """Images `(n, channels, crop, crop)` to embeddings `(n, embedding_size)`, not normalised.

    Where the protocol trains the head alone there is no trunk, and its features `(n, width)` stand in the place of
    images. The weights that the protocol names are read from the file `weights`; raises what `build_trunk` and
    `pooling` raise. What it does in training may depend on the `dataset`.

    Attributes:
        width: of the features.
    """

    def __init__(
        self, protocol: Protocol, weights: Path | None = None, dataset: str = "", width: int | None = None
    ) -> None:
        super().__init__()
        self.width = find_trunk(protocol.trunk).features if width is None else width
        self.trunk: nn.Module = nn.Identity()
        self.pool: Pooling = _as_it_is
        if protocol.trains == "all":
            self.trunk, self.pool = build_trunk(protocol, weights), pooling(protocol.pooling)
        self.norm = _norm(protocol, self.width)
        self.head = head(protocol.head, self.width, protocol.embedding_size)
        self.frozen_batch_norm = of(protocol.frozen_batch_norm, dataset)

    def fit(self, rows: NDArray[np.float32]) -> None:
        """Take from the features `(n, width)` that are trained on what is not learnt of them but measured."""
        for module in self.norm.modules():
            if isinstance(module, Standardised):
                module.fit(rows)

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


class FrozenTrunk(nn.Module):
    """Images `(n, channels, crop, crop)` to the pooled features `(n, width)` of a trunk that does not learn."""

    def __init__(self, protocol: Protocol, weights: Path | None = None) -> None:
        super().__init__()
        self.trunk = build_trunk(protocol, weights)
        self.pool = pooling(protocol.pooling)

    def forward(self, images: Tensor) -> Tensor:
        """Give the pooled output of the trunk."""
        return self.pool(self.trunk(images))


def frozen_trunk(protocol: Protocol, weights: Path | None = None) -> FrozenTrunk:
    """Build the trunk of a protocol that trains the head alone; one without weights is drawn from the protocol's seed.

    Raises what `build_trunk` and `pooling` raise.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(digest("trunk", protocol.seed)[:16], 16) >> 1)
        trunk = FrozenTrunk(protocol, weights)
    trunk.eval().requires_grad_(requires_grad=False)
    return trunk.to(memory_format=torch.channels_last) if protocol.channels_last else trunk


def rehearse(network: Embedder | FrozenTrunk, protocol: Protocol, device: torch.device | None = None) -> None:
    """Embed two black images, so that a network that does not fit its protocol is told before any work.

    Raises:
        ValueError: the network fails, or gives embeddings, or features, of another shape.
    """
    wide = find_trunk(protocol.trunk).features if isinstance(network, FrozenTrunk) else protocol.embedding_size
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
    if shape != (2, wide):
        raise ValueError(f"The trunk {protocol.trunk} must give embeddings {(2, wide)}, but gives {shape}.")


def build(
    protocol: Protocol, *, seed: int, weights: Path | None = None, dataset: str = "", width: int | None = None
) -> Embedder:
    """Build the network with its random weights drawn from `seed`, leaving torch's global generator as it was.

    Where only the head is trained, on features of a known `width`, nothing is asked of the trunk. Raises what
    `Embedder` raises.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        embedder = Embedder(protocol, weights, dataset, width)
    return embedder.to(memory_format=torch.channels_last) if protocol.channels_last else embedder


def forward(network: Callable[[Tensor], Tensor], batch: Tensor, protocol: Protocol, device: torch.device) -> Tensor:
    """Give what a network makes of a batch, in float32: images in the protocol's layout, arithmetic in its precision.

    Args:
        network: of images or features.
        batch: `(n, channels, crop, crop)`, or features `(n, width)`.
        protocol: that it follows.
        device: where both are.
    """
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=protocol.precision == "bfloat16"):
        return network(laid_out(batch, protocol)).float()


def laid_out(batch: Tensor, protocol: Protocol) -> Tensor:
    """Give a batch in the protocol's layout in memory."""
    channels_last = protocol.channels_last and batch.ndim == 4
    return batch.contiguous(memory_format=torch.channels_last) if channels_last else batch
