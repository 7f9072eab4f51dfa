"""Every recipe of docs/losses.md is a whole file that keeps the contract and trains, as the page says."""

import re
from pathlib import Path

import pytest

import mlrc
from mlrc.harness.study import conduct
from tests.harness.in_this_process import in_this_process

PAGE = Path(__file__).parents[1] / "docs" / "losses.md"
RECIPES = {
    re.findall(r'^    name="(\w+)"', text, flags=re.M)[0]: text
    for text in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)
}
SMALL = {
    "embedding_size": 8,
    "batch_size": 8,
    "iterations_per_epoch": 2,
    "max_epochs": 1,
    "validation_interval": 1,
    "folds": 1,
    "trials": 1,
    "startup_trials": 1,
    "repeats": 1,
    "resize": 16,
    "crop": 16,
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Write every recipe into a file of its own."""
    paths = {name: tmp_path / f"{name}.py" for name in RECIPES}
    for name, path in paths.items():
        path.write_text(RECIPES[name], encoding="utf-8")
    return paths


def test_there_is_a_recipe_for_each_kind() -> None:
    headings = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.M)
    assert len(RECIPES) == len(headings) - 1 == 8  # the last is in all of them


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_keeps_the_contract(name: str, files: dict[str, Path]) -> None:
    findings = mlrc.check(str(files[name]))
    assert [finding.sentence for finding in findings if not finding.ok] == []


def test_every_recipe_trains(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conduct, "in_processes", lambda workplace, _, told, **rest: in_this_process(workplace, told))
    found = mlrc.compare(
        [str(path) for path in files.values()],
        dataset="glyphs",
        protocol="quick",
        changes=SMALL,
        root=tmp_path / "root",
        runs=tmp_path / "runs",
        device="cpu",
    )
    assert set(found.leaderboard["loss"]) == {"untrained", *RECIPES}
    assert set(found.parameters["loss"]) == set(RECIPES)
    assert (found.cost["jobs"] > 0).all()
