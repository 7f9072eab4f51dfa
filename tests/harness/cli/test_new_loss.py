"""`mlrc new-loss` writes a package that installs, passes its own tests and keeps the contract as it stands."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlrc.harness.cli.new_loss.writing import KINDS, Kind, write_file, write_package
from tests.pip import install


def run(folder: Path, site: Path, *arguments: str) -> str:
    """Run Python with the new package installed; give what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_package_installs_passes_its_tests_and_keeps_the_contract(kind: Kind, tmp_path: Path) -> None:
    folder, site = write_package("wobbly_margin", tmp_path, kind), tmp_path / "site"
    assert folder == tmp_path / "wobbly_margin"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"pyproject.toml", "wobbly_margin.py", "tests/test_wobbly_margin.py"}
    install(folder, site)
    program = "from mlrc.harness.plugins import LOSSES; print(LOSSES.find('wobbly_margin').title)"
    assert run(tmp_path, site, "-c", program) == "Wobbly Margin\n"
    assert "18 passed" in run(folder, site, "-m", "pytest", "-q")  # its equation, and the contract's 17 promises


def test_a_file_is_a_loss_by_its_path(tmp_path: Path) -> None:
    path = write_file("wobbly_margin", tmp_path, "pair")
    program = "import mlrc; print(all(finding.ok for finding in mlrc.check('./wobbly_margin.py')))"
    assert path == tmp_path / "wobbly_margin.py"
    assert run(tmp_path, tmp_path / "nowhere", "-c", program) == "True\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_passes_the_linter(kind: Kind, tmp_path: Path) -> None:
    folder = write_package("wobbly_margin_loss", tmp_path, kind)
    run(folder, folder, "-m", "ruff", "check", "--line-length", "120", "--select", "E,F,I,B,N,UP", str(folder))
    assert "class WobblyMarginLoss(" in (folder / "wobbly_margin_loss.py").read_text()


@pytest.fixture(params=[write_file, write_package])
def write(request: pytest.FixtureRequest) -> Callable[[str, Path], Path]:
    """Give either way to write a loss."""
    found: Callable[[str, Path], Path] = request.param
    return found


@pytest.mark.parametrize(
    "name", ["WobblyMargin", "wobbly-margin", "wobbly margin", "2nd", "_wobbly", "class", "", "../up"]
)
def test_a_name_that_is_no_name_of_a_loss_is_refused(
    name: str, write: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="must be lower_case_with_underscores, but got"):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["proxy_anchor", "torch", "losses", "json"])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"must have a name of its own, but .*{name!r}.* choose another"):
        write_package(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["untrained", "pca"])
def test_the_name_of_a_row_that_no_loss_made_is_refused(
    name: str, write: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"must have a name of its own, but '{name}' is that of a row"):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_never_overwritten(write: Callable[[str, Path], Path], tmp_path: Path) -> None:
    for name in ("wobbly_margin", "wobbly_margin.py"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="must not exist yet, but does; choose another name, or move it away"):
        write("wobbly_margin", tmp_path)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"mine"}
