"""Every registered loss on the device against the cores: value, gradient, warnings, waits, and a short training."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mlrc.harness.engine.perform import perform
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.machine.determinism import deterministic_device
from mlrc.harness.plan.search import sobol_point
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.losses.spec import LossSpec, MinedLoss
from mlrc.protocols.protocol import PerDataset
from tests.benchmarks.device.setting import Measurement, Row, Setting, small_conv

CLASSES, SIDE = 8, 64
TOLD = 160
"""Characters of a warning that are kept."""


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give one per loss; in miniature the first few."""
    for name in LOSSES.names()[: 2 if setting.small else None]:
        yield name, partial(compared, setting, LOSSES.find(name))


def compared(setting: Setting, spec: LossSpec) -> Row:
    """Compare one loss."""
    params = sobol_point(spec.space, 0, seed=1) if spec.space else {}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        torch.set_warn_always(True)
        device = deterministic_device(str(setting.device))
        here, there = (_measured(spec, params, place) for place in (torch.device("cpu"), device))
        waits = _waits(spec, params, device)
    differences = [_difference(one, other) for one, other in zip(here, there, strict=True)]
    places = {"device": str(device), "cores": "cpu"}
    trained = {f"training on the {name}": _trained(setting, spec.name, params, place) for name, place in places.items()}
    return {
        "value, relative": differences[0],
        "gradient, relative": max(differences[1:]),
        "same bits twice on the device": all(map(torch.equal, there, _measured(spec, params, device))),
        "waits": waits,
        "warnings": sorted({f"{one.category.__name__}: {str(one.message)[:TOLD]}" for one in heard}),
        **trained,
    }


def _made(spec: LossSpec, params: dict[str, Any], device: torch.device) -> tuple[nn.Module, nn.Module | None]:
    torch.manual_seed(0)
    made = spec.make(num_classes=CLASSES, embedding_size=SIDE, params=params)
    loss, miner = made if isinstance(made, MinedLoss) else (made, None)
    return loss.to(device), miner.to(device) if miner else None


def _batch(device: torch.device) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    embeddings, labels = torch.randn(CLASSES * 4, SIDE), torch.arange(CLASSES).repeat_interleave(4)
    return embeddings.to(device).requires_grad_(), labels.to(device)


def _measured(spec: LossSpec, params: dict[str, Any], device: torch.device) -> list[Tensor]:
    """Give value and gradients, of the embeddings and of the loss's own parameters, on the CPU."""
    loss, miner = _made(spec, params, device)
    embeddings, labels = _batch(device)
    value = loss(embeddings, labels, miner(embeddings, labels) if miner else None)
    value.backward()
    gradients = [one.grad for one in (embeddings, *loss.parameters()) if one.grad is not None]
    return [one.detach().cpu() for one in (value, *gradients)]


def _difference(here: Tensor, there: Tensor) -> float:
    return float(f"{float((here - there).norm() / here.norm().clamp(min=1e-12)):.1e}")


def _waits(spec: LossSpec, params: dict[str, Any], device: torch.device) -> int | None:
    """Count the operations of a step that wait for the device."""
    if device.type != "cuda":
        return None
    loss, miner = _made(spec, params, device)
    embeddings, labels = _batch(device)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            loss(embeddings, labels, miner(embeddings, labels) if miner else None).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(one.message) for one in heard)


def _trained(setting: Setting, loss: str, params: dict[str, Any], device: str) -> str:
    """Do a whole job of a few steps, and say how it ended."""
    steps = {"iterations_per_epoch": 4, "max_epochs": 2, "validation_interval": PerDataset(1)}
    protocol = small_conv(setting).vary(steps)
    fingerprint = open_dataset("glyphs", setting.folder).fingerprint
    study = Study(protocol=protocol, dataset="glyphs", fingerprint=fingerprint, loss=loss)
    place = replace(setting.workplace(), device=device)
    record = perform(study.jobs("search", 0, params)[0], place, lambda *_: None, lambda: False).record
    return f"{record.outcome} {record.message}" if record.best_score is None else f"{record.best_score:.3f}"
