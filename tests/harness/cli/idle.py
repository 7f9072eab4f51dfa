"""A command line that may say anything: every place at which work would begin raises instead, and is known by it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mlrc import result
from mlrc.harness.cli import app
from mlrc.harness.cli.new_loss import writing
from mlrc.harness.guard import canary, doctor, goldens, verify
from mlrc.harness.images import prepare
from mlrc.harness.metrics import retrieval
from mlrc.harness.report import reporting
from mlrc.harness.study import carry_out, comparison, embedding, estimate, profile
from mlrc.harness.watch import optuna_export
from mlrc.losses.contract import promises
from mlrc.results.publishing import audit, published, references

WORK = (
    (comparison, "cached"),
    (carry_out, "conduct"),
    (estimate, "estimate"),
    (prepare, "prepare_dataset"),
    (goldens, "goldens"),
    (doctor, "examine"),
    (canary, "canary"),
    (reporting, "write_full_report"),
    (result, "write_full_report"),
    (published, "regenerate"),
    (published, "check"),
    (audit, "enter_split"),
    (verify, "retrained"),
    (references, "_of_ledger"),
    (optuna_export, "export"),
    (retrieval, "asked"),
    (embedding, "embed_images"),
    (profile, "_profile"),
    (promises, "check"),
    (writing, "_names"),
)


class WorkBeganError(Exception):
    """Raised in the place of work; the command takes it for no mistake of a user."""


def make_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no image be decoded, no training begin, no report be written."""

    def work(*given: object, **options: object) -> None:
        raise WorkBeganError

    for module, name in WORK:
        monkeypatch.setattr(module, name, work)


def mlrc(*words: str | Path) -> Result:
    """Run a command line in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(result: Result, *parts: str) -> None:
    """Hold that a command line was refused by one sentence that has these parts, before any work."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    sentences = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(sentences) == 1, result.stderr
    assert result.stderr.rstrip().endswith(sentences[0])  # what stands before it is the parser's word on the usage
    for part in parts:
        assert part in sentences[0], (part, sentences[0])
