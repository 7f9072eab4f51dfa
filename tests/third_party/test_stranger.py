"""A stranger's loss, installed as a package of its own, is found and checked like ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pip import install

PACKAGE = Path(__file__).parent / "prototypical"


def in_its_company(site: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with the stranger's package installed."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package by pip, without network, into a folder of its own."""
    target = tmp_path_factory.mktemp("site")
    install(PACKAGE, target)
    return target


def test_it_is_found_beside_ours(site: Path, tmp_path: Path) -> None:
    program = (
        "from mlrc.harness.plugins import LOSSES\n"
        "assert {'prototypical', 'proxy_anchor'} <= set(LOSSES.names())\n"
        "print(LOSSES.find('prototypical').title)\n"
    )
    done = in_its_company(site, "-c", program, folder=tmp_path)
    assert done.stdout == "Prototypical\n", done.stderr


def test_it_is_its_equation_and_keeps_the_contract_by_its_own_tests(site: Path, tmp_path: Path) -> None:
    alone = "--rootdir", str(tmp_path), "--confcutdir", str(PACKAGE), "-c", os.devnull
    arguments = "-m", "pytest", "-q", str(PACKAGE), *alone
    done = in_its_company(site, *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "18 passed" in done.stdout
