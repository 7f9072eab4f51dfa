"""Somebody who has only the wheel can do everything, in a folder of their own, without the repository."""

import json
import shutil
import signal
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mlrc.results.publishing.place import PUBLISHED
from mlrc.results.records.ledger import LEDGER
from tests.installation.environment import OFFLINE, ROOT, Fresh, build

SMALL = [
    f"--set={change}"
    for change in ("embedding_size=8", "iterations_per_epoch=1", "max_epochs=1", "trials=2", "repeats=2")
]
SUSPENDED = 75
MEBIBYTES = 8
"""Of the wheel at most. Where evidence outgrows it, leave the per-class sums of unprinted metrics out of the wheel."""


@pytest.fixture
def here(installed: Fresh, tmp_path: Path) -> Path:
    """An empty folder; from it `mlrc` is the wheel's."""
    assert installed.where(tmp_path).is_relative_to(installed.site)
    return tmp_path


def test_the_wheel_has_one_top_level_name_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"mlrc"}
    assert {name.split("/")[0] for name in names} == {"mlrc", "mlrc-0.1.0.dist-info"}
    assert not [name for name in names if "test" in name.lower() or "rendered/" in name or ".links" in name]
    assert len(names) == len(set(names))


def test_the_wheel_carries_what_is_published_but_what_is_rendered_and_stays_small(wheel: Path) -> None:
    carried = {name.removeprefix("mlrc/results/published/") for name in zipfile.ZipFile(wheel).namelist()}
    folder = PUBLISHED.resolve()
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    wanted = {name for name in there if not name.startswith("rendered/") and name != "README.md"}
    assert {"papers.csv", "splits.csv", "references/canary/ledger.jsonl"} < wanted
    assert wanted <= carried
    assert wheel.stat().st_size < MEBIBYTES * 2**20


def test_the_sdist_has_every_file_of_the_repository_and_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    packed = build(ROOT, tmp_path / "sdist", "sdist")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("mlrc-*")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:  # there is no history in an unpacked sdist
        missing = {
            name for name in listed.stdout.splitlines() if (ROOT / name).exists() and not (source / name).exists()
        }
        assert not missing
    again = build(source, tmp_path / "again", "wheel")
    assert _contents(again) == _contents(wheel)


def _contents(wheel: Path) -> dict[str, int]:
    return {member.filename: member.CRC for member in zipfile.ZipFile(wheel).infolist()}


def test_run_report_and_goldens_work(installed: Fresh, here: Path) -> None:
    installed.must(
        *("mlrc", "run", "--dataset", "glyphs", "--losses", "contrastive", "--protocol", "quick", "--workers", "2"),
        *SMALL,
        cwd=here,
    )
    assert "contrastive" in installed.must("mlrc", "report", "--runs", "runs", "--out", "report", cwd=here)
    assert (here / "report" / "report.html").is_file()
    told = installed.must("mlrc", "goldens", "--json", "goldens.json", cwd=here)
    assert "Drift of golden values: same" in told
    assert json.loads((here / "goldens.json").read_text())["verdict"] == "same"


def test_the_canary_begins_and_drift_finds_the_reference(installed: Fresh, here: Path) -> None:
    """The whole canary takes minutes, and `make guard` trains it; here it is stopped after its first training."""
    with subprocess.Popen(
        [installed.folder / "bin" / "mlrc", "canary", "--runs", "runs"],
        cwd=here,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as training:
        ledger = here / "runs" / LEDGER
        while training.poll() is None and not (ledger.is_file() and '"kind": "fold"' in ledger.read_text()):
            time.sleep(0.2)
        training.send_signal(signal.SIGTERM)
        _, told = training.communicate()
    assert training.returncode == SUSPENDED, told.decode()
    shutil.copytree(installed.site / "mlrc" / "results" / "published" / "references" / "canary", here / "again")
    assert "same" in installed.must("mlrc", "drift", "canary", "again", cwd=here)
    assert "same" in installed.must("mlrc", "drift", "grocery", "grocery", cwd=here)


def test_evaluate_works(installed: Fresh, here: Path) -> None:
    np.save(here / "e.npy", np.eye(6, dtype=np.float32))
    np.save(here / "l.npy", np.arange(6) // 2)
    assert "MAP@R" in installed.must("mlrc", "evaluate", "--embeddings", "e.npy", "--labels", "l.npy", cwd=here)


def test_a_new_loss_is_written_installed_and_checked(installed: Fresh, here: Path) -> None:
    installed.must("mlrc", "new-loss", "my_loss", cwd=here)
    installed.pip("install", *OFFLINE, here / "my_loss")
    try:
        assert "0 broken promises" in installed.must("mlrc", "check", "my_loss", cwd=here)
    finally:
        installed.pip("uninstall", "--quiet", "--yes", "my-loss")


def test_the_leaderboard_is_checked_as_far_as_it_is_there_and_never_written(installed: Fresh, here: Path) -> None:
    assert "The published evidence holds" in installed.must("mlrc", "leaderboard", "--check", cwd=here)
    for words in (
        ["leaderboard"],
        ["leaderboard", "add", "runs"],
        ["accept", "canary", "runs", "--reason", "because"],
        ["goldens", "--accept", "because"],
    ):
        refused = installed.run("mlrc", *words, cwd=here)
        assert refused.returncode == 2, refused.stderr
        assert "give a folder of your own with --published" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert "Problem" not in installed.run("mlrc", "doctor", cwd=here).stderr
