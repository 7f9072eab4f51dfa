"""The commands on published results and on drift: exit statuses, files, and one sentence for a mistake."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from mlrc.harness.cli import app
from mlrc.harness.guard import goldens
from mlrc.protocols.quick import QUICK
from mlrc.results.boards.leaderboard import boards
from mlrc.results.publishing.place import PUBLISHED
from mlrc.results.rendering.spreadsheet import leaderboard_csv
from tests.results.studies import make, sound

MEANS = {"triplet": 50.0, "contrastive": 40.0}
OF_THE_STUDY = {"name", "folds", "trials", "repeats", "embedding_size", "seed"}
RULES = {name: value for name, value in QUICK.to_json().items() if name not in OF_THE_STUDY}


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
    assert checked.stderr.startswith(
        "rendered/table.md is not what the evidence gives; where evidence came in on purpose"
    )
    assert _mlrc("leaderboard", "--published", published).exit_code == 0
    assert _mlrc("leaderboard", "--check", "--published", published).exit_code == 0


def test_what_cannot_be_published_is_one_sentence(tmp_path: Path, published: Path) -> None:
    for words in (("add", tmp_path / "nowhere"), ("add", make(MEANS).write(tmp_path / "unsound"))):
        refused = _mlrc("leaderboard", *words, "--published", published)
        assert refused.exit_code == 2
        assert refused.stderr.startswith("Error: ")
        assert refused.stderr.count("\n") == 1


def test_drift_tells_by_its_exit_status_and_writes_for_machines(tmp_path: Path, published: Path) -> None:
    runs = make(MEANS, fields=RULES, repeats=10, noise=0.1).write(tmp_path / "runs")
    worse = make({**MEANS, "triplet": 30.0}, fields=RULES, repeats=10, noise=0.1, seed=1).write(tmp_path / "worse")
    noisy = make(MEANS, fields=RULES, noise=9.0, seed=2).write(tmp_path / "noisy")
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
    runs = make(MEANS, fields=RULES).write(tmp_path / "runs")
    words = [str(runs) if word == "RUNS" else word for word in options]
    refused = _mlrc("drift", runs, *words, "--published", published)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: ")
    assert sentence in refused.stderr


def test_a_reference_whose_rules_cannot_be_told_is_refused_before_anything_is_compared(
    tmp_path: Path, published: Path
) -> None:
    runs = make(MEANS, fields=RULES).write(tmp_path / "runs")
    lacking = make(MEANS, fields={name: value for name, value in RULES.items() if name != "trunk"})
    refused = _mlrc("drift", lacking.write(tmp_path / "lacking"), runs, "--published", published)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: ")
    assert refused.stderr.endswith(
        "'quick' lacks trunk; do the run again with this version, or accept another reference.\n"
    )
    table = tmp_path / "leaderboard.csv"
    other = make(MEANS, fields=RULES, digest="e" * 12)
    table.write_text(leaderboard_csv([row for board in boards(other.records, other.per_class) for row in board.rows]))
    refused = _mlrc("drift", table, runs, "--published", published)
    assert (refused.exit_code, refused.stderr.count("does not tell those of its digest eeeeeeeeeeee")) == (2, 1)


CANARIES = Path(__file__).parents[2] / "results" / "canaries"
"""Repeats of the canary as they were recorded: before eleven fields of the protocol were there, with them and of
another seed, and of that seed with half the margin in the contrastive loss."""


def test_the_canary_of_another_seed_is_compared_row_by_row_and_half_the_margin_is_moved() -> None:
    other_seed = _mlrc("drift", CANARIES / "old_reference", CANARIES / "other_seed")
    assert other_seed.exit_code == 3
    assert "not compared" not in other_seed.stdout
    assert "the protocols differ" not in other_seed.stdout
    half_margin = _mlrc("drift", CANARIES / "old_reference", CANARIES / "half_margin")
    assert half_margin.exit_code == 1
    assert "moved | contrastive on glyphs" in half_margin.stdout


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
