"""`mlrc` on a machine that breaks: faults wait as files in the folder $FAULTS, and whoever takes one away suffers it.

Run as a program it is the command; worker processes, which run `serve` of this module, break in the same way.
One training has losses that are not numbers, always: it is part of the study.
"""

import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mlrc.harness.cli import main
from mlrc.harness.engine import perform as work
from mlrc.harness.engine import worker
from mlrc.harness.images.transform import training_batch
from mlrc.harness.training import fold as train
from mlrc.harness.training.fold import train_fold
from mlrc.results.records.ledger import Ledger
from mlrc.results.records.record import Record, to_line

FOLDER = Path(os.environ["FAULTS"])
DIVERGES = ("proxy_anchor", "search", 0, 1)
"""Loss, stage, number and fold of the training whose loss is not a number."""
ALWAYS_FAILS = os.environ.get("ALWAYS_FAILS", "")
"""A loss whose first repeat always runs out of memory."""


def taken(name: str) -> bool:
    """Take a fault, if it waits; each is taken once."""
    try:
        (FOLDER / name).unlink()
    except FileNotFoundError:
        return False
    return True


class NotANumber(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.ones(1))

    def forward(self, embeddings: Tensor, labels: Tensor, indices: object = None) -> Tensor:
        return (embeddings.sum() + self.proxies.sum()) * float("nan")


append = Ledger.append


def breaking_batch(*arguments: Any, **options: Any) -> Tensor:
    if taken("memory"):
        raise torch.OutOfMemoryError("injected")
    if taken("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if taken("abort"):
        os.abort()
    if taken("disk"):
        raise OSError(errno.ENOSPC, "injected")
    return training_batch(*arguments, **options)


def breaking_fold(job: Any, spec: Any, *arguments: Any, **options: Any) -> Any:
    if (job.loss, job.stage, job.number, job.fold) == DIVERGES:
        spec = replace(spec, build=lambda *_, **__: NotANumber())
    if (job.loss, job.stage, job.number) == (ALWAYS_FAILS, "final", 0):
        raise torch.OutOfMemoryError("injected for good")
    return train_fold(job, spec, *arguments, **options)


def breaking_append(self: Ledger, records: Iterable[Record]) -> None:
    records = list(records)
    if records and taken("ledger"):
        line = to_line(records[0]).encode()
        self._file.write(line[: len(line) // 2])
        self._file.flush()
        raise OSError(errno.ENOSPC, "injected")
    append(self, records)


serve = worker.serve


def breaking_serve(*arguments: Any) -> None:
    """Do what a worker does, in a process that by finding this function has imported what breaks it."""
    serve(*arguments)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    importlib.import_module("tests.harness.engine.faults")  # by the name that the workers know
    main()
else:
    vars(train)["training_batch"] = breaking_batch
    vars(work)["train_fold"] = breaking_fold
    vars(worker)["serve"] = breaking_serve
    Ledger.append = breaking_append  # type: ignore[method-assign] # it breaks on purpose
