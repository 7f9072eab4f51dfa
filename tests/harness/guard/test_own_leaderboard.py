"""A lab's own leaderboard, in a repository of its own, from nothing to a stranger's result: docs/leaderboard.md."""

import csv
import subprocess
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlrc.harness.cli import app
from mlrc.harness.guard import canary, verify
from mlrc.harness.machine import environment
from mlrc.harness.study import conduct
from mlrc.protocols.quick import QUICK
from mlrc.results.records.ledger import LEDGER, read
from mlrc.results.rendering import report
from mlrc.results.rendering.plots import Plot
from tests.harness.in_this_process import in_this_process

MINE = """\
parent = "quick"

[changes]
trials = 1
startup_trials = 1
repeats = 2
iterations_per_epoch = 2
max_epochs = 2
validation_interval = 1
resize = 12
crop = 12
embedding_size = 8
"""
CANARY = QUICK.set(["repeats=3", "iterations_per_epoch=1", "max_epochs=1", "resize=12", "crop=12", "embedding_size=8"])


def _mlrc(*words: str | Path, status: int = 0) -> Result:
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == status, f"{words}\n{found.output}\n{found.exception!r}"
    return found


def _git(*words: str) -> str:
    identity = ("-c", "user.name=Lab", "-c", "user.email=lab@example.org")
    return subprocess.run(["git", *identity, *words], check=True, capture_output=True, text=True).stdout


def _committed(message: str) -> list[str]:
    """Commit all there is, and give the paths that changed."""
    _git("add", "-A")
    _git("commit", "-qm", message)
    return _git("show", "--name-only", "--format=").splitlines()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty repository, and mlrc as a wheel installs it: without a history of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(canary, "PROTOCOL", CANARY)
    for module in (conduct, verify):
        monkeypatch.setattr(module, "in_processes", lambda workplace, _, told, **rest: in_this_process(workplace, told))
    monkeypatch.setattr(environment, "_commit", lambda: None)
    environment.current.cache_clear()
    picture = Plot("scores", "Scores", "told", b"<svg/>", b"png")  # drawing takes seconds, and is tested with the page
    monkeypatch.setattr(report, "plots", lambda *_: [picture])
    _git("init", "-q")
    (tmp_path / ".gitignore").write_text("runs/\ndata/\n", encoding="utf-8")
    (tmp_path / "mine.toml").write_text(MINE, encoding="utf-8")
    yield tmp_path
    environment.current.cache_clear()


def test_a_lab_keeps_its_own_leaderboard(repository: Path) -> None:
    board = repository / "board"
    own = ("--published", board)
    rules = ("--dataset", "glyphs", "--protocol", "mine.toml")

    refused = _mlrc("leaderboard", "add", "runs/first", *own, status=2)
    assert "no ledger.jsonl" in refused.stderr
    assert "Entered: glyphs,28727e3c44777669,official,80,1280" in _mlrc("leaderboard", "split", *rules, *own).stdout
    assert "There already" in _mlrc("leaderboard", "split", *rules, *own).stdout

    _mlrc("run", *rules, "--losses", "contrastive", "--runs", "runs/first")
    _mlrc("leaderboard", "add", "runs/first", "--name", "first", *own)
    _mlrc("leaderboard", "--check", *own)
    assert "board/evidence/first/ledger.jsonl" in _committed("The first row")

    other = _mlrc("run", "--dataset", "glyphs", "--protocol", "quick", "--losses", "triplet", "--runs", "runs/other",
                  "--against", "first", *own, status=2)  # fmt: skip
    assert "must stand on the same images, split and rules" in other.stderr
    assert not (repository / "runs" / "other").exists()  # nothing was trained
    _mlrc("run", *rules, "--losses", "triplet", "--runs", "runs/second", "--against", "first", *own)
    shown = (repository / "runs" / "second" / "table.md").read_text(encoding="utf-8")
    assert "| contrastive |" in shown
    assert "| triplet |" in shown
    assert "Rows of first, not trained again: contrastive, untrained. Rows of this run: triplet." in shown
    assert {run.loss for run in read(repository / "runs" / "second" / LEDGER).runs.values()} == {"triplet", "untrained"}
    _mlrc("leaderboard", "add", "runs/second", "--name", "second", *own)
    _mlrc("leaderboard", "--check", *own)
    changed = _committed("A second row")
    assert not [path for path in changed if path.startswith("board/evidence/first")]

    _mlrc("canary", "--runs", "runs/canary")
    _mlrc("accept", "canary", "runs/canary", "--reason", "the first", *own)
    _mlrc("drift", "canary", "runs/canary", *own)
    _committed("A reference")

    _verified_by_another(repository, own)
    _moved_and_accepted(repository, own)


def _verified_by_another(repository: Path, own: tuple[str, Path]) -> None:
    """Someone trains a few of the second row's trainings again, in another clone's place."""
    words = ("leaderboard", "verify", "--retrain", "2", "--name", "second", "--seed", "5", "--by", "Somebody else")
    told = _mlrc(*words, *own).stdout
    assert "Drawn with --seed 5: " in told
    assert told.count(": identical") == 2
    stale = _mlrc("leaderboard", "--check", *own, status=1)
    assert "rendered/table.md is not what the evidence gives" in stale.stderr
    _mlrc("leaderboard", *own)
    _mlrc("leaderboard", "--check", *own)
    table = (repository / "board" / "rendered" / "table.md").read_text(encoding="utf-8")
    (row,) = (line for line in table.splitlines() if line.startswith("| triplet |"))
    assert row.endswith("| 2 of 12 folds |")
    (first, second) = csv.DictReader(
        StringIO((repository / "board" / "evidence" / "second" / "verified.csv").read_text(encoding="utf-8"))
    )
    assert (first["by"], first["verdict"], first["difference"]) == ("Somebody else", "identical", "0")
    assert first["processor"] == environment.processor()
    assert first["key"] != second["key"]
    _committed("Verified")

    ledger = repository / "board" / "evidence" / "second" / LEDGER
    text = ledger.read_text(encoding="utf-8")
    ledger.write_text(text.replace('"loss": "triplet"', '"loss": "triplet_batch_hard"'), encoding="utf-8")
    assert "gives the key" in _mlrc("leaderboard", "--check", *own, status=1).stderr
    _git("checkout", "-q", "--", "board")
    _mlrc("leaderboard", "--check", *own)


def _moved_and_accepted(repository: Path, own: tuple[str, Path]) -> None:
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(canary, "PARAMS", {"contrastive": {"pos_margin": 0.9, "neg_margin": 0.0},
                                           "proxy_anchor": {"loss_lr": 1.0, "margin": 0.4, "alpha": 1.0}})  # fmt: skip
        _mlrc("canary", "--runs", "runs/moved")
    found = CliRunner().invoke(app, ["drift", "canary", "runs/moved", *map(str, own)])
    assert found.exit_code in (1, 3), found.output  # not the same any more
    _mlrc("accept", "canary", "runs/moved", "--reason", "contrastive has the margins of its paper now", *own)
    _mlrc("drift", "canary", "runs/moved", *own)
    reasons = (repository / "board" / "references" / "canary" / "accepted.csv").read_text(encoding="utf-8")
    assert "the first" in reasons
    assert "contrastive has the margins of its paper now" in reasons
    assert "board/references/canary/accepted.csv" in _committed("Accepted: the margins of the paper")


def test_what_cannot_be_verified_here_is_said_and_nothing_is_written(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ("--published", repository / "board")
    rules = ("--dataset", "glyphs", "--protocol", "mine.toml")
    _mlrc("leaderboard", "split", *rules, *own)
    _mlrc("run", *rules, "--losses", "contrastive", "--runs", "runs/first")
    _mlrc("leaderboard", "add", "runs/first", "--name", "first", *own)
    verifying = ("leaderboard", "verify", "--by", "Somebody", *own)
    many = _mlrc(*verifying, "--retrain", "99", status=2).stderr
    assert "--retrain must lie between 1 and 12, the recorded trainings that left validation scores" in many
    assert "There is no evidence 'third'" in _mlrc(*verifying, "--retrain", "1", "--name", "third", status=2).stderr

    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError("too small")

    with monkeypatch.context() as small:
        small.setattr("mlrc.harness.engine.perform.train_fold", no_memory)
        found = _mlrc(*verifying, "--retrain", "1", status=70)
    assert "failed here and tells nothing: MemoryError" in found.stderr

    ledger = repository / "board" / "evidence" / "first" / LEDGER
    ledger.write_text(
        ledger.read_text(encoding="utf-8").replace('"28727e3c44777669"', '"0000000000000000"'), encoding="utf-8"
    )
    assert "must have the key of what it says of itself" in _mlrc(*verifying, "--retrain", "1", status=2).stderr
    assert not (repository / "board" / "evidence" / "first" / "verified.csv").exists()
