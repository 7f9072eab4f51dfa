"""The commands on published results and on drift: exit statuses, files, and one sentence for a mistake."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from mlrc.harness.cli import app
from mlrc.harness.guard import goldens
from mlrc.results.publishing.place import PUBLISHED
from tests.results.studies import make, sound

MEANS = {"triplet": 50.0, "contrastive": 40.0}


def _mlrc(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    shutil.copy(PUBLISHED / "papers.csv", folder)
    (folder / "splits.csv").write_text(
        "dataset,fingerprint,cut,test_classes,test_images\nglyphs,f1f1f1f1f1f1f1f1,official,20,200\n", encoding="utf-8"
    )
    return folder


def test_a_run_is_added_rendered_and_checked(tmp_path: Path, published: Path) -> None:
    runs = sound(MEANS).write(tmp_path / "study")
    added = _mlrc("leaderboard", "add", runs, "--published", published)
    assert added.exit_code == 0, added.output
    assert (published / "evidence" / "study" / "ledger.jsonl").exists()
    assert _mlrc("leaderboard", "--check", "--published", published).exit_code == 0
    table = published / "rendered" / "table.md"
    table.write_bytes(table.read_bytes() + b" ")
    checked = _mlrc("leaderboard", "--check", "--published", published)
    assert checked.exit_code == 1
    assert checked.stderr == "rendered/table.md is not what the evidence gives; run mlrc leaderboard\n"
    assert _mlrc("leaderboard", "--published", published).exit_code == 0
    assert _mlrc("leaderboard", "--check", "--published", published).exit_code == 0


def test_what_cannot_be_published_is_one_sentence(tmp_path: Path, published: Path) -> None:
    for words in (("add", tmp_path / "nowhere"), ("add", make(MEANS).write(tmp_path / "unsound"))):
        refused = _mlrc("leaderboard", *words, "--published", published)
        assert refused.exit_code == 2
        assert refused.stderr.startswith("Error: ")
        assert refused.stderr.count("\n") == 1


def test_drift_tells_by_its_exit_status_and_writes_for_machines(tmp_path: Path, published: Path) -> None:
    runs = make(MEANS, repeats=10, noise=0.1).write(tmp_path / "runs")
    worse = make({**MEANS, "triplet": 30.0}, repeats=10, noise=0.1, seed=1).write(tmp_path / "worse")
    noisy = make(MEANS, noise=9.0, seed=2).write(tmp_path / "noisy")
    accepted = _mlrc("accept", "canary", runs, "--reason", "the first", "--published", published)
    assert accepted.exit_code == 0, accepted.output
    assert _mlrc("drift", "canary", runs, "--published", published).exit_code == 0
    assert _mlrc("drift", "canary", noisy, "--published", published).exit_code == 3
    files = {kind: tmp_path / f"drift.{kind}" for kind in ("junit", "json", "markdown")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", path)]
    moved = _mlrc("drift", "canary", worse, *options, "--published", published)
    assert moved.exit_code == 1
    assert "moved" in moved.stdout
    assert json.loads(files["json"].read_text(encoding="utf-8"))["status"] == 1
    assert ET.parse(files["junit"]).getroot().find("testsuite/testcase/failure") is not None  # noqa: S314 our own
    assert files["markdown"].read_text(encoding="utf-8").startswith("## Drift of ")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["nowhere"], "reference 'nowhere'"),
        (["RUNS", "--margin", "0"], "margin must be positive"),
        (["RUNS", "--alpha", "2"], "alpha"),
    ],
)
def test_wrong_use_of_drift_is_one_sentence(tmp_path: Path, published: Path, options: list[str], sentence: str) -> None:
    runs = make(MEANS).write(tmp_path / "runs")
    words = [str(runs) if word == "RUNS" else word for word in options]
    refused = _mlrc("drift", runs, *words, "--published", published)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: ")
    assert sentence in refused.stderr


def test_goldens_are_stored_with_a_reason_and_then_compared(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goldens, "goldens", lambda: {"loss a": {"value": 1.0}})
    assert _mlrc("goldens", "--published", published).exit_code == 2
    assert _mlrc("goldens", "--accept", "the first", "--published", published).exit_code == 0
    assert "the first," in (published / "references" / "goldens" / "accepted.csv").read_text(encoding="utf-8")
    monkeypatch.setattr(goldens, "goldens", lambda: {"loss a": {"value": -1.0}})
    moved = _mlrc("goldens", "--published", published, "--junit", tmp_path / "goldens.xml")
    assert moved.exit_code == 1
    assert "loss a" in moved.stdout
    assert (tmp_path / "goldens.xml").exists()
