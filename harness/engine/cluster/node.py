"""A job on a node of a Ray cluster: what it must find there, what it tells the driver, when it stops."""

import math
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ray
import torch
from numpy.typing import NDArray

from mlrc.harness.engine.attempts import UnfitError
from mlrc.harness.engine.events import Told
from mlrc.harness.engine.identity import changed
from mlrc.harness.engine.perform import do, score
from mlrc.harness.engine.workplace import JobOutcome, Workplace
from mlrc.harness.machine import environment
from mlrc.harness.machine.determinism import prepare_process
from mlrc.harness.plan.job import Job, ScoreJob
from mlrc.harness.training.fold import StoppedError
from mlrc.results.records.ledger import LEDGER

SECONDS_BETWEEN_QUESTIONS = 1.0
"""At least, between two times that a training asks the driver's mailbox whether to stop."""


class Begun(NamedTuple):
    """A job is at work; first message of each attempt.

    Attributes:
        node: Ray's name of the node.
    """

    place: str
    node: str = ""


class Unfit(NamedTuple):
    """A node that lacks something, and what."""

    node: str
    sentence: str


class Mailbox:
    """An actor beside the driver: keeps what the jobs tell until it is fetched, and tells them when to stop."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, Begun | Told]] = []
        self._stopping = False

    def put(self, key: str, message: Begun | Told) -> None:
        """Take a message of the job `key`."""
        self._messages.append((key, message))

    def stopping(self) -> bool:
        """Say whether the jobs are asked to stop."""
        return self._stopping

    def fetch(self, stopping: bool) -> list[tuple[str, Begun | Told]]:
        """Give the messages since the last time, and take in whether to stop."""
        self._stopping = stopping
        messages, self._messages = self._messages, []
        return messages


def do_here(
    job: Job, workplace: Workplace, mailbox: Any, embeddings: Sequence[NDArray[np.float32]] | None
) -> JobOutcome | Unfit | None:
    """Do one job on a node; `None` if it was asked to stop and has left what it could.

    Args:
        job: to do.
        workplace: as the driver has it.
        mailbox: of the driver.
        embeddings: that are scored, if that is the job.
    """
    prepare_process()
    node = ray.get_runtime_context().get_node_id()
    try:
        require_fit(workplace)
    except UnfitError as error:
        return Unfit(node, str(error))
    if not (workplace.runs and (workplace.runs / LEDGER).exists()):
        workplace = replace(workplace, runs=None)
    last = mailbox.put.remote(job.key, Begun(f"{socket.gethostname()}, Ray's node {node[:8]}", node))
    asked_at = -math.inf

    def told(epoch: int, score: float, loss: float) -> None:
        nonlocal last
        last = mailbox.put.remote(job.key, Told(epoch, score, loss))

    def stop() -> bool:
        nonlocal asked_at
        if time.monotonic() - asked_at < SECONDS_BETWEEN_QUESTIONS:
            return False
        asked_at = time.monotonic()
        return bool(ray.get(mailbox.stopping.remote()))

    try:
        if isinstance(job, ScoreJob):
            return score(job, replace(workplace, device="cpu"), embeddings)  # Ray gave it a core, and no GPU
        return do(job, workplace.found_here(), told, stop)
    except StoppedError:
        return None
    finally:
        ray.get(last)  # so that nobody hears of it after its outcome


def require_fit(workplace: Workplace) -> None:
    """Compare this node with what the driver has.

    Raises:
        UnfitError: the node lacks the dataset, the weights, what a loss's file imports, a plug-in, a package or the
            commit.
    """
    host = socket.gethostname()
    paths = [root if ":" not in name else Path(name.split(":", 1)[1]) for name, root in workplace.roots.values()]
    for path in (*paths, *([workplace.weights] if workplace.weights else [])):
        if not path.exists():
            raise UnfitError(
                f"Every node of the Ray cluster must find the dataset and the weights under the driver's paths, but "
                f"{host} has no {path}; use a shared folder, or copy it to the same place."
            )
    for name in workplace.losses:
        try:
            workplace.loss(name)
        except (ImportError, TypeError) as error:
            raise UnfitError(
                f"Every node of the Ray cluster must be able to run the losses' files, but on {host}: {error}"
            ) from error
    try:
        different = changed(workplace.origins, workplace)
    except (LookupError, ImportError, TypeError) as error:
        raise UnfitError(
            f"Every node of the Ray cluster must have the driver's plug-ins, but on {host}: {error}"
        ) from error
    if different:
        raise UnfitError(
            f"Every node of the Ray cluster must have the driver's plug-ins, but on {host} the {different}; install "
            "the same one there."
        )
    here, driver = environment.current(torch.device("cpu")), workplace.environment
    for package, version in driver.versions.items():
        if here.versions.get(package) != version:
            raise UnfitError(
                f"Every node of the Ray cluster must have the driver's packages, but {host} has {package} "
                f"{here.versions.get(package)} for {version}; install the same one there."
            )
    if environment.differ(here.commit, driver.commit):
        raise UnfitError(
            f"Every node of the Ray cluster must have the driver's code, as its commit is what records carry, but "
            f"{host} has commit {here.commit} for {driver.commit}; check out the same one there."
        )
