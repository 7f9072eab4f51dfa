"""A loss that breaks what resume, seeds and devices rest on does not run by accident, and never without a word."""

from pathlib import Path
from typing import Any

import pytest

import mlrc
from mlrc.harness.plugins import LOSSES
from mlrc.losses.contract import before_a_run
from mlrc.losses.spec import LossSpec
from mlrc.results.boards.sweep import sweep_tables
from mlrc.results.records.ledger import LEDGER, Records, read
from mlrc.results.records.lines import from_line, to_line
from mlrc.results.records.record import SweepPoint, SweepRecord, UncheckedRecord
from mlrc.results.rendering.sweep_table import sweep_markdown
from tests.harness.cli.idle import WorkBeganError, make_idle
from tests.harness.cli.idle import mlrc as command_line
from tests.mlrc.conftest import LOSS, SMALL

MEMORY = '''\
"""PML's memory of embeddings, whose queue is in no state_dict."""

from mlrc import LossSpec
from pytorch_metric_learning.losses import ContrastiveLoss, CrossBatchMemory

SPEC = LossSpec(
    name="memory",
    title="Cross-batch memory",
    source="Wang et al., CVPR 2020",
    space={},
    build=lambda num_classes, embedding_size: CrossBatchMemory(ContrastiveLoss(), embedding_size, memory_size=64),
    batch="pairs",
)
'''


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


BROKEN = "a saved state continues the training"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    path = tmp_path / "memory.py"
    path.write_text(MEMORY, encoding="utf-8")
    return path


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no image be decoded and no training begin."""

    make_idle(monkeypatch)


def _options(root: Path, runs: Path) -> list[str | Path]:
    return ["--dataset", "glyphs", "--protocol", "quick", "--root", root, "--runs", runs, "--device", "cpu"]


@pytest.mark.parametrize("command", ["run", "search", "final", "sweep"])
@pytest.mark.usefixtures("idle")
def test_a_loss_whose_queue_does_not_survive_a_stop_is_refused_before_any_work(
    command: str, memory: Path, root: Path, tmp_path: Path
) -> None:
    chosen: list[str | Path] = (
        ["--loss", memory, "--vary", "embedding_size=8,16"] if command == "sweep" else ["--losses", memory]
    )
    words: list[str | Path] = [command, *chosen, *_options(root, tmp_path / "runs")]
    result = command_line(*words)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("Error: Loss 'memory' must keep the contract")
    assert result.stderr.count("\n") == 1
    for part in (BROKEN, "keep what it learns or counts in parameters and registered buffers", "--unchecked"):
        assert part in result.stderr
    assert not (tmp_path / "runs").exists()
    assert isinstance(command_line(*words, "--unchecked").exception, WorkBeganError)


@pytest.mark.usefixtures("idle")
def test_a_value_in_python_passes_the_same_gate(memory: Path, root: Path, tmp_path: Path) -> None:
    spec = LOSSES.find(str(memory))
    for given in (spec, str(memory)):
        chosen: dict[str, Any] = {"dataset": "glyphs", "protocol": "quick", "root": root, "runs": tmp_path / "runs"}
        with pytest.raises(ValueError, match=f"Loss 'memory' must keep the contract.*{BROKEN}"):
            mlrc.compare([given], **chosen)
        with pytest.raises(WorkBeganError):
            mlrc.compare([given], unchecked=True, **chosen)


def test_the_row_of_a_loss_that_ran_unchecked_says_so_and_no_other(memory: Path, root: Path, tmp_path: Path) -> None:
    sound = tmp_path / "pull.py"
    sound.write_text(LOSS.format(name="pull"), encoding="utf-8")
    result = mlrc.compare(
        [str(memory), str(sound)],
        dataset="glyphs",
        protocol="quick",
        root=root,
        runs=tmp_path / "runs",
        changes=SMALL,
        device="cpu",
        unchecked=True,
    )
    assert len(result.leaderboard) > 0
    for name in ("table.md", "table.tex", "report.html"):
        text = (tmp_path / "runs" / name).read_text(encoding="utf-8")
        assert text.count("unchecked although it breaks what every loss promises") == 1, name
        assert BROKEN in text, name
    (record,) = read(tmp_path / "runs" / LEDGER).unchecked.values()
    assert (record.loss, record.broken) == ("memory", (BROKEN,))
    assert from_line(to_line(record)) == record


def test_the_table_of_a_sweep_says_so_too() -> None:
    subject = {"dataset": "glyphs", "fingerprint": "0123"}
    points = tuple(SweepPoint(labels=(one,), loss=one, digest="abc", params={}) for one in ("memory", "other"))
    about = {"name": "losses", "title": "Losses", "source": "", "note": "", "factors": ("loss",)}
    records = Records()
    records.add(SweepRecord(key="key", points=points, **about, **subject))  # type: ignore[arg-type]
    for loss, digest in (("memory", "abc"), ("elsewhere", "abc"), ("other", "abd")):
        records.add(UncheckedRecord(digest=digest, dataset="glyphs", fingerprint="0123", loss=loss, broken=(BROKEN,)))
    (table,) = sweep_tables(records)
    assert [note.partition(":")[0] for note in table.notes] == ["memory"]
    assert "memory: it ran with --unchecked" in sweep_markdown(table)


def test_a_loss_is_held_to_the_contract_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = LOSSES.find("contrastive")
    held: list[LossSpec] = []
    monkeypatch.setattr(before_a_run, "BEFORE_A_RUN", (held.append,))
    held.clear()
    before_a_run._held.pop(id(spec), None)
    assert (before_a_run.broken(spec), before_a_run.broken(spec)) == ((), ())
    assert held == [spec]
    before_a_run._held.pop(id(spec))
