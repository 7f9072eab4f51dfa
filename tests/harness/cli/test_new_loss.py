"""`mlrc new-loss` writes a package that installs, passes its own tests and keeps the contract as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlrc.harness.cli.new_loss import write
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


def test_the_package_installs_passes_its_tests_and_keeps_the_contract(tmp_path: Path) -> None:
    folder, site = write("wobbly_margin", tmp_path), tmp_path / "site"
    assert folder == tmp_path / "wobbly_margin"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"pyproject.toml", "wobbly_margin.py", "tests/test_wobbly_margin.py"}
    install(folder, site)
    program = "from mlrc.harness.plugins import LOSSES; print(LOSSES.find('wobbly_margin').title)"
    assert run(tmp_path, site, "-c", program) == "Wobbly Margin\n"
    assert "18 passed" in run(folder, site, "-m", "pytest", "-q")  # its equation, and the contract's 17 promises


def test_a_package_passes_the_linter(tmp_path: Path) -> None:
    folder = write("wobbly_margin_loss", tmp_path)
    run(folder, folder, "-m", "ruff", "check", "--line-length", "120", "--select", "E,F,I,B,N,UP", str(folder))
    assert "class WobblyMarginLoss(" in (folder / "wobbly_margin_loss.py").read_text()


@pytest.mark.parametrize(
    "name", ["WobblyMargin", "wobbly-margin", "wobbly margin", "2nd", "_wobbly", "class", "", "../up"]
)
def test_a_name_that_is_no_name_of_a_loss_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be lower_case_with_underscores, but got"):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["proxy_anchor", "torch", "losses", "json"])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"must have a name of its own, but .*{name!r}.* choose another"):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "wobbly_margin").write_text("mine")
    with pytest.raises(FileExistsError, match="must not exist yet, but does; choose another name, or move it away"):
        write("wobbly_margin", tmp_path)
    assert (tmp_path / "wobbly_margin").read_text() == "mine"
