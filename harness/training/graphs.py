"""The network's forward and backward pass as CUDA graphs: one launch each in place of hundreds, of the same kernels.

Losses and miners stay outside, as the shapes of what they compute follow from the data. A capture counts only if a
replay gives the bits of the passes that it stands for; else the training is launched as ever, and says why.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from mlrc.harness.training.model import Embedder, forward, laid_out
from mlrc.protocols.protocol import Protocol, of

Network = Callable[[Tensor], Tensor]
Capture = Callable[[nn.Module, Tensor], Network]
"""From a network in training and a batch to a function that replays both passes for batches of that shape. The passes
may be run for it, and what it gives may lie in memory that the next replay writes to."""
GRAPH = "graph"


class Launch(NamedTuple):
    """How the network of a training is launched.

    Attributes:
        network: from a batch to embeddings `(n, embedding_size)`, float32.
        told: `graph`, or why not; empty where the protocol does not ask for it.
    """

    network: Network
    told: str = ""


class Passes(nn.Module):
    """A network in the protocol's precision, without autocast's cache of cast weights, which a graph cannot have."""

    def __init__(self, network: nn.Module, protocol: Protocol, device: torch.device) -> None:
        super().__init__()
        self.network, self._kind, self._enabled = network, device.type, protocol.precision == "bfloat16"

    def forward(self, batch: Tensor) -> Tensor:
        """Embed a batch."""
        with torch.autocast(self._kind, dtype=torch.bfloat16, enabled=self._enabled, cache_enabled=False):
            embeddings: Tensor = self.network(batch).float()
        return embeddings


def cuda_graphs(network: nn.Module, batch: Tensor) -> Network:
    """Capture both passes as CUDA graphs; raises whatever torch raises where that cannot be."""
    captured: Any = torch.cuda.make_graphed_callables(network, (batch,), allow_unused_input=True)
    return cast(Network, captured)


CAPTURES: Mapping[str, Capture] = {"cuda": cuda_graphs}
"""By kind of device."""


def launched(
    model: Embedder, protocol: Protocol, dataset: str, device: torch.device, capture: Capture | None = None
) -> Launch:
    """Give the network of a training as the protocol launches it; model and generators are afterwards as they were.

    Args:
        model: on `device`; its weights may move in place from here on, but not be others.
        protocol: that is followed.
        dataset: of the training.
        device: that trains.
        capture: in place of the one for this kind of device.
    """
    eager = partial(forward, model, protocol=protocol, device=device)
    if protocol.step != GRAPH:
        return Launch(eager)
    capture = capture or CAPTURES.get(device.type)
    if capture is None:
        return _fallen_back(eager, f"there are no CUDA graphs on {device}")
    batch = laid_out(_example(model, protocol, dataset, device), protocol)
    passes = Passes(model, protocol, device).train()
    with _as_before(model, device):
        before = _generators(device)
        with torch.no_grad():
            passes(batch)
        if not all(map(torch.equal, before, _generators(device))):
            return _fallen_back(eager, "it draws random numbers")
        try:
            replayed = capture(passes, torch.zeros_like(batch))
            same = _same_bits(eager, replayed, batch, model)
        except Exception as error:  # noqa: BLE001 what does not fit a graph shows in any way
            reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
            return _fallen_back(eager, f"the capture failed ({reason})")
    if not same:
        return _fallen_back(eager, "its replay gave other bits")
    # a clone, as losses may keep what the next replay would write over
    return Launch(lambda images: replayed(laid_out(images, protocol)).clone(), GRAPH)


def _fallen_back(eager: Network, reason: str) -> Launch:
    told = f"eager: the network cannot be captured as a graph, since {reason}"
    print(f"{told}; the training goes on with the same numbers.", file=sys.stderr)  # noqa: T201 the worker's log
    return Launch(eager, told)


def _example(model: Embedder, protocol: Protocol, dataset: str, device: torch.device) -> Tensor:
    size, side = of(protocol.batch_size, dataset), protocol.crop
    shape: tuple[int, ...] = (size, 1 if protocol.channels == "grey" else 3, side, side)
    if protocol.trains == "head":
        shape = (size, model.width)
    numbers = torch.arange(torch.Size(shape).numel(), device=device, dtype=torch.float32)
    return torch.sin(numbers).view(shape)  # images that differ, drawn from no generator


def _same_bits(one: Network, other: Network, batch: Tensor, model: nn.Module) -> bool:
    """Compare embeddings and gradients of one batch."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    found: list[list[Tensor | None]] = []
    for network in (one, other):
        embeddings = network(batch)
        gradients = torch.autograd.grad(embeddings.square().sum(), weights, allow_unused=True)
        found.append([None if tensor is None else tensor.detach().clone() for tensor in (embeddings, *gradients)])
    return all(
        mine is theirs or (mine is not None and theirs is not None and torch.equal(mine, theirs))
        for mine, theirs in zip(*found, strict=True)
    )


@contextmanager
def _as_before(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Bring back, in their places, statistics that passes move, and generators that they draw from."""
    statistics = [(buffer, buffer.clone()) for buffer in model.buffers()]
    generators = _generators(device)
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, was in statistics:
                buffer.copy_(was)
        torch.set_rng_state(generators[0])
        if device.type == "cuda":
            torch.cuda.set_rng_state(generators[1], device)


def _generators(device: torch.device) -> list[Tensor]:
    """Give the states of torch's generators that a network can draw from."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]
