"""The command as a user meets it: what it prints, and one clear sentence with exit status 2 for a user's mistakes."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from torch import nn
from typer import Exit
from typer.main import get_command
from typer.testing import CliRunner, Result

from mlrc.harness.cli import app
from mlrc.harness.cli.words.options import user_errors
from mlrc.losses.contract import promises as contract
from mlrc.losses.contrastive import SPEC
from mlrc.losses.spec import LossSpec, MinedLoss
from mlrc.protocols.quick import QUICK
from mlrc.results.records.ledger import LEDGER

SMALL = [
    f"--set={change}"
    for change in ("embedding_size=8", "iterations_per_epoch=1", "max_epochs=1", "trials=2", "repeats=2")
]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


def _mlrc(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def _refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    line = result.stderr.strip()
    assert line.startswith("Error: ")
    assert "\n" not in line
    for part in parts:
        assert part in line


def test_every_command_has_help_with_an_example() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {"list", "plan", "run", "search", "final", "report", "check", "new-loss", "prepare", "evaluate"} < set(
        commands
    )
    for name in commands:
        result = _mlrc(name, "--help")
        assert result.exit_code == 0
        assert f"Example: mlrc {name}" in result.output, name


@pytest.mark.parametrize(
    ("what", "name"),
    [("losses", "contrastive"), ("datasets", "glyphs"), ("protocols", "reality_check"), ("trunks", "small_conv")],
)
def test_list_names_what_there_is(what: str, name: str) -> None:
    result = _mlrc("list", what)
    assert result.exit_code == 0
    assert any(line.startswith(f"{name} ") for line in result.stdout.splitlines())


@pytest.mark.parametrize("what", ["losses", "datasets", "protocols", "trunks", "left-out"])
def test_lists_are_there_for_programs_too(what: str) -> None:
    entries = json.loads(_mlrc("list", what, "--json").stdout)
    assert len(entries) > 0
    assert all(isinstance(entry, dict) for entry in entries)


def test_a_list_of_something_else_is_refused() -> None:
    _refused(_mlrc("list", "wishes"), "mlrc list takes one of losses, datasets", "'wishes'")


@pytest.mark.parametrize(
    ("what", "module", "broken", "whole"),
    [
        ("losses", "mlrc.losses.contrastive", "loss 'contrastive'", "proxy_anchor "),
        ("protocols", "mlrc.protocols.traditional_mpa", "protocol 'traditional_mpa'", "quick "),
    ],
)
def test_a_plug_in_that_does_not_import_is_named_and_the_others_are_listed(
    what: str, module: str, broken: str, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = _mlrc("list", what)
    assert result.exit_code == 0
    assert f"Error: The {broken} of the distribution 'mlrc' does not import" in result.stderr
    assert any(line.startswith(whole) for line in result.stdout.splitlines())


def test_check_tells_every_promise_and_fails_on_a_broken_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "PROMISES", contract.PROMISES[:2])
    result = _mlrc("check", "contrastive")
    assert result.exit_code == 0
    assert result.stdout.count("ok     contrastive: ") == 2

    def broken(spec: LossSpec) -> None:
        raise AssertionError("it does not hold")

    monkeypatch.setattr(contract, "PROMISES", (broken,))
    result = _mlrc("check", "contrastive")
    assert result.exit_code == 1
    assert "BROKEN contrastive: broken" in result.stdout
    assert "it does not hold" in result.stdout


def test_new_loss_writes_a_package_once(tmp_path: Path) -> None:
    result = _mlrc("new-loss", "my_loss", "--out", tmp_path)
    assert result.exit_code == 0
    assert (tmp_path / "my_loss" / "pyproject.toml").exists()
    _refused(_mlrc("new-loss", "my_loss", "--out", tmp_path), "must not exist yet")
    _refused(_mlrc("new-loss", "contrastive", "--out", tmp_path), "there is a loss named 'contrastive'")


def test_evaluate_measures_files(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(5), 4)
    np.save(tmp_path / "E.npy", np.eye(5, dtype=np.float32)[labels])
    np.save(tmp_path / "L.npy", labels)
    files = ("--embeddings", tmp_path / "E.npy", "--labels", tmp_path / "L.npy")
    assert "MAP@R   100.0000" in _mlrc("evaluate", *files, "--k", "1,2").stdout
    found = json.loads(_mlrc("evaluate", *files, "--k", "2", "--json").stdout)
    assert found["metrics"]["nDCG@2"] == 100
    _refused(_mlrc("evaluate", *files, "--k", "two"), "--k takes whole numbers", "'two'")
    _refused(_mlrc("evaluate", "--embeddings", tmp_path / "no.npy", "--labels", tmp_path / "L.npy"), "no.npy")


def test_prepare_says_what_it_found_or_what_is_missing(root: Path, tmp_path: Path) -> None:
    result = _mlrc("prepare", "glyphs", "--root", root)
    assert result.exit_code == 0
    assert "Glyphs: 2560 images, 160 classes" in result.stdout
    _refused(_mlrc("prepare", "cub200", "--root", tmp_path), "CUB_200_2011")


def test_doctor_names_devices_and_backends() -> None:
    result = _mlrc("doctor")
    assert "metrics backend torch" in result.stdout


def test_plan_counts_trainings_and_runs_none(root: Path, tmp_path: Path) -> None:
    result = _mlrc("plan", "--dataset", "glyphs", "--losses", "contrastive", "--protocol", "quick", "--root", root)
    assert result.exit_code == 0
    words = next(line.split() for line in result.stdout.splitlines() if line.strip().startswith("contrastive"))
    assert words[1:3] == [str(QUICK.trials * QUICK.folds), str(QUICK.repeats * QUICK.folds)]


def test_a_loss_that_cannot_be_built_is_named_before_it_is_planned(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(num_classes: int, embedding_size: int, pos_margin: float, neg_margin: float) -> NoReturn:
        raise ArithmeticError("too many classes")

    monkeypatch.setattr("mlrc.losses.contrastive.SPEC", replace(SPEC, build=broken))
    words = ("--dataset", "glyphs", "--losses", "contrastive", "--protocol", "quick", "--root", root)
    _refused(_mlrc("plan", *words), "The factory of loss 'contrastive' must build one", "too many classes")


def test_a_traditional_protocol_is_planned_with_its_two_stages(root: Path) -> None:
    options = ("--trunk", "small_conv", "--set=resize=28", "--set=crop=28", "--set=epoch_choice=best_on_test")
    small = ("--dataset", "glyphs", "--root", root, *options)
    result = _mlrc("plan", "--losses", "proxy_nca_pp", "--protocol", "traditional_proxy_nca_pp", *small)
    assert result.exit_code == 0, result.output
    words = next(line.split() for line in result.stdout.splitlines() if line.strip().startswith("proxy_nca_pp"))
    trainval_images = 80 * 16
    assert words[1:4] == ["0", "10", f"{10 * 45 * (trainval_images // 32):,}"]


WRONG: list[tuple[dict[str, str], tuple[str, ...]]] = [
    ({"--losses": "contrastve"}, ("No loss named 'contrastve'. Did you mean 'contrastive'?",)),
    ({"--losses": ","}, ("At least one loss must be given", "mlrc list losses")),
    ({"--dataset": "glyph"}, ("No dataset named 'glyph'. Did you mean 'glyphs'?",)),
    ({"--protocol": "qick"}, ("No protocol named 'qick'. Did you mean 'quick'?",)),
    ({"--set": "trails=3"}, ("no field 'trails' to set. Did you mean 'trials'?",)),
    ({"--set": "trials=x"}, ("trials takes a whole number", "'x'")),
    ({"--set": "trunk=resnet5000"}, ("No trunk named 'resnet5000'",)),
    ({"--set": "pooling=mean"}, ("pooling must be one of", "'mean'")),
    ({"--trunk": "resnet5000"}, ("No trunk named 'resnet5000'",)),
    ({"--weights": "nowhere.pth"}, ("--weights must be a file", "nowhere.pth")),
    ({"--set": "trials=0"}, ("has no published parameters for 'glyphs', but has some for cub200",)),
    ({"--param": "margin=3"}, ("No loss here has a parameter 'margin' to give", "contrastive.pos_margin")),
    ({"--param": "pos_margin=3"}, ("no published parameters for 'glyphs'", "give neg_margin with --param NAME=VALUE")),
    ({"--device": "abacus"}, ("The device 'abacus' cannot be used here", "--device cpu")),
]


@pytest.mark.parametrize(("words", "parts"), WRONG, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_wrong_word_is_one_sentence_before_any_work(
    command: str, words: dict[str, str], parts: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    options = {"--dataset": "glyphs", "--losses": "contrastive", "--protocol": "quick", "--root": str(root), **words}
    runs = ["--runs", str(tmp_path / "runs")] if command == "run" else []
    _refused(_mlrc(command, *(word for pair in options.items() for word in pair), *runs), *parts)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("asked", "error", "seen"),
    [
        ("", ValueError("a sentence"), Exit),
        ("", LookupError("a sentence"), Exit),
        ("1", ValueError("a sentence"), ValueError),
        ("1", LookupError("a sentence"), LookupError),
        ("", KeyError("key"), KeyError),
        ("", IndexError("index"), IndexError),
    ],
)
def test_a_fault_of_ours_keeps_its_traceback_and_a_sentence_can_be_traced(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: str,
    error: Exception,
    seen: type[Exception],
) -> None:
    monkeypatch.setenv("MLRC_TRACEBACK", asked)
    with pytest.raises(seen), user_errors():
        raise error
    assert capsys.readouterr().err == ("Error: a sentence\n" if seen is Exit else "")


def _run(root: Path, runs: Path, *words: str | Path, dataset: str = "glyphs", command: str = "run") -> Result:
    fixed = ("--losses", "contrastive", "--protocol", "quick", "--device", "cpu", *SMALL)
    return _mlrc(command, "--dataset", dataset, "--root", root, "--runs", runs, *fixed, *words)


def test_a_root_without_the_dataset_names_what_is_missing(tmp_path: Path) -> None:
    _refused(_run(tmp_path / "empty", tmp_path / "runs", dataset="omniglot"), "images_background.npz")
    assert not (tmp_path / "runs").exists()


def test_a_truncated_file_of_the_dataset_is_named(tmp_path: Path) -> None:
    for name in ("images_background.npz", "images_evaluation.npz"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 torn")
    _refused(_run(tmp_path, tmp_path / "runs", dataset="omniglot"), "images_background.npz")
    assert not (tmp_path / "runs").exists()


def test_a_runs_folder_that_cannot_be_written_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    _refused(_run(root, tmp_path / "file" / "runs"), "must be writable", "--runs")


def test_a_ledger_with_a_broken_middle_line_is_refused_and_left_as_it_is(root: Path, tmp_path: Path) -> None:
    broken = b'{"kind": "fold", "torn\n{"kind": "protocol"}\n'
    (tmp_path / LEDGER).write_bytes(broken)
    for result in (_run(root, tmp_path), _mlrc("report", "--runs", tmp_path)):
        _refused(result, "Line 1 of", "is not a record", "Nothing was changed")
        assert (tmp_path / LEDGER).read_bytes() == broken


def test_a_report_without_a_ledger_or_without_a_finished_repeat_says_so(tmp_path: Path) -> None:
    _refused(_mlrc("report", "--runs", tmp_path), "There is no ledger.jsonl in")
    (tmp_path / LEDGER).write_bytes(b"")
    _refused(_mlrc("report", "--runs", tmp_path), "No repeat in", "mlrc run")


def test_final_before_the_search_is_refused(root: Path, tmp_path: Path) -> None:
    _refused(_run(root, tmp_path / "runs", command="final"), "has 0 of 2 trials", "mlrc search")


def test_a_search_in_a_space_that_was_narrowed_since_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run(root, tmp_path, command="search").exit_code == 0
    ledger = (tmp_path / LEDGER).read_bytes()
    narrow = dict.fromkeys(SPEC.space, FloatDistribution(1.999, 2.0))
    monkeypatch.setattr("mlrc.losses.contrastive.SPEC", replace(SPEC, space=narrow))
    for command in ("run", "search", "final"):
        result = _run(root, tmp_path, command=command)
        _refused(
            result, "The search of contrastive in", "its trial 0 does not fit today's (neg_margin=", "another --runs"
        )
        assert (tmp_path / LEDGER).read_bytes() == ledger

    def build(num_classes: int, embedding_size: int, *, new: float, **params: float) -> nn.Module | MinedLoss:
        return SPEC.build(num_classes, embedding_size, **params)

    wider = replace(SPEC, space={**SPEC.space, "new": FloatDistribution(0, 1)}, build=build)
    monkeypatch.setattr("mlrc.losses.contrastive.SPEC", wider)
    _refused(_run(root, tmp_path), "does not fit today's (Loss 'contrastive' needs a value for new)")


def test_search_then_final_then_report_give_the_table(root: Path, tmp_path: Path) -> None:
    assert _run(root, tmp_path, command="search").exit_code == 0
    assert not (tmp_path / "leaderboard.csv").exists()
    result = _run(root, tmp_path, command="final")
    assert result.exit_code == 0, result.output
    table = (tmp_path / "table.md").read_text()
    assert "| untrained |" in table
    assert "| contrastive |" in table
    assert "Differs from quick in" in table
    assert "trials 2 instead of 4" in table
    rows = (tmp_path / "leaderboard.csv").read_text().splitlines()
    assert rows[0].startswith("dataset,protocol,digest,loss,setting,metric,mean,ci95,n,class_low,class_high,diverged,")
    assert any(row.startswith("glyphs,quick+embedding_size=8+") for row in rows)
    assert _mlrc("report", "--runs", tmp_path, "--out", tmp_path / "again").exit_code == 0
    assert (tmp_path / "again" / "leaderboard.csv").read_text().splitlines() == rows
    # Everything is recorded, so a second run has nothing to do and gives the same bytes.
    ledger = (tmp_path / LEDGER).read_bytes()
    assert _run(root, tmp_path).exit_code == 0
    assert (tmp_path / LEDGER).read_bytes() == ledger
