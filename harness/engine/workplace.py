"""What a job finds where it is done, and what comes of it."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.engine.repeat import ScoredRun
from mlrc.harness.machine.environment import device_name, processor
from mlrc.harness.plan.job import FoldJob, ScoreJob
from mlrc.harness.plugin_files import PluginFile
from mlrc.harness.plugins import LOSSES
from mlrc.losses.spec import LossSpec
from mlrc.results.records.origin import Origin
from mlrc.results.records.record import Environment, FoldRecord

Shortage = Literal["", "memory", "device", "disk", "files"]
"""Of what a machine had too little, or what of it broke: memory, an accelerator, room on its disk, a file there."""


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
        lender: where a process answers that lends memory of the device to all jobs there, if one does.
        cores: of the processor that a worker keeps to; all where there are none.
        losses: name to the file of a loss that is registered nowhere, whose text a process elsewhere needs.
        origins: (`loss`, `dataset` or `trunk`, its name in the jobs) to where that plug-in comes from.
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
    lender: str = ""
    cores: tuple[int, ...] = ()
    losses: Mapping[str, PluginFile] = field(default_factory=dict)
    origins: Mapping[tuple[str, str], Origin] = field(default_factory=dict)

    def found_here(self) -> "Workplace":
        """Give the workplace with this machine and its device in the environment, which the driver can't know."""
        here = replace(
            self.environment,
            device=device_name(torch.device(self.device)),
            host=socket.gethostname(),
            processor=processor(),
        )
        return replace(self, environment=here)

    def loss(self, name: str) -> LossSpec:
        """Give the loss of a job; raises what `LOSSES.find` and `LOSSES.in_file` raise."""
        return LOSSES.in_file(self.losses[name]) if name in self.losses else LOSSES.find(name)

    def plugins(self, job: FoldJob) -> list[tuple[str, str]]:
        """Give the keys in `origins` of the plug-ins that a job stands on."""
        names = [("loss", job.loss), ("dataset", job.dataset), ("trunk", job.protocol.trunk)]
        return [name for name in names if name in self.origins]

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
        shortage: what of the machine made it fail, if that is why.
    """

    job: FoldJob
    record: FoldRecord
    embeddings: NDArray[np.float32] | None
    weights: bytes | None = None
    shortage: Shortage = ""

    @property
    def message(self) -> str:
        """Why it diverged or failed."""
        return self.record.message

    @property
    def failed(self) -> bool:
        """Whether nothing can be concluded from it."""
        return self.record.outcome == "failed"


class ScoreOutcome(NamedTuple):
    """What came of the scoring of a repeat.

    Attributes:
        scored: its scores; `None` if there are none.
        damaged: keys of the embeddings that must be made again first, if any.
        message: why it failed, if it did.
        shortage: as in `FoldOutcome`.
    """

    job: ScoreJob
    scored: ScoredRun | None
    damaged: tuple[str, ...] = ()
    message: str = ""
    shortage: Shortage = ""

    @property
    def failed(self) -> bool:
        """Whether nothing can be concluded from it."""
        return self.scored is None and not self.damaged


JobOutcome = FoldOutcome | ScoreOutcome
