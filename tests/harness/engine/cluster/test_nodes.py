"""A Ray cluster of several nodes on this machine: the table of one process, whatever becomes of the nodes."""

import ast
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster as Nodes
from typer.testing import CliRunner

from mlrc.harness.cli import app
from mlrc.harness.engine.attempts import UnfitError
from mlrc.harness.engine.cluster.connection import Cluster as Gpus
from mlrc.harness.engine.cluster.connection import connected
from mlrc.harness.engine.cluster.jobs import on_cluster
from mlrc.harness.engine.events import Event, Lost, Started, Stopping, Validated
from mlrc.harness.engine.perform import record_of
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.machine.stopping import Stop
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.state import StudyState
from mlrc.harness.study.comparison import Comparison, checked_comparison
from mlrc.harness.study.conduct import Means, conduct
from mlrc.harness.training.fold import Trained
from mlrc.protocols.quick import QUICK
from mlrc.results.records.ledger import Ledger
from mlrc.results.records.record import FoldRecord, RunRecord
from mlrc.results.rendering.report import write_report
from tests.harness.in_this_process import in_this_process, trainings

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Ray, 2.49 for one, leaves its own files and sockets for the garbage collector to close."""

SMALL = QUICK.set(
    [
        *("embedding_size=8", "batch_size=8", "iterations_per_epoch=30", "max_epochs=2", "validation_interval=1"),
        *("folds=2", "trials=2", "startup_trials=1", "repeats=2"),
    ]
)


LONGEST_OF_RAYS_PATHS = len("/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.3")
LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path, by Linux; macOS has 103."""


@pytest.fixture(scope="module")
def rays_folder() -> Iterator[Path]:
    """A folder for all that Ray writes, with a short path, as pytest's own are too long for Ray's sockets.

    It is Ray's default, too: `Nodes` writes the head's address there, whatever folder the head is given.
    """
    short = len(tempfile.gettempdir()) + len("/ray12345678") + LONGEST_OF_RAYS_PATHS < LONGEST_SOCKET - 4
    with pytest.MonkeyPatch.context() as patch:
        folder = Path(tempfile.mkdtemp(prefix="ray", dir=None if short else "/tmp"))  # noqa: S108 made under a new name
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def nodes(rays_folder: Path) -> Iterator[Nodes]:
    """A head without processors and two nodes with one each."""
    cluster = Nodes(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "_system_config": {
                "health_check_initial_delay_ms": 0,
                "health_check_period_ms": 1000,
                "health_check_failure_threshold": 2,
            },
        },
    )
    cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    assert (rays_folder / "ray" / "ray_current_cluster").is_file()  # and nowhere else
    yield cluster
    cluster.shutdown()  # type: ignore[no-untyped-call] # of Ray
    gc.collect()  # so that what Ray left is told here, and not in the next test of this process


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    root = tmp_path_factory.mktemp("root")
    return checked_comparison(dataset="glyphs", losses=["contrastive"], protocol=SMALL, root=root, device="cpu")


class Listener:
    """Does something at events, and remembers them."""

    def __init__(self, at: Callable[[Event], None] = lambda event: None) -> None:
        self._at = at
        self.events: list[Event] = []

    def told(self, event: Event) -> None:
        self.events.append(event)
        self._at(event)

    def recorded(self, state: StudyState, record: FoldRecord | RunRecord) -> None:
        pass


def _kinds(listener: Listener) -> set[type[Event]]:
    return {type(event) for event in listener.events}


def _leaderboard(runs: Path) -> bytes:
    return next(path for path in write_report(runs, runs) if path.name == "leaderboard.csv").read_bytes()


def _conduct(comparison: Comparison, runs: Path, means: Means) -> int:
    with Ledger(runs) as ledger:
        return conduct(comparison, ledger, means, "final").left


def test_a_study_that_loses_a_node_and_is_stopped_gives_the_bytes_of_one_process(
    nodes: Nodes, comparison: Comparison, tmp_path: Path
) -> None:
    stop = Stop()

    def break_things(event: Event) -> None:
        if isinstance(event, Started) and event.job.stage == "search" and len(nodes.worker_nodes) == 2:
            (node,) = [node for node in nodes.worker_nodes if event.place.endswith(node.node_id[:8])]
            nodes.remove_node(node, allow_graceful=False)
        elif isinstance(event, Validated) and event.job.stage == "final" and not _kinds(listener) & {Stopping}:
            stop.signal = signal.SIGTERM

    listener = Listener(break_things)
    with connected(nodes.address, "auto") as cluster:
        means = Means(workers=2, elsewhere=partial(on_cluster, cluster), stop=stop, listeners=(listener,))
        left = _conduct(comparison, tmp_path / "ray", means)
        assert left > 0
        stop.signal = None
        assert _conduct(comparison, tmp_path / "ray", means) == 0
    _conduct(comparison, tmp_path / "here", Means(workers=1, elsewhere=in_this_process))
    assert _leaderboard(tmp_path / "ray") == _leaderboard(tmp_path / "here")
    assert _kinds(listener) == {Started, Validated, Lost, Stopping}


def test_heads_on_nodes_read_the_features_that_the_driver_made_and_give_the_bytes_of_one_process(
    nodes: Nodes, tmp_path: Path
) -> None:
    heads = SMALL.set(["trains=head", "max_epochs=1", "repeats=1"])
    root, losses = tmp_path / "root", ["contrastive", "proxy_anchor"]
    cache = root / "cache"
    compared = checked_comparison(dataset="glyphs", losses=losses, protocol=heads, root=root, device="cpu", cache=cache)
    (made,) = cache.glob("features-*")
    identity = made.stat().st_ino, made.stat().st_mtime_ns
    with connected(nodes.address, "cpu") as cluster:
        means = Means(workers=2, elsewhere=partial(on_cluster, cluster))
        assert _conduct(compared, tmp_path / "ray", means) == 0
    assert list(cache.glob("features-*")) == [made]
    assert (made.stat().st_ino, made.stat().st_mtime_ns) == identity
    _conduct(compared, tmp_path / "here", Means(workers=1, elsewhere=in_this_process))
    assert _leaderboard(tmp_path / "ray") == _leaderboard(tmp_path / "here")


def test_a_stopped_training_leaves_a_checkpoint_where_the_runs_folder_is_shared_and_goes_on_from_it(
    nodes: Nodes, comparison: Comparison, tmp_path: Path
) -> None:
    stop, told = Stop(), []
    protocol = SMALL.set(["iterations_per_epoch=50", "max_epochs=20"])
    job = replace(comparison.studies[1], protocol=protocol).jobs("search", 0, {"pos_margin": 0.0, "neg_margin": 0.5})[0]

    def stop_once(event: Event) -> None:
        told.append(event)
        if isinstance(event, Validated) and event.epoch == 1:
            stop.signal = signal.SIGTERM

    with Ledger(tmp_path), connected(nodes.address, "cpu", workers=1) as cluster:
        place = replace(comparison.workplace, runs=tmp_path)
        assert not list(on_cluster(cluster, place, stop_once, stop)([job]))
        assert (tmp_path / "checkpoints" / f"{job.key}.pt").exists()
        stop.signal = None
        again: list[Event] = []
        (outcome,) = trainings(on_cluster(cluster, place, again.append, stop)([job]))
    assert outcome.record.outcome == "done"
    assert outcome.record.environment.host == os.uname().nodename
    epochs = [event.epoch for event in (*told, *again) if isinstance(event, Validated)]
    assert epochs == sorted(set(epochs))


def test_a_node_without_the_dataset_or_with_other_packages_ends_the_run_with_a_sentence(
    nodes: Nodes, comparison: Comparison, tmp_path: Path
) -> None:
    (job, *_) = comparison.studies[0].jobs("untrained", 0, {})
    nowhere = replace(comparison.workplace, roots={"glyphs": ("glyphs", tmp_path / "nowhere")})
    other = replace(
        comparison.workplace, environment=replace(comparison.workplace.environment, versions={"torch": "0"})
    )
    for unfit, sentence in (
        (nowhere, r"must find the dataset .* has no .*/nowhere"),
        (other, "packages, but .* for 0"),
    ):
        with connected(nodes.address, "cpu") as cluster:
            for _ in range(2):  # also once all nodes are left out
                with pytest.raises(UnfitError, match=sentence):
                    list(on_cluster(cluster, unfit, lambda event: None)([job]))


def _see(job: FoldJob, workplace: Workplace, mailbox: object, embeddings: object) -> FoldOutcome:
    """Say which process does a job, and which GPU Ray gave it and shows it."""
    seen = (os.getpid(), ray.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    time.sleep(0.3)
    return FoldOutcome(job, record_of(job, Trained("done", None, (), None, None, repr(seen)), workplace, 0.0), None)


def test_on_a_node_of_two_gpus_each_job_sees_the_one_that_ray_gave_it_and_no_process_two(
    nodes: Nodes, comparison: Comparison
) -> None:
    node = nodes.add_node(num_cpus=2, num_gpus=2)
    study = comparison.studies[1]
    jobs = [job for number in range(4) for job in study.jobs("search", number, {"pos_margin": 0.0, "neg_margin": 0.5})]
    try:
        with connected(nodes.address, "cpu"):
            cluster = Gpus("cuda", function=_see)
            assert cluster.places() == 2
            outcomes = trainings(on_cluster(cluster, comparison.workplace, lambda event: None)(jobs))
    finally:
        nodes.remove_node(node)
    of_process: dict[int, set[str]] = {}
    for outcome in outcomes:
        pid, (given,), visible = ast.literal_eval(outcome.record.message)
        assert str(given) == visible
        of_process.setdefault(pid, set()).add(visible)
    assert len(outcomes) == len(jobs)
    assert {len(gpus) for gpus in of_process.values()} == {1}
    assert set.union(*of_process.values()) == {"0", "1"}


@pytest.mark.parametrize(("address", "device"), [("127.0.0.1:1", "cpu"), ("nonsense:x", "cpu"), ("auto", "cuda:1")])
def test_a_cluster_that_is_not_there_or_has_no_such_device_is_one_sentence(address: str, device: str) -> None:
    rule = f"cluster must be running at {address}, but" if device == "cpu" else "--device must be auto, cpu or cuda"
    with pytest.raises(ValueError, match=rule):
        connected(address, device).__enter__()


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mlrc.harness.engine.cluster.connection")
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["search", "--dataset", "glyphs", "--losses", "contrastive", "--protocol", "quick", "--ray", "auto"]
    result = CliRunner().invoke(app, [*words, "--root", str(tmp_path), "--runs", str(tmp_path), "--no-cache"])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "Error: --ray needs the package ray, which is not installed; install it with: pip install 'mlrc[ray]'"
    )
