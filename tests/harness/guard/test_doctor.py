"""What `mlrc doctor` says of whole and of broken installations."""

import sys
from pathlib import Path

import pytest

from mlrc.harness.guard import doctor
from mlrc.harness.guard.doctor import examine


def install(site: Path, distribution: str, package: str) -> None:
    """Leave the traces of an installed distribution."""
    folder = site / f"{distribution.replace('-', '_')}-9.9.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 9.9\n")
    (folder / "top_level.txt").write_text(package + "\n")


def test_versions_devices_and_backends_are_named() -> None:
    found = examine()
    facts = dict(found.facts)
    assert facts["torch"].startswith("2.")
    assert facts["devices"].startswith("cpu (")
    assert facts["metrics backend torch"] == "yes"
    assert "faiss-cpu" in facts["metrics backend faiss"]
    assert found.problems == ()


def test_two_builds_of_faiss_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "faiss-gpu-cu12", "faiss")
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = examine().problems
    assert "faiss-cpu 1" in problem
    assert "faiss-gpu-cu12 9.9" in problem
    assert "pip uninstall faiss-cpu faiss-gpu-cu12" in problem


def test_no_faiss_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "packages_distributions", dict)
    found = examine()
    assert found.problems == ()
    assert "mlrc[faiss-cpu]" in dict(found.facts)["metrics backend faiss"]


@pytest.mark.parametrize("package", ["torch", "torchvision", "faiss"])
def test_a_package_that_does_not_import_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (problem,) = examine().problems
    assert problem.startswith(f"{package} does not import")


def test_a_plug_in_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "strange", "strange")
    entry = "[mlrc.protocols]\nodd = nowhere_at_all:PROTOCOL\n"
    (tmp_path / "strange-9.9.dist-info" / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = examine().problems
    assert problem.startswith("The protocol 'odd' of the distribution 'strange' does not import")


def test_a_missing_core_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CORE", (*doctor.CORE, "no-such-package"))
    found = examine()
    assert dict(found.facts)["no-such-package"] == "missing"
    assert found.problems == ("no-such-package must be installed, but is not; reinstall mlrc.",)


def test_a_version_outside_of_the_bounds_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = ["torch>=2.6", "torch>=99; extra == 'dev'", "optuna<6,>=5", "nowhere>=1"]
    assert doctor._outside_of_bounds(bounds) == [
        f"torch must be >=99, but is {doctor._version('torch')}; run: pip install 'torch>=99'."
    ]
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy<2"])
    assert any(problem.startswith("numpy must be <2, but is ") for problem in examine().problems)
