"""The face in this process: what it imports, and that it goes the way of the commands."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import mlrc
from mlrc.harness.cli import app
from mlrc.harness.study import conduct
from mlrc.losses.contrastive import SPEC
from mlrc.losses.spec import LossSpec
from mlrc.results.records.ledger import Ledger
from tests.harness.in_this_process import in_this_process
from tests.mlrc.conftest import SMALL


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in this process."""
    monkeypatch.setattr(
        conduct, "in_processes", lambda workplace, _, told, *, devices, stop: in_this_process(workplace, told, stop)
    )


def _compare(losses: list[str | LossSpec], root: Path, runs: Path, **options: Any) -> mlrc.Result:
    return mlrc.compare(
        losses, dataset="glyphs", protocol="quick", changes=SMALL, root=root, runs=runs, device="cpu", **options
    )


def test_importing_the_face_imports_neither_torch_nor_pandas_nor_any_room_behind_it() -> None:
    program = "import sys; before = set(sys.modules); import mlrc; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names} == {"mlrc"}


def test_every_name_of_the_face_is_there_and_no_other() -> None:
    assert all(getattr(mlrc, name) is not None for name in mlrc.__all__)
    assert set(mlrc.__all__) <= set(dir(mlrc))
    assert mlrc.compare is mlrc.compare
    with pytest.raises(AttributeError, match="module 'mlrc' has no attribute 'compar'"):
        getattr(mlrc, "compar")  # noqa: B009 a type checker would refuse the attribute itself


def test_compare_writes_the_bytes_of_the_command(root: Path, loss_file: Path, tmp_path: Path) -> None:
    found = _compare(["contrastive", str(loss_file)], root, tmp_path / "face")
    words = ["run", "--dataset", "glyphs", "--protocol", "quick", *(f"--set={name}={SMALL[name]}" for name in SMALL)]
    places = ["--root", str(root), "--runs", str(tmp_path / "command"), "--device", "cpu"]
    result = CliRunner().invoke(app, [*words, *places, "--losses", f"contrastive,{loss_file}"])
    assert result.exit_code == 0, result.output
    for name in ("leaderboard.csv", "comparisons.csv"):
        assert (tmp_path / "face" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    # and the frames are what the files say
    written = (tmp_path / "face" / "leaderboard.csv").read_text(encoding="utf-8")
    assert found.leaderboard.to_csv(index=False, float_format="%.4f", lineterminator="\n") == written
    assert set(found.leaderboard["loss"]) == {"untrained", "contrastive", "pull"}
    assert set(zip(found.comparisons["first"], found.comparisons["second"], strict=True)) == {("contrastive", "pull")}
    (margin,) = (row for row in found.parameters.to_dict("records") if row["loss"] == "pull")
    assert margin["parameter"] == "margin"
    assert margin["searched"]
    assert margin["low"] == 0 <= margin["value"] <= 1 == margin["high"]
    assert dict(zip(found.cost["loss"], found.cost["jobs"], strict=True))["pull"] == 8
    assert mlrc.read(tmp_path / "face").leaderboard.equals(found.leaderboard)
    assert "| pull |" in found._repr_markdown_() == repr(found)
    assert "<table" in found._repr_html_()
    assert "seed noise only" in found._repr_html_()


def test_ctrl_c_reaches_the_caller_and_the_same_call_goes_on(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _compare(["contrastive"], root, tmp_path / "whole")
    before = signal.getsignal(signal.SIGINT)
    append, lines = Ledger.append, 0

    def interrupted(self: Any, records: Any) -> None:
        nonlocal lines
        append(self, records)
        lines += 1
        if lines == 4:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"Stopped \(Ctrl-C\) with \d+ trainings left; the same call goes"):
            _compare(["contrastive"], root, tmp_path / "stopped")
    assert signal.getsignal(signal.SIGINT) is before
    assert _compare(["contrastive"], root, tmp_path / "stopped").leaderboard.equals(whole.leaderboard)


def test_a_time_limit_is_an_error_that_says_what_is_left(root: Path, tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=r"Stopped \(the time limit\) with \d+ trainings left"):
        _compare(["contrastive"], root, tmp_path, stop_after="0.001s")


def test_what_does_not_fit_is_told_before_any_work(root: Path, tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="No loss named 'contrastve'. Did you mean 'contrastive'?"):
        _compare(["contrastve"], root, tmp_path / "runs")
    with pytest.raises(ValueError, match="'defined_here' must stand in a file.*%%writefile defined_here.py"):
        _compare([_spec("defined_here")], root, tmp_path / "runs")
    with pytest.raises(ValueError, match="The margin must be positive and at most 100, in percent points, but got 0"):
        _compare(["contrastive"], root, tmp_path / "runs", margin=0)
    assert not (tmp_path / "runs").exists()


def test_a_registered_loss_may_be_given_as_its_spec(root: Path, tmp_path: Path) -> None:
    assert set(_compare([SPEC], root, tmp_path).leaderboard["loss"]) == {"untrained", "contrastive"}


def test_check_takes_a_spec_that_stands_in_no_file() -> None:
    assert all(finding.ok for finding in mlrc.check(_spec("defined_here")))


def _spec(name: str) -> LossSpec:
    return mlrc.LossSpec(name=name, title="T", source="s", space=SPEC.space, build=SPEC.build, batch="pairs")


def test_evaluate_takes_arrays_tensors_lists_and_files(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(6), 5)
    embeddings = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32) + np.eye(6, 8)[labels]
    embeddings = embeddings.astype(np.float32)
    np.save(tmp_path / "E.npy", embeddings)
    np.save(tmp_path / "L.npy", labels)
    expected = mlrc.evaluate(embeddings, labels).metrics
    assert 0 < expected["MAP@R"] < 100
    assert mlrc.evaluate(str(tmp_path / "E.npy"), tmp_path / "L.npy").metrics == expected
    tensor = torch.from_numpy(embeddings).requires_grad_()
    assert mlrc.evaluate(tensor, torch.from_numpy(labels)).metrics == expected
    assert mlrc.evaluate(embeddings, labels.tolist()).metrics == expected
    halves = torch.from_numpy(embeddings).bfloat16()
    assert mlrc.evaluate(halves, labels).metrics == mlrc.evaluate(halves.float(), labels).metrics
