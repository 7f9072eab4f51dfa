"""A Ray cluster of several nodes on this machine: the table of one process, whatever becomes of the nodes."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster as Nodes
from typer.testing import CliRunner

from harness.cli import app
from harness.comparison import Comparison, prepare
from harness.conduct import Means, conduct
from harness.drive import StudyState
from harness.events import Event, Lost, Started, Stopping, Validated
from harness.execute import UnfitError
from harness.ray_cluster import connected, on_cluster
from harness.stopping import Stop
from protocols.quick import QUICK
from results.ledger import Ledger
from results.record import FoldRecord, RunRecord
from results.report import write_report
from tests.harness.in_this_process import in_this_process

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
    return prepare(dataset="glyphs", losses=["contrastive"], protocol=SMALL, root=root, device="cpu")


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
        return conduct(comparison, ledger, means, "final")


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
        (outcome,) = on_cluster(cluster, place, again.append, stop)([job])
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
    with connected(nodes.address, "cpu") as cluster:
        with pytest.raises(UnfitError, match=r"must find the dataset .* has no .*/nowhere"):
            list(on_cluster(cluster, nowhere, lambda event: None)([job]))
        with pytest.raises(UnfitError, match=r"must have the driver's packages, but .* for 0"):
            list(on_cluster(cluster, other, lambda event: None)([job]))


@pytest.mark.parametrize(("address", "device"), [("127.0.0.1:1", "cpu"), ("nonsense:x", "cpu"), ("auto", "cuda:1")])
def test_a_cluster_that_is_not_there_or_has_no_such_device_is_one_sentence(address: str, device: str) -> None:
    rule = f"cluster must be running at {address}, but" if device == "cpu" else "--device must be auto, cpu or cuda"
    with pytest.raises(ValueError, match=rule):
        connected(address, device).__enter__()


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "harness.ray_cluster")
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["search", "--dataset", "glyphs", "--losses", "contrastive", "--protocol", "quick", "--ray", "auto"]
    result = CliRunner().invoke(app, [*words, "--root", str(tmp_path), "--runs", str(tmp_path), "--no-cache"])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "Error: --ray needs the package ray, which is not installed; install it with: pip install 'mlrc[ray]'"
    )
