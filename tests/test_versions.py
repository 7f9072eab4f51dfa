"""Every package has a lowest and a newest version that was tried, and a failure names the package it comes from."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests import versions

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NO_BEHAVIOUR = {"pandas-stubs", "scipy-stubs"}
"""Types alone, which go with the package that they describe."""
NOT_HERE = {"faiss-gpu-cu12", "pillow-heif"}
"""Needs a GPU; is no part of the tests' environment."""


def _requirements() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def test_every_lower_bound_is_a_version_that_was_tried() -> None:
    lowest = versions.constraints("lowest")
    bounds = {
        one.name: specifier.version
        for one in _requirements()
        for specifier in one.specifier
        if specifier.operator == ">="
    }
    assert bounds.keys() - NOT_HERE == lowest.keys()
    assert {name: Version(low) for name, low in lowest.items()} == {
        name: Version(bound) for name, bound in bounds.items() if name not in NOT_HERE
    }
    assert {one.name for one in _requirements()} - lowest.keys() == NO_BEHAVIOUR | NOT_HERE


def test_every_package_has_a_newest_version_that_was_tried() -> None:
    lowest, newest = versions.constraints("lowest"), versions.constraints("newest")
    assert newest.keys() == lowest.keys()
    assert all(Version(lowest[name]) <= Version(newest[name]) for name in newest)


def test_a_version_that_was_never_tried_is_told_with_those_that_were(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = {"lowest": {"torch": "2.6.0"}, "newest": {"torch": "2.14.1"}}
    monkeypatch.setattr(versions, "constraints", tried.__getitem__)
    assert versions.told("torch", "2.6.0") == "torch 2.6.0"
    assert versions.told("torch", "2.13.0+cpu") == "torch 2.13.0+cpu"
    assert versions.told("torch", "2.15.0") == "torch 2.15.0 (tried: 2.6.0 to 2.14.1)"
    assert versions.told("pip", "99") == "pip 99"
    monkeypatch.setattr(versions, "version", lambda name: "2.15.0")
    assert versions.header() == ["packages: torch 2.15.0 (tried: 2.6.0 to 2.14.1)"]


INNER = """
import warnings, numpy, pytest
def test_inside():
    numpy.linalg.inv(numpy.zeros((2, 2)))
def test_of_ours():
    warnings.warn("ours", DeprecationWarning)
    assert False
"""


def test_a_failure_names_the_package_that_it_was_raised_inside_of(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(INNER, encoding="utf-8")
    options = ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert re.findall(r"-+ raised inside of -+\n(.*)", done.stdout) == [f"numpy {version('numpy')}"]
    assert done.stdout.count("2 failed") == 1


@pytest.mark.slow
@pytest.mark.network
def test_the_default_run_passes_on_the_lowest_versions(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "-c", "tests/lowest.txt", "-e", ".[dev]"]
    subprocess.run(install, cwd=clone, check=True)
    subprocess.run([python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"], cwd=clone, check=True)
