"""Where a training stands, on the disk: whole and verified, or not there. A killed training goes on from it.

A training that goes on ends with the bits of one that was never disturbed, so everything its next iteration depends on
is kept: weights, optimizers, the loss's own state, every generator of random numbers, the position in the batches.
"""

import hashlib
import math
import random
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mlrc.harness.machine.atomic import write_atomically

HIGHEST_COST = 0.05
"""Share of a training's time that its checkpoints may take; they come less often where writing one takes long."""


@dataclass(kw_only=True)
class Course:
    """Where a training stands between two iterations.

    Attributes:
        iteration: how many are done; with the job's seed, the position in the batches.
        epoch_loss: sum of the loss over the iterations of the epoch at work, `()`, on the training's device.
        history: (epoch, validation score in percent).
        patience_epoch: of the best validation, epoch 0 included, with its `patience_score`.
        best_epoch: of the best validation after epoch 0, with `best_score` and the model's `best_weights`.
        ended: whether the last epoch is over.
        earlier_seconds: spent by processes before this one, and their `earlier_processor_seconds`.
        step: how the network is launched here, see `mlrc.harness.training.graphs.Launch`.
    """

    epoch_loss: Tensor
    iteration: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)
    patience_epoch: int = 0
    patience_score: float = -math.inf
    best_epoch: int | None = None
    best_score: float = -math.inf
    best_weights: dict[str, Tensor] | None = None
    ended: bool = False
    earlier_seconds: float = 0.0
    earlier_processor_seconds: float = 0.0
    step: str = ""


class Stateful(Protocol):
    """What gives its state and takes it back: modules and optimizers."""

    def state_dict(self) -> dict[str, Any]:
        """Give the state, as `torch.save` can write it."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take a state back."""
        ...


class Checkpoint:
    """The file of one training.

    Args:
        path: of the file; with `None` nothing is kept.
        origin: what made it, in words; a file of another origin is not gone on from, since its bits may differ.
    """

    def __init__(self, path: Path | None, origin: str) -> None:
        self._path = path
        self._origin = origin
        self._begun = time.perf_counter()
        self._processor_begun = time.process_time()
        self._saved_at = -math.inf
        self._took = 0.0

    def due(self) -> bool:
        """Say whether saving now keeps the cost of all savings below `HIGHEST_COST`."""
        return self._path is not None and time.perf_counter() - self._saved_at >= self._took / HIGHEST_COST

    def save(self, course: Course, parts: Mapping[str, Stateful], device: torch.device) -> None:
        """Write everything, whole or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        if self._path is None:
            return
        started = time.perf_counter()
        spent = {
            "earlier_seconds": course.earlier_seconds + started - self._begun,
            "earlier_processor_seconds": course.earlier_processor_seconds + time.process_time() - self._processor_begun,
        }
        content = {
            "course": vars(course) | spent,
            "parts": {name: part.state_dict() for name, part in parts.items()},
            "generators": _generators(device),
        }
        buffer = BytesIO()
        torch.save(content, buffer)
        written = buffer.getvalue()
        # Another attempt at this job, on a machine that was lost from sight, may write to the same file; what two write
        # at once is no whole, which `restore` sees.
        with suppress(FileNotFoundError):
            write_atomically(self._path, self._digest(written), written)
        self._saved_at = time.perf_counter()
        self._took = self._saved_at - started

    def restore(self, parts: Mapping[str, Stateful], device: torch.device) -> Course | None:
        """Bring the parts and all generators to where the file says; a file that is torn or foreign is removed.

        Returns:
            where the training stands; `None` if it has to begin, with nothing changed.
        """
        written = self._verified()
        if written is None:
            return None
        content = torch.load(BytesIO(written), map_location="cpu", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(content["parts"][name])
        _set_generators(content["generators"], device)
        course = Course(**content["course"])
        course.epoch_loss = course.epoch_loss.to(device)
        return course

    def _verified(self) -> bytes | None:
        if self._path is None or not self._path.exists():
            return None
        written = self._path.read_bytes()
        digest, content = written[:_DIGEST_SIZE], written[_DIGEST_SIZE:]
        if digest == self._digest(content):
            return content
        print(f"{self._path.name} is torn or was made elsewhere; the training begins anew.", file=sys.stderr)  # noqa: T201 the worker's log
        self._path.unlink(missing_ok=True)
        return None

    def _digest(self, content: bytes) -> bytes:
        origin = hashlib.sha256(self._origin.encode()).digest()
        return hashlib.blake2b(content, digest_size=_DIGEST_SIZE, key=origin).digest()


_DIGEST_SIZE = 32


def _generators(device: torch.device) -> dict[str, Any]:
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002 libraries draw from it
    assert isinstance(numpy, dict)  # noqa: S101 with legacy=False
    words = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    states = {
        "python": random.getstate(),
        "numpy": numpy | {"state": numpy["state"] | {"key": words}},
        "torch": torch.get_rng_state(),
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_generators(states: Mapping[str, Any], device: torch.device) -> None:
    random.setstate(states["python"])
    words = states["numpy"]["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state(states["numpy"] | {"state": states["numpy"]["state"] | {"key": words}})  # noqa: NPY002 as above
    torch.set_rng_state(states["torch"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
