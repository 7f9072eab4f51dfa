"""A run that meets another loss, reader or trunk than its records were made with stops before any work, or says so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import mlrc
from mlrc.harness.engine import identity
from mlrc.harness.engine.attempts import UnfitError
from mlrc.harness.engine.cluster import node
from mlrc.harness.engine.perform import _origin, perform, record_of
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.machine import environment
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.study.comparison import Comparison, checked_comparison
from mlrc.harness.study.rules import chosen
from mlrc.harness.training.fold import Trained
from mlrc.results.records.ledger import LEDGER, Ledger, read
from mlrc.results.records.origin import Origin
from mlrc.results.records.record import Outcome
from tests.harness.cli.idle import WorkBeganError, make_idle, refused
from tests.harness.cli.idle import mlrc as command_line
from tests.mlrc.conftest import LOSS, SMALL

OTHER = Origin(distribution="stranger", version="0.9", source="0123456789abcdef")
TRAINED = Trained("done", None, ((0, 5.0), (1, 20.0)), 1, 20.0)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture
def loss(tmp_path: Path) -> Path:
    path = tmp_path / "pull.py"
    path.write_text(LOSS.format(name="pull"), encoding="utf-8")
    return path


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    make_idle(monkeypatch)


def _comparison(loss: Path, root: Path) -> Comparison:
    rules = chosen("quick", trunk=None, weights=None, changes=[f"{name}={value}" for name, value in SMALL.items()])
    return checked_comparison(
        dataset="glyphs", losses=[str(loss)], protocol=rules.protocol, root=root, device="cpu", decode=False
    )


@pytest.fixture
def recorded(loss: Path, root: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a runs folder in which the first trial of the loss is recorded, made with its file as it is now."""

    def of(outcome: Outcome = "done", **origins: Origin | None) -> Path:
        prepared = _comparison(loss, root)
        study = prepared.studies[1]
        runs = tmp_path / "runs"
        with Ledger(runs) as ledger:
            for job in study.jobs("search", 0, {"margin": 0.5}):
                record = record_of(job, TRAINED._replace(outcome=outcome), prepared.workplace, 1.0)
                plugins = {**record.plugins, **origins}
                ledger.append([replace(record, plugins={k: one for k, one in plugins.items() if one is not None})])
        return runs

    return of


def _words(loss: Path, root: Path, runs: Path, command: str = "run") -> list[str | Path]:
    changes = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    subject: list[str | Path] = ["--losses", loss, "--protocol", "quick", *changes, "--dataset", "glyphs"]
    return [command, *subject, "--root", root, "--runs", runs, "--device", "cpu"]


def _flip(loss: Path) -> None:
    text = loss.read_text(encoding="utf-8")
    assert "margin" in text
    loss.write_text(text + "# edited\n", encoding="utf-8")


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("command", ["run", "search"])
def test_an_edited_loss_is_refused_before_any_work_or_accepted(
    command: str, loss: Path, root: Path, recorded: Callable[..., Path]
) -> None:
    runs = recorded()
    words = _words(loss, root, runs, command)
    assert isinstance(command_line(*words).exception, WorkBeganError)
    before = (runs / LEDGER).read_bytes()
    _flip(loss)
    refused(
        command_line(*words),
        "The loss 'pull' must be the one that 2 trainings in",
        "it was changed since",
        "--accept-changed-loss",
    )
    assert (runs / LEDGER).read_bytes() == before
    assert isinstance(command_line(*words, "--accept-changed-loss").exception, WorkBeganError)
    refused(command_line(*words, "--accept-changed-dataset", "--accept-changed-trunk"), "The loss 'pull'")


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("kind", ["dataset", "trunk"])
def test_another_reader_or_trunk_is_refused_or_accepted(
    kind: str, loss: Path, root: Path, recorded: Callable[..., Path]
) -> None:
    words = _words(loss, root, recorded(**{kind: OTHER}))
    name = "glyphs" if kind == "dataset" else "small_conv"
    refused(command_line(*words), f"The {kind} {name!r} must be the one", str(OTHER), f"--accept-changed-{kind}")
    assert isinstance(command_line(*words, f"--accept-changed-{kind}").exception, WorkBeganError)


@pytest.mark.usefixtures("idle")
def test_a_record_that_tells_no_origin_or_failed_refuses_nothing(
    loss: Path, root: Path, recorded: Callable[..., Path]
) -> None:
    unknown = recorded(loss=None, dataset=None, trunk=None)
    assert isinstance(command_line(*_words(loss, root, unknown)).exception, WorkBeganError)
    (unknown / LEDGER).unlink()
    failed = recorded(outcome="failed", loss=OTHER)
    assert isinstance(command_line(*_words(loss, root, failed)).exception, WorkBeganError)


@pytest.mark.usefixtures("idle")
def test_other_studies_of_the_folder_refuse_nothing(loss: Path, root: Path, recorded: Callable[..., Path]) -> None:
    runs = recorded(loss=OTHER, trunk=OTHER)
    words = _words(loss, root, runs)
    other_rules = [*words, "--set", "flip=0.25"]
    assert isinstance(command_line(*other_rules).exception, WorkBeganError)


@pytest.mark.usefixtures("idle")
def test_a_call_in_python_passes_the_same_gate(loss: Path, root: Path, recorded: Callable[..., Path]) -> None:
    runs = recorded(loss=OTHER)
    with pytest.raises(ValueError, match="The loss 'pull' must be the one that 2 trainings"):
        mlrc.compare(str(loss), dataset="glyphs", protocol="quick", root=root, runs=runs, changes=SMALL, device="cpu")
    with pytest.raises(WorkBeganError):
        mlrc.compare(
            str(loss),
            dataset="glyphs",
            protocol="quick",
            root=root,
            runs=runs,
            changes=SMALL,
            device="cpu",
            accept_changed_loss=True,
        )


@pytest.mark.usefixtures("idle")
def test_a_sweep_passes_the_same_gate(loss: Path, root: Path, tmp_path: Path) -> None:
    words: list[str | Path] = ["sweep", "--loss", loss, "--vary", "margin=0.2,0.4", "--repeats", "1"]
    words += ["--dataset", "glyphs", "--protocol", "quick", "--root", root, "--runs", tmp_path, "--device", "cpu"]
    rules = chosen("quick", trunk=None, weights=None, changes=["repeats=1", "trials=0"])
    prepared = checked_comparison(
        dataset="glyphs",
        losses=[str(loss)],
        protocol=rules.protocol,
        root=root,
        device="cpu",
        params=["margin=0.2"],
        decode=False,
    )
    with Ledger(tmp_path) as ledger:
        for job in prepared.studies[1].jobs("final", 0, {"margin": 0.2}):
            ledger.append([record_of(job, TRAINED, prepared.workplace, 1.0)])
    assert isinstance(command_line(*words).exception, WorkBeganError)
    _flip(loss)
    refused(command_line(*words), "The loss 'pull' must be the one")
    assert isinstance(command_line(*words, "--accept-changed-loss").exception, WorkBeganError)


def test_records_carry_what_they_stand_on(loss: Path, root: Path, recorded: Callable[..., Path]) -> None:
    for record in read(recorded() / LEDGER).folds.values():
        assert set(record.plugins) == {"loss", "dataset", "trunk"}
        assert record.plugins["loss"].distribution == ""
        assert record.plugins["trunk"].distribution == "mlrc"
        assert all(len(one.source) == 16 for one in record.plugins.values())
    untrained = _comparison(loss, root).studies[0].jobs("untrained", 0, {})[0]
    record = record_of(untrained, TRAINED, _comparison(loss, root).workplace, 1.0)
    assert set(record.plugins) == {"dataset", "trunk"}


def _place(workplace: Workplace) -> Workplace:
    return replace(workplace, origins={("loss", "contrastive"): identity.origin_of("loss", "contrastive")})


def test_a_loss_edited_in_mid_run_fails_in_a_process_that_began_later(
    job: FoldJob, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _place(workplace)
    assert perform(job, place, lambda *_: None, lambda: False).record.outcome == "done"
    monkeypatch.setattr(identity, "loaded_here", lambda *_: OTHER)
    record = perform(job, place, lambda *_: None, lambda: False).record
    assert record.outcome == "failed"
    assert "loss 'contrastive' is another than the run began with" in record.message


def test_a_half_trained_model_of_another_loss_is_not_gone_on_with(job: FoldJob, workplace: Workplace) -> None:
    edited = replace(workplace, origins={("loss", "contrastive"): OTHER})
    assert _origin(job, _place(workplace)) != _origin(job, edited)


def test_a_node_with_another_loss_is_unfit_and_one_without_it_too(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = replace(workplace, environment=environment.current(torch.device("cpu")), roots={})
    node.require_fit(_place(here))
    with pytest.raises(UnfitError, match=r"the driver's plug-ins, but on .* the loss 'contrastive' is another"):
        node.require_fit(replace(here, origins={("loss", "contrastive"): OTHER}))
    with pytest.raises(UnfitError, match=r"the driver's plug-ins, but on .*: No loss named 'nowhere'"):
        node.require_fit(replace(here, origins={("loss", "nowhere"): OTHER}))
