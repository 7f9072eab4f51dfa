"""What a job finds where it is done, and what comes of it."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.machine.environment import device_name
from mlrc.harness.plan.job import FoldJob
from mlrc.results.records.record import Environment, FoldRecord

Shortage = Literal["", "memory", "disk"]


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What a job finds where it is done; nothing here changes a result.

    Attributes:
        roots: dataset name in the jobs to (name to open it by, root folder).
        device: to train on.
        weights: file of the trunk's weights, if the protocol asks for any.
        cache: folder of the decode-once caches; `None` decodes at every access.
        environment: that its records carry.
        runs: folder of the run, for checkpoints and logs; `None` keeps neither.
        cuts: dataset name in the jobs to the cut that its images bring, in place of the protocol's.
        share: of the device that a job has.
        save_models: whether the outcomes of the final stage carry the weights that were scored.
    """

    roots: Mapping[str, tuple[str, Path]]
    device: str
    environment: Environment
    weights: Path | None = None
    cache: Path | None = None
    runs: Path | None = None
    cuts: Mapping[str, str] = field(default_factory=dict)
    share: float = 1.0
    save_models: bool = False

    def found_here(self) -> "Workplace":
        """Give the workplace with this machine and its device in the environment, which the driver can't know."""
        here = replace(self.environment, device=device_name(torch.device(self.device)), host=socket.gethostname())
        return replace(self, environment=here)

    def checkpoint(self, job: FoldJob) -> Path | None:
        """Where the job's checkpoint is kept."""
        return checkpoint_path(self.runs, job.key) if self.runs else None


def checkpoint_path(runs: Path, key: str) -> Path:
    """Where the checkpoint of a job is kept while it is at work."""
    return runs / "checkpoints" / f"{key}.pt"


class FoldOutcome(NamedTuple):
    """What came of a job.

    Attributes:
        record: its ledger line.
        embeddings: `(test images, dim)`, outside the search.
        weights: the model that gave the embeddings in safetensors' format, where it was asked for.
        shortage: of what the machine had too little, if that is why it failed.
    """

    job: FoldJob
    record: FoldRecord
    embeddings: NDArray[np.float32] | None
    weights: bytes | None = None
    shortage: Shortage = ""
