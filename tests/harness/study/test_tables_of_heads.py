"""Tables of heads from end to end: photographs against their vectors, stored losses, drift, other protocols, sweeps."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from mlrc.harness.cli import app
from mlrc.harness.guard import verify
from mlrc.harness.study import conduct
from mlrc.harness.trunks.small_conv import TRUNK
from mlrc.results.records.ledger import LEDGER, read
from tests.harness.in_this_process import in_this_process

CLASSES, PER_CLASS, SIDE = 16, 6, 24
INPUT = ("--set", "resize=20", "--set", "crop=16")
SMALL = ("batch_size=8", "embedding_size=8", "max_epochs=2", "iterations_per_epoch=5", "validation_interval=1")
BUDGET = ("trials=2", "startup_trials=1", "repeats=2")

Run = Callable[..., Path]


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(1)
    torch.save(TRUNK.build(1).state_dict(), tmp_path / "small_conv.pth")
    return str(tmp_path / "small_conv.pth")


@pytest.fixture
def photographs(tmp_path: Path) -> str:
    """A folder of images, with a split of its own that is not the first half against the second."""
    generator = np.random.default_rng(4)
    lines = ["path,label,split"]
    for number, base in enumerate(generator.integers(0, 256, (CLASSES, SIDE, SIDE))):
        (tmp_path / "birds" / f"c{number}").mkdir(parents=True)
        for copy in range(PER_CLASS):
            noisy = np.clip(base + generator.integers(-60, 60, base.shape), 0, 255).astype(np.uint8)
            path = f"c{number}/{copy}.png"
            Image.fromarray(noisy).save(tmp_path / "birds" / path)
            lines.append(f"{path},c{number},{'test' if number % 2 else 'trainval'}")
    (tmp_path / "birds" / "manifest.csv").write_text("\n".join(lines), encoding="utf-8")
    return f"folder:{tmp_path / 'birds'}"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Give a function that carries a command out in this process and gives its exit status."""
    monkeypatch.setattr(conduct, "in_processes", lambda workplace, _, told, **rest: in_this_process(workplace, told))

    def carried_out(*words: str) -> int:
        found = CliRunner().invoke(app, words)
        assert found.exit_code != 2, found.output
        assert not found.exception or isinstance(found.exception, SystemExit), found.output
        return found.exit_code

    return carried_out


@pytest.fixture
def run(tmp_path: Path, command: Callable[..., int]) -> Run:
    def done(runs: str, dataset: str, *words: str, losses: str = "contrastive,proxy_anchor") -> Path:
        root, folder = tmp_path / f"root of {runs}", tmp_path / runs
        changes = [word for one in (*SMALL, *BUDGET) for word in ("--set", one)]
        protocol = ("--protocol", "reality_check_frozen", *changes, "--device", "cpu", "--losses", losses)
        paths = ("--root", str(root), "--runs", str(folder))
        assert command("run", "--dataset", dataset, *protocol, *words, *paths) == 0
        return folder

    return done


def _report(runs: Path) -> dict[str, bytes]:
    """Give what a report wrote, but for what tells hours and processes."""
    told = {"cost.csv", "report.html", "status.json", "log.jsonl", LEDGER}
    files = [path for folder in (runs, runs / "plots", runs / "per_class") for path in folder.iterdir()]
    return {path.name: path.read_bytes() for path in files if path.is_file() and path.name not in told}


@pytest.fixture
def written(tmp_path: Path, photographs: str, weights: str, command: Callable[..., int]) -> str:
    """The vectors of the photographs, as `mlrc embed` writes them, which are then all there is."""
    network = ("--protocol", "reality_check_frozen", "--trunk", "small_conv", "--weights", weights, *INPUT)
    to = tmp_path / "elsewhere" / "birds.safetensors"
    to.parent.mkdir()
    assert (
        command("embed", photographs, "--out", str(to), *network, "--root", str(tmp_path / "root"), "--device", "cpu")
        == 0
    )
    return f"features:{to}"


def test_from_photographs_and_from_the_vectors_that_embed_wrote_comes_the_same_table(
    tmp_path: Path, photographs: str, weights: str, written: str, run: Run
) -> None:
    of_images = run("photographs", photographs, "--trunk", "small_conv", "--weights", weights, *INPUT)
    shutil.rmtree(tmp_path / "birds")
    of_vectors = run("vectors", written)
    assert _report(of_images).keys() >= {"table.md", "leaderboard.csv", "trials.csv", "comparisons.csv"}
    assert _report(of_vectors) == _report(of_images)
    ledgers = [read(folder / LEDGER) for folder in (of_images, of_vectors)]
    assert ledgers[0].folds.keys() == ledgers[1].folds.keys()
    assert len(ledgers[0].runs) == 2 + 2 * 2


def test_stored_heads_are_ranked_with_new_ones_and_are_the_rows_of_one_run_which_drift_calls_the_same(
    tmp_path: Path, written: str, run: Run, command: Callable[..., int]
) -> None:
    both = run("both", written)
    stored = run("stored", written, losses="contrastive")
    against = run("against", written, "--against", str(stored), losses="proxy_anchor")
    rows = [(folder / "leaderboard.csv").read_text().splitlines() for folder in (both, against)]
    assert rows[1] == rows[0]
    assert {name for line in rows[0][1:] for name in line.split(",")} >= {
        "untrained",
        "pca",
        "contrastive",
        "proxy_anchor",
    }
    fail = ("--fail-on", "moved")
    assert command("drift", str(both), str(stored), *fail) == 4  # of which Proxy-Anchor is not there
    assert command("drift", str(stored), str(tmp_path / "stored" / "leaderboard.csv"), *fail) == 0


@pytest.mark.parametrize(
    ("protocol", "loss", "warm_up"),
    [
        ("traditional_mpa", "multi_proxy_anchor", ["warm_up=1"]),
        ("traditional_mean_field", "mean_field_contrastive", []),
        ("traditional_proxy_nca_pp", "proxy_nca_pp", ["warm_up=1"]),
    ],
)
def test_a_traditional_protocol_trains_heads(
    tmp_path: Path, written: str, command: Callable[..., int], protocol: str, loss: str, warm_up: list[str]
) -> None:
    heads = ("trains=head", "trunk=none", "weights=", "frozen_batch_norm=true", "batch_size=8", "embedding_size=8")
    changes = [word for one in (*heads, *warm_up, "max_epochs=3", "repeats=2") for word in ("--set", one)]
    words = ("--dataset", written, "--protocol", protocol, *changes, "--losses", loss, "--device", "cpu")
    assert command("run", *words, "--root", str(tmp_path / "root"), "--runs", str(tmp_path / "runs")) == 0
    records = read(tmp_path / "runs" / LEDGER)
    assert [run.loss for run in records.runs.values()].count(loss) == 2
    assert {fold.outcome for fold in records.folds.values()} == {"done"}
    assert f"| {loss}" in (tmp_path / "runs" / "table.md").read_text(encoding="utf-8")


def test_a_sweep_of_heads_has_one_study_per_point_on_features_of_their_own(
    tmp_path: Path, photographs: str, weights: str, command: Callable[..., int]
) -> None:
    changes = [word for one in SMALL for word in ("--set", one)]
    vary = ("--vary", "embedding_size=4,8", "--vary", "views=0,1", "--repeats", "1")
    network = ("--trunk", "small_conv", "--weights", weights, *INPUT)
    words = ("--dataset", photographs, "--loss", "contrastive", "--protocol", "reality_check_frozen", *network, *vary)
    paths = ("--root", str(tmp_path / "root"), "--runs", str(tmp_path / "runs"), "--device", "cpu")
    assert command("sweep", *words, *changes, *paths) == 0
    assert len(read(tmp_path / "runs" / LEDGER).runs) == 4
    assert len(list((tmp_path / "root" / "cache").glob("features-*"))) == 2


def test_heads_of_evidence_are_trained_again_from_their_images_and_found_the_same(
    tmp_path: Path, photographs: str, weights: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = run("evidence", photographs, "--trunk", "small_conv", "--weights", weights, *INPUT, losses="contrastive")
    monkeypatch.setattr(verify, "in_processes", lambda workplace, _, told: in_this_process(workplace, told))
    (chosen,) = verify.choose([(runs, read(runs / LEDGER))], 3, seed=1)
    tasks = verify.prepared(chosen, tmp_path / "birds", device="cpu", weights=Path(weights), cache=tmp_path / "cache")
    found = verify.retrained(chosen, tasks, by="a test", workers=1)
    assert [(one.verdict, one.difference) for one in found] == [("identical", "0")] * 3


def test_what_heads_on_anyone_s_vectors_cost_is_planned(tmp_path: Path, command: Callable[..., int]) -> None:
    rows = np.random.default_rng(2).normal(size=(96, 24))
    np.savez(tmp_path / "own.npz", embeddings=rows, labels=np.repeat(np.arange(16), 6))
    words = ("--protocol", "reality_check_frozen", "--set", "batch_size=8", "--losses", "contrastive")
    paths = ("--root", str(tmp_path / "root"), "--device", "cpu", "--workers", "1")
    assert command("plan", "--dataset", f"features:{tmp_path / 'own.npz'}", *words, *paths) == 0
