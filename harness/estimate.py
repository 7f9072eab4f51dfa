"""What a comparison will cost, before it is begun: counts are exact, hours an upper bound from a few timed steps."""

import time
from pathlib import Path

import torch

from harness import model as models
from harness.batches import iterations_per_epoch
from harness.comparison import Comparison
from harness.plan import cost
from harness.work import THREADS
from protocols.protocol import Protocol, of

WARM_UP, MEASURED = 3, 10


def estimate(comparison: Comparison, workers: int) -> list[tuple[str, ...]]:
    """Give a row per study and a sum: loss, search trainings, final trainings, iterations and hours at most.

    Hours count training iterations on this device, without loss and validation, shared among `workers`.
    """
    protocol, dataset = comparison.studies[0].protocol, comparison.studies[0].dataset
    # of all trainval classes, though a fold may train on fewer: an upper bound
    epoch = iterations_per_epoch(len(comparison.images.labels) - len(comparison.test), protocol, dataset)
    costs = []
    for study in comparison.studies:
        searches, finals, epochs = cost(study)
        costs.append((study.loss, (searches, finals, epochs * epoch)))
    step = seconds_per_iteration(
        protocol, dataset, torch.device(comparison.workplace.device), comparison.workplace.weights
    )
    total = tuple(sum(values) for values in zip(*(one for _, one in costs), strict=True))
    rows = [*((loss, *one) for loss, one in costs), ("all", *total)]
    return [
        (loss, str(searches), str(finals), f"{iterations:,}", f"{iterations * step / 3600 / workers:.2f}")
        for loss, searches, finals, iterations in rows
    ]


def seconds_per_iteration(protocol: Protocol, dataset: str, device: torch.device, weights: Path | None) -> float:
    """Time training steps of the protocol's network on made-up images."""
    torch.set_num_threads(THREADS)
    model = models.build(protocol, seed=0, weights=weights).to(device).train()
    channels = 1 if protocol.channels == "grey" else 3
    images = torch.zeros(of(protocol.batch_size, dataset), channels, protocol.crop, protocol.crop, device=device)
    started = 0.0
    for step in range(WARM_UP + MEASURED):
        if step == WARM_UP:
            started = time.perf_counter()
        model(images).square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return (time.perf_counter() - started) / MEASURED
