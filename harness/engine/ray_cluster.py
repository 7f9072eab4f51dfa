"""The jobs on the machines of a Ray cluster, under the contract of `execute`; the driver stays the only writer.

Ray places the trainings, shares the GPUs, notices what dies and brings the outcomes here. How often a job is worth
another attempt is decided by the rules for the processes of one machine. A node must find the dataset, the weights and
the packages that the driver has; where it finds the runs folder too, trainings go on from their checkpoints.
"""

import errno
import logging
import signal
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError, TaskCancelledError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mlrc.harness.engine.attempts import Trouble, failed, next_job
from mlrc.harness.engine.events import Lost, OnEvent, Started, Stopping, Told, Validated
from mlrc.harness.engine.execute import Execute, UnfitError, work_off
from mlrc.harness.engine.ray_node import Begun, Mailbox, do
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.machine.determinism import CUBLAS_WORKSPACE, DETERMINISTIC_WORKSPACES
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import FoldJob

Kind = Literal["cpu", "cuda"]
SECONDS_TO_CONNECT = 10.0
ENVIRONMENT = {CUBLAS_WORKSPACE: DETERMINISTIC_WORKSPACES[0]}
"""Of every process that Ray starts for the jobs."""


@dataclass
class _Attempt:
    job: FoldJob
    alone: bool
    began_at: float | None = None


class Cluster:
    """A connection to a Ray cluster.

    Args:
        kind: of device to train on, `device` by name: Ray shows a training none but the GPU it may use.
        per_device: how many trainings share a GPU.
        workers: most trainings at once, and so many an autoscaler is asked for; `None` for as many as the cluster
            can hold at the moment.
    """

    def __init__(self, kind: Kind, per_device: int = 1, workers: int | None = None) -> None:
        self.device = "cuda:0" if kind == "cuda" else "cpu"
        self.share = 1.0 / per_device if kind == "cuda" else 1.0
        self._kind = kind
        self._workers = workers
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._mailbox: Any = (
            ray.remote(Mailbox)
            .options(num_cpus=0, scheduling_strategy=here, max_restarts=-1, max_task_retries=-1)
            .remote()
        )

    def places(self) -> int:
        """Say how many trainings may be at work now."""
        if self._workers is not None:
            return self._workers
        there = _resources()
        processors = int(there.get("CPU", 0))
        if self._kind == "cpu":
            return processors
        return min(processors, int(there.get("GPU", 0) / self.share + 1e-6))

    def begin(self, job: FoldJob, workplace: Workplace, *, alone: bool) -> Any:
        """Hand a job to Ray, `alone` on a whole GPU or node, and give what Ray will have of it."""
        whole = 1.0 if self._kind == "cuda" else float(min(_processors(), default=1))
        task: Any = ray.remote(do)
        options = {
            "num_cpus": whole if alone and self._kind == "cpu" else 1,
            "num_gpus": (whole if alone else self.share) if self._kind == "cuda" else 0,
            "max_retries": 0,
            "name": f"{job.dataset} {job.loss} {job.stage} {job.number} fold {job.fold}",
        }
        return task.options(**options).remote(job, workplace, self._mailbox)

    def ended(self, references: Iterable[Any], timeout: float) -> list[Any]:
        """Wait for the first of the jobs to end, or for `timeout` seconds."""
        ready, _ = ray.wait(list(references), timeout=timeout)
        return ready

    def outcome(self, reference: Any) -> FoldOutcome | None:
        """Give what came of a job that has ended; `None` if it was stopped.

        Raises:
            RayError: its process, its node or Ray broke.
        """
        outcome: FoldOutcome | None = ray.get(reference)
        return outcome

    def cancel(self, reference: Any, *, force: bool) -> None:
        """Take a job back, with `force` also from a process that is at work on it."""
        ray.cancel(reference, force=force)

    def messages(self, *, stopping: bool) -> list[tuple[str, Begun | Told]]:
        """Fetch what the jobs told."""
        fetched: list[tuple[str, Begun | Told]] = ray.get(self._mailbox.fetch.remote(stopping))
        return fetched


def on_cluster(cluster: Cluster, workplace: Workplace, on_event: OnEvent, stop: Stop | None = None) -> Execute:
    """Do jobs on a cluster; the paths of the workplace hold on every node, and its device is the cluster's."""
    asked = stop or Stop()
    place = replace(_absolute(workplace), device=cluster.device, share=cluster.share)

    return lambda jobs: work_off(jobs, _Gang(cluster, place, on_event), asked)


class _Gang:
    """The jobs that Ray has, and what becomes of them."""

    def __init__(self, cluster: Cluster, workplace: Workplace, on_event: OnEvent) -> None:
        self._cluster = cluster
        self._workplace = workplace
        self._on_event = on_event
        self._at_work: dict[Any, _Attempt] = {}
        self._again: list[_Attempt] = []
        self._started: set[str] = set()
        self._troubles: defaultdict[str, Trouble] = defaultdict(Trouble)
        self._stopping = False

    @property
    def busy(self) -> int:
        return len(self._at_work)

    def employ(self, jobs: Iterable[FoldJob]) -> None:
        places = max(1, self._cluster.places())
        while self.busy < places:
            if any(attempt.alone and attempt.began_at is None for attempt in self._at_work.values()):
                return  # others would take what it waits for
            if self._again:
                attempt = self._again.pop(0)
            elif job := next_job(jobs, self._started):
                attempt = _Attempt(job, alone=False)
            else:
                return
            share = 1.0 if attempt.alone else self._workplace.share
            workplace = replace(self._workplace, share=share)
            self._at_work[self._cluster.begin(attempt.job, workplace, alone=attempt.alone)] = attempt

    def hear(self, timeout: float) -> Iterator[FoldOutcome]:
        """Wait for an outcome, or for `timeout` seconds; tell what was told meanwhile.

        Raises:
            OSError: a node found its disk full.
            UnfitError: a node lacks what the driver has.
        """
        ready = self._cluster.ended(self._at_work, timeout)
        by_key = {attempt.job.key: attempt for attempt in self._at_work.values()}
        for key, message in self._cluster.messages(stopping=self._stopping):
            if key in by_key:
                self._told(by_key[key], message)
        for reference in ready:
            attempt = self._at_work.pop(reference)
            try:
                outcome = self._cluster.outcome(reference)
            except RayError as error:
                yield from self._broke(attempt, error)
                continue
            if outcome is None:
                self._started.discard(attempt.job.key)
            else:
                yield from self._came_to_an_end(attempt, outcome)

    def stop(self, reason: str) -> None:
        """Have the jobs at work leave a checkpoint and end, and those in Ray's queue not begin."""
        self._stopping = True
        begun = [attempt for attempt in self._at_work.values() if attempt.began_at is not None]
        self._on_event(Stopping(reason, len(begun)))
        for reference, attempt in self._at_work.items():
            if attempt.began_at is None:
                self._cluster.cancel(reference, force=False)

    def dismiss(self) -> None:
        """End what is at work at once."""
        for reference in self._at_work:
            self._cluster.cancel(reference, force=True)

    def _told(self, attempt: _Attempt, message: Begun | Told) -> None:
        trouble = self._troubles[attempt.job.key]
        if isinstance(message, Begun):
            attempt.began_at = time.monotonic()
            self._on_event(Started(attempt.job, message.place, trouble.attempt))
        else:
            trouble.got_to(message.epoch)
            self._on_event(Validated(attempt.job, *message))

    def _came_to_an_end(self, attempt: _Attempt, outcome: FoldOutcome) -> Iterator[FoldOutcome]:
        if outcome.shortage == "disk":
            raise OSError(errno.ENOSPC, outcome.record.message)
        trouble = self._troubles[attempt.job.key]
        if outcome.shortage == "memory" and trouble.out_of_memory():
            self._once_more(attempt, outcome.record.message, alone=True)
        else:
            yield outcome

    def _broke(self, attempt: _Attempt, error: RayError) -> Iterator[FoldOutcome]:
        cause = error.cause if isinstance(error, RayTaskError) else error
        if isinstance(cause, UnfitError):
            raise cause from None
        if isinstance(cause, TaskCancelledError):
            return
        if isinstance(error, RayTaskError):
            raise UnfitError(f"Every node of the Ray cluster must be able to do a job, but one says: {cause!r}.")
        trouble = self._troubles[attempt.job.key]
        said = str(error).split(". ", 1)[0]
        if isinstance(error, OutOfMemoryError):
            worth_another, message = trouble.out_of_memory(), f"out of memory: {said}"
        else:
            spent = 0.0 if attempt.began_at is None else time.monotonic() - attempt.began_at
            worth_another = trouble.died(spent)
            message = f"its process died {trouble.deaths} times, at last with {type(error).__name__}: {said}"
        if worth_another:
            self._once_more(attempt, message, alone=isinstance(error, OutOfMemoryError))
        else:
            yield failed(attempt.job, self._workplace, trouble, message)

    def _once_more(self, attempt: _Attempt, message: str, *, alone: bool) -> None:
        self._again.append(_Attempt(attempt.job, alone))
        self._on_event(Lost(attempt.job, message))


@contextmanager
def connected(
    address: str, device: str, *, per_device: int | None = None, workers: int | None = None
) -> Iterator[Cluster]:
    """Connect to a running cluster for as long as the `with` block lasts; `auto` finds the one of this machine.

    Args:
        address: `auto`, HOST:PORT or ray://HOST:PORT.
        device: `cuda`, `cpu`, or `auto` for GPUs where the cluster has any.
        per_device: as for `Cluster`.
        workers: as for `Cluster`.

    Raises:
        ValueError: there is no cluster, or it has no such device.
    """
    if device not in {"auto", "cpu", "cuda"}:
        raise ValueError(f"With --ray, --device must be auto, cpu or cuda, as Ray chooses which, but got {device!r}.")
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": ENVIRONMENT})
    except (OSError, RuntimeError, ValueError) as error:
        said = str(error).strip().split("\n", 1)[0]
        raise ValueError(
            f"A Ray cluster must be running at {address}, but there is none ({said}); start one with: ray start --head"
        ) from error
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)  # Ray's own would end the driver without a checkpoint
    try:
        has_gpus = _resources().get("GPU", 0) > 0
        if device == "cuda" and not has_gpus and workers is None:
            raise ValueError(
                "With --ray and --device cuda the cluster must have a GPU, but it has none; give --workers if it grows."
            )
        kind: Kind = "cuda" if device == "cuda" or (device == "auto" and has_gpus) else "cpu"
        yield Cluster(kind, per_device or 1, workers)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Find out whether anyone listens at an address; Ray itself would wait there for very long."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT).close()


def _absolute(workplace: Workplace) -> Workplace:
    def opened_by(name: str) -> str:
        plugin, colon, path = name.partition(":")
        return f"{plugin}:{Path(path).expanduser().resolve()}" if colon else name

    return replace(
        workplace,
        roots={key: (opened_by(name), root.resolve()) for key, (name, root) in workplace.roots.items()},
        weights=workplace.weights.resolve() if workplace.weights else None,
        cache=workplace.cache.resolve() if workplace.cache else None,
        runs=workplace.runs.resolve() if workplace.runs else None,
    )


def _resources() -> Mapping[str, float]:
    """Give what all nodes have together."""
    found: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call] # of Ray
    return found


def _processors() -> list[int]:
    """Give the number of processors of each node that has any."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call] # of Ray
    counts = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    return [count for count in counts if count]
