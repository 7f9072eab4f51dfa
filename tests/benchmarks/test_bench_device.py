"""The device benchmark in miniature on the CPU: the same code, small enough for every run of the suite."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.benchmarks import bench_device
from tests.benchmarks.bench_device import PARTS, main
from tests.benchmarks.device.setting import Measurement, Row, Setting

IN_THIS_PROCESS = [part for part in PARTS if part not in {"sharing", "study"}]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _start(out: Path, *words: str) -> int:
    return main(["--out", str(out), "--device", "cpu", "--small", *words])


def test_every_part_is_measured_once_in_miniature_and_told_in_a_table(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _start(tmp_path, *IN_THIS_PROCESS) == 0
    told = json.loads((tmp_path / "device.json").read_text())
    assert list(told["parts"]) == IN_THIS_PROCESS
    assert told["surroundings"]["device"] == "cpu"
    assert told["surroundings"]["torch"] == torch.__version__.partition("+")[0]
    found = {one["name"]: one["found"] for part in told["parts"].values() for one in part}
    assert found["small_conv, contrastive"]["two trainings"] == "same bits"
    assert found["small_conv, contrastive"]["stopped and gone on"] == "same bits"
    assert found["5924x128, ours, device"]["MAP@R"] == pytest.approx(found["5924x128, PML with faiss, cores"]["MAP@R"])
    assert found["a job, the device against the cores"]["after 1 steps"] == 0
    assert 0 < found["as a job is set up"]["convolution, relative error"] < 1e-6
    table = (tmp_path / "device.md").read_text()
    assert all(f"### {part}\n" in table for part in IN_THIS_PROCESS)
    assert all(f"| {name} |" in table for name in found)
    capfd.readouterr()

    assert _start(tmp_path, *IN_THIS_PROCESS) == 0
    assert capfd.readouterr().out == ""
    assert json.loads((tmp_path / "device.json").read_text()) == told


def test_a_measurement_that_fails_costs_no_other_and_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([RuntimeError("no such kernel"), 2, 1])

    def measure() -> dict[str, object]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return {"ms": answer}

    monkeypatch.setattr(bench_device, "PARTS", {"made_up": lambda setting: iter([("a/b", measure), ("c", measure)])})
    assert _start(tmp_path) == 1
    first = json.loads((tmp_path / "device.json").read_text())["parts"]["made_up"]
    assert [one.get("failed") for one in first] == ["RuntimeError: no such kernel", None]
    assert "| a/b | RuntimeError: no such kernel | – |" in (tmp_path / "device.md").read_text()
    assert _start(tmp_path) == 0
    again = json.loads((tmp_path / "device.json").read_text())["parts"]["made_up"]
    assert {one["name"]: one["found"] for one in again} == {"a/b": {"ms": 1}, "c": {"ms": 2}}


def test_none_is_begun_that_is_not_asked_for_or_after_the_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def measurements(setting: Setting) -> Iterator[Measurement]:
        for name in ("K = 1", "K = 2"):

            def measure(name: str = name) -> Row:
                taken.append(name)
                return {}

            yield name, measure

    monkeypatch.setattr(bench_device, "PARTS", {"made_up": measurements})
    assert _start(tmp_path, "--seconds", "0") == 0
    assert taken == []
    assert _start(tmp_path, "--only", "K = 2") == 0
    assert taken == ["K = 2"]


@pytest.mark.slow
def test_trainings_share_the_device_and_whole_studies_agree_in_miniature(tmp_path: Path) -> None:
    assert _start(tmp_path, "sharing", "study") == 0
    parts = json.loads((tmp_path / "device.json").read_text())["parts"]
    assert parts["sharing"][0]["found"]["trainings"] == 2
    assert parts["study"][-1]["found"]["drift"] == "same"
