"""A Ray cluster: how it is found, what it has, and how a job is handed to it.

Ray places the trainings, shares the GPUs, notices what dies and brings the outcomes here. A node must find the dataset,
the weights and the packages that the driver has, or it is left out; where it finds the runs folder too, trainings go on
from their checkpoints. A process that was given a GPU does one job: Ray would give it another GPU with the next one.
"""

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mlrc.harness.engine.attempts import UnfitError
from mlrc.harness.engine.cluster.node import Begun, Mailbox, Unfit, do_here
from mlrc.harness.engine.events import Told
from mlrc.harness.engine.repeat import EmbeddingFiles
from mlrc.harness.engine.workplace import JobOutcome, Workplace
from mlrc.harness.machine.determinism import CUBLAS_WORKSPACE, DETERMINISTIC_WORKSPACES
from mlrc.harness.plan.job import Job, ScoreJob

Kind = Literal["cpu", "cuda"]
SECONDS_TO_CONNECT = 10.0
ENVIRONMENT = {CUBLAS_WORKSPACE: DETERMINISTIC_WORKSPACES[0]}
"""Of every process that Ray starts for the jobs."""


class Cluster:
    """A connection to a Ray cluster.

    Args:
        kind: of device to train on, `device` by name: Ray shows a training none but the GPU it may use.
        per_device: how many trainings share a GPU.
        workers: most trainings at once, and so many an autoscaler is asked for; `None` for as many as the cluster
            can hold at the moment.
        function: that a process on a node runs.
    """

    def __init__(
        self,
        kind: Kind,
        per_device: int = 1,
        workers: int | None = None,
        function: Callable[..., JobOutcome | Unfit | None] = do_here,
    ) -> None:
        self.device = "cuda:0" if kind == "cuda" else "cpu"
        self.share = 1.0 / per_device if kind == "cuda" else 1.0
        self._kind = kind
        self._workers = workers
        self._unfit: dict[str, str] = {}
        self._task: Any = ray.remote(max_calls=1 if kind == "cuda" else 0, max_retries=0)(function)
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
        there = [resources for node, resources in _nodes() if node not in self._unfit]
        if self._kind == "cpu":
            return sum(int(one.get("CPU", 0)) for one in there)
        return sum(min(int(one.get("CPU", 0)), int(one.get("GPU", 0) / self.share + 1e-6)) for one in there)

    def begin(self, job: Job, workplace: Workplace, *, alone: bool) -> Any:
        """Hand a job to Ray, `alone` on a whole GPU or node, and give what Ray will have of it.

        Raises:
            DamagedError: the embeddings that are to be scored cannot be trusted.
        """
        processors = [int(one.get("CPU", 0)) for node, one in _nodes() if node not in self._unfit and one.get("CPU", 0)]
        whole = 1.0 if self._kind == "cuda" else float(min(processors, default=1))
        scoring = isinstance(job, ScoreJob)
        options: dict[str, Any] = {
            "num_cpus": whole if alone and self._kind == "cpu" else 1,
            "num_gpus": (whole if alone else self.share) if self._kind == "cuda" and not scoring else 0,
            "name": f"{job.dataset} {job.loss} {job.stage} {job.number}"
            + ("" if scoring else f" fold {job.fold}")
            + (f" search {job.search}" if job.search else ""),
        }
        if self._unfit:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._unfit))})"}
        embeddings = None
        if isinstance(job, ScoreJob):
            files = EmbeddingFiles(Path(job.embeddings))  # the nodes may not see them
            embeddings = [files.load(key) for key in job.fold_keys]
        return self._task.options(**options).remote(job, workplace, self._mailbox, embeddings)

    def leave_out(self, unfit: Unfit) -> None:
        """Give no job to a node any more."""
        self._unfit[unfit.node] = unfit.sentence

    def require_a_node(self) -> None:
        """Raise `UnfitError`, with what the last of them lacks, once all nodes that could do a job are left out."""
        able = [node for node, one in _nodes() if one.get("CPU", 0) and (self._kind == "cpu" or one.get("GPU", 0))]
        if self._unfit and not set(able) - self._unfit.keys():
            raise UnfitError(list(self._unfit.values())[-1])

    def at_address(self, address: str) -> list[str]:
        """Give the nodes at an address."""
        return [node["NodeID"] for node in _alive() if node["NodeManagerAddress"] == address]

    def lost(self, node: str) -> bool:
        """Say whether a node is dead."""
        return bool(node) and node not in {one["NodeID"] for one in _alive()}

    def ended(self, references: Iterable[Any], timeout: float) -> list[Any]:
        """Wait for the first of the jobs to end, or for `timeout` seconds."""
        ready, _ = ray.wait(list(references), timeout=timeout)
        return ready

    def outcome(self, reference: Any) -> JobOutcome | Unfit | None:
        """Give what came of a job that has ended; `None` if it was stopped.

        Raises:
            RayError: its process, its node or Ray broke.
        """
        outcome: JobOutcome | Unfit | None = ray.get(reference)
        return outcome

    def cancel(self, reference: Any, *, force: bool) -> None:
        """Take a job back, with `force` also from a process that is at work on it."""
        ray.cancel(reference, force=force)

    def messages(self, *, stopping: bool) -> list[tuple[str, Begun | Told]]:
        """Fetch what the jobs told."""
        fetched: list[tuple[str, Begun | Told]] = ray.get(self._mailbox.fetch.remote(stopping))
        return fetched


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
        has_gpus = any(one.get("GPU", 0) > 0 for _, one in _nodes())
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


def _alive() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call] # of Ray
    return [node for node in nodes if node["Alive"]]


def _nodes() -> list[tuple[str, dict[str, float]]]:
    """Give each living node with what it has."""
    return [(node["NodeID"], node["Resources"]) for node in _alive()]
