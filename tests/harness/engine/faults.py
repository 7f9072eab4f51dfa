"""`mlrc` on a machine that breaks: faults wait as files in the folder $FAULTS, and whoever takes one away suffers it.

Run as a program it is the command; worker processes, which enter by this module, break in the same way.
One training has losses that are not numbers, always: it is part of the study.
"""

import errno
import importlib
import multiprocessing
import os
import signal
import struct
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mlrc.harness.cli import main
from mlrc.harness.engine import entrance, repeat, watchdog, worker
from mlrc.harness.engine import perform as work
from mlrc.harness.images.cache import cached
from mlrc.harness.images.transform import training_batch
from mlrc.harness.machine.atomic import write_atomically
from mlrc.harness.study import comparison
from mlrc.harness.training import fold as train
from mlrc.harness.training.fold import train_fold
from mlrc.results.records.ledger import Ledger
from mlrc.results.records.lines import to_line
from mlrc.results.records.record import Record

FOLDER = Path(os.environ["FAULTS"])
DIVERGES = ("proxy_anchor", "search", 0, 1)
"""Loss, stage, number and fold of the training whose loss is not a number."""
ALWAYS_FAILS = os.environ.get("ALWAYS_FAILS", "")
"""A loss whose trainings always fail."""


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
send_bytes = Connection._send_bytes  # type: ignore[attr-defined] # of the standard library
poisoned = False


def breaking_batch(*arguments: Any, **options: Any) -> Tensor:
    global poisoned  # noqa: PLW0603 of the process, as a CUDA error is
    if poisoned or taken("poison"):
        poisoned = True
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered (injected)")
    if taken("stop"):
        os.kill(os.getpid(), signal.SIGSTOP)
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
    if job.loss == ALWAYS_FAILS:
        raise RuntimeError("injected for good")
    return train_fold(job, spec, *arguments, **options)


def breaking_append(self: Ledger, records: Iterable[Record]) -> None:
    records = list(records)
    if records and taken("ledger"):
        line = to_line(records[0]).encode()
        self._file.write(line[: len(line) // 2])
        self._file.flush()
        raise OSError(errno.ENOSPC, "injected")
    append(self, records)


def breaking_send(self: Any, content: Any) -> None:
    if multiprocessing.parent_process() is not None and len(content) > 500 and taken("sending"):
        self._send(struct.pack("!i", len(content)) + bytes(content[: len(content) // 2]))
        os.kill(os.getpid(), signal.SIGKILL)
    send_bytes(self, content)


def breaking_write(path: Path, *contents: bytes) -> None:
    if taken("read-only"):
        raise OSError(errno.EROFS, "Read-only file system", str(path))
    write_atomically(path, *contents)


def slow_cache(*arguments: Any, **options: Any) -> Any:
    if taken("building"):
        time.sleep(600)
    return cached(*arguments, **options)


enter = entrance.enter


def breaking_enter(*arguments: Any) -> None:
    """Do what a worker does, in a process that by finding this function has imported what breaks it."""
    enter(*arguments)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    importlib.import_module("tests.harness.engine.faults")  # by the name that the workers know
    main()
else:
    vars(train)["training_batch"] = breaking_batch
    vars(work)["train_fold"] = breaking_fold
    vars(repeat)["write_atomically"] = breaking_write
    vars(comparison)["cached"] = slow_cache
    vars(watchdog)["STOPPED_SECONDS"] = 1.0
    Connection._send_bytes = breaking_send  # type: ignore[attr-defined] # it breaks on purpose
    Ledger.append = breaking_append  # type: ignore[method-assign] # it breaks on purpose
    vars(worker)["enter"] = breaking_enter
