"""What a training step of a loss costs, and where its gradients go, against the number of classes; on noise."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mlrc.harness.plan.parameters import buildable, space
from mlrc.harness.training import model as models
from mlrc.harness.training.batches import batches
from mlrc.harness.training.optimization import Optimization
from mlrc.losses.contract.live_memory import LiveMemory
from mlrc.losses.contract.space import centre
from mlrc.losses.spec import LossSpec, MinedLoss, Value
from mlrc.protocols.protocol import Protocol, of

Clock = Callable[[], float]
DATASET = "cub200"
"""Whose numbers hold where a protocol has some per dataset."""
WARM_UP, MEASURED = 2, 7
MOST_CLASSES = 10**6


class Profile(NamedTuple):
    """A loss at one number of classes.

    Attributes:
        loss_ms: milliseconds of the loss alone, forward and backward, the median; `step_ms` of a whole step.
        loss_mib: the most that the loss holds at once: its parameters, their gradients, and what it computes.
        trunk: norm of the gradient of the first step, `head` likewise; `proxies`, of the loss's own parameters, is not
            a number where it has none.
    """

    loss: str
    classes: int
    loss_ms: float
    step_ms: float
    loss_mib: float
    trunk: float
    head: float
    proxies: float


def profiles(
    spec: LossSpec,
    protocol: Protocol,
    classes: Sequence[int],
    chosen: dict[str, Value],
    *,
    clock: Clock = time.perf_counter,
) -> list[Profile]:
    """Measure a loss under a protocol, on one processor thread, its trunk with random weights.

    Args:
        spec: of the loss, at the parameters that its paper recommends, else at the centre of its space.
        protocol: its trunk, batch, optimizers.
        classes: their numbers.
        chosen: parameters that go before those.
        clock: gives seconds.

    Raises:
        ValueError: a number of classes is not from 2 to `MOST_CLASSES`, or a batch cannot be drawn of so few.
    """
    if wrong := [number for number in classes if not 2 <= number <= MOST_CLASSES]:
        raise ValueError(f"--classes takes numbers from 2 to {MOST_CLASSES}, but got {wrong[0]}.")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            return [_profile(spec, protocol, number, chosen, clock) for number in classes]
    finally:
        torch.set_num_threads(threads)


def _profile(spec: LossSpec, protocol: Protocol, classes: int, chosen: dict[str, Value], clock: Clock) -> Profile:
    params = {**centre(space(spec, protocol, DATASET)), **spec.recommended, **chosen}
    built = buildable(spec, protocol, DATASET, params)
    torch.manual_seed(0)
    model = models.build(protocol.vary({"weights": ""}), seed=0, dataset=DATASET).train()
    made = built.make(num_classes=classes, embedding_size=protocol.embedding_size, params=params)
    loss, miner = made if isinstance(made, MinedLoss) else (made, None)
    moves = Optimization(protocol=protocol, dataset=DATASET, model=model, loss=loss, spec=built, params=params)
    moves.begin_epoch(protocol.warm_up, ())
    m = of(protocol.images_per_class_pairs if spec.batch == "pairs" else protocol.images_per_class_classes, DATASET)
    size = of(protocol.batch_size, DATASET)
    rows = batches(np.repeat(np.arange(classes), m), batch_size=size, images_per_class=m, seed=0)
    channels = 1 if protocol.channels == "grey" else 3

    def value(embeddings: Tensor, labels: Tensor) -> Tensor:
        found: Tensor = loss(embeddings, labels, miner(embeddings, labels) if miner else None)
        return found

    whole: list[float] = []
    alone: list[float] = []
    norms: list[float] = []
    peak = 0
    for step in range(WARM_UP + MEASURED):
        labels = torch.from_numpy(next(rows) // m)
        images = torch.randn(size, channels, protocol.crop, protocol.crop)
        begun = clock()
        moves.step(value(model(images), labels))
        whole.append(clock() - begun)
        norms = norms or [_norm(part) for part in (model.trunk, model.head, loss)]
        leaf = torch.randn(size, protocol.embedding_size, requires_grad=True)
        begun = clock()
        torch.autograd.backward(value(leaf, labels))
        alone.append(clock() - begun)
        if not step:
            loss.zero_grad(set_to_none=True)
            with LiveMemory() as memory:
                torch.autograd.backward(value(leaf.detach().requires_grad_(), labels))
            peak = memory.peak + sum(parameter.nbytes for parameter in loss.parameters())
    return Profile(
        loss=spec.name,
        classes=classes,
        loss_ms=1000 * statistics.median(alone[WARM_UP:]),
        step_ms=1000 * statistics.median(whole[WARM_UP:]),
        loss_mib=peak / 2**20,
        trunk=norms[0],
        head=norms[1],
        proxies=norms[2],
    )


def _norm(part: nn.Module) -> float:
    gradients = [parameter.grad.norm() for parameter in part.parameters() if parameter.grad is not None]
    return float(torch.stack(gradients).norm()) if gradients else float("nan")
