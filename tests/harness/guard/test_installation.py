"""What `mlrc doctor` says of files of ours that are shadowed, changed or gone, and of a misfit torchvision."""

import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import mlrc
from mlrc.harness.guard import doctor, installation
from mlrc.harness.guard.doctor import examine
from mlrc.harness.guard.installation import faults

RECORD = """\
mlrc/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
mlrc/losses.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
mlrc-9.dist-info/RECORD,,
"""
"""Of two empty files."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole installation of ours from a wheel, which is the one imported."""
    folder = tmp_path / "site"
    (folder / "mlrc").mkdir(parents=True)
    for name in ("__init__.py", "losses.py"):
        (folder / "mlrc" / name).touch()
    (folder / "mlrc-9.dist-info").mkdir()
    (folder / "mlrc-9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mlrc\nVersion: 9\n")
    (folder / "mlrc-9.dist-info" / "RECORD").write_text(RECORD)
    monkeypatch.setattr(installation, "distribution", lambda _: Distribution.at(folder / "mlrc-9.dist-info"))
    monkeypatch.setattr(mlrc, "__file__", str(folder / "mlrc" / "__init__.py"))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder


def test_a_whole_installation_has_no_fault(site: Path) -> None:
    assert faults() == []


def test_a_changed_and_a_missing_file_are_named_with_the_way_out(site: Path) -> None:
    (site / "mlrc" / "losses.py").write_text("# a stranger's\n")
    assert faults() == [
        "The files of mlrc must be those that were installed, but mlrc/losses.py is changed; run: "
        "pip install --force-reinstall --no-deps mlrc==9"
    ]
    (site / "mlrc" / "losses.py").unlink()
    assert "mlrc/losses.py is missing; run" in faults()[0]


@pytest.mark.parametrize("name", ["mlrc.py", "mlrc/__init__.py"])
@pytest.mark.parametrize("way", ["the folder of work", "PYTHONPATH"])
def test_a_foreign_module_of_our_name_is_told(
    name: str, way: str, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = tmp_path / "work" / name
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    if way == "PYTHONPATH":
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "work"))
    else:
        monkeypatch.chdir(tmp_path / "work")
    (sentence,) = faults()
    assert f"takes {foreign} for mlrc in place of what is installed in {site / 'mlrc'}; rename" in sentence


def test_a_folder_of_our_name_without_a_module_harms_nothing(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work" / "mlrc").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert faults() == []


def test_another_copy_that_is_imported_in_place_of_the_installed_one_is_told(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlrc, "__file__", str(tmp_path / "old" / "mlrc" / "__init__.py"))
    (sentence,) = faults()
    assert f"must be imported from {site / 'mlrc'}, where it is installed, but comes from" in sentence
    assert sentence.endswith("take that out of PYTHONPATH, or uninstall one of the two.")


def test_two_distributions_that_bring_our_name_are_told(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "packages_distributions", lambda: {"mlrc": ["mlrc", "another"]})
    (sentence,) = faults()
    assert "run: pip uninstall another, then reinstall mlrc." in sentence


def test_the_doctor_tells_the_faults_of_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "faults", lambda: ["A fault."])
    assert examine().problems == ("A fault.",)


def test_a_torchvision_without_its_operators_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "ops", SimpleNamespace(torchvision=SimpleNamespace()))
    (problem,) = examine().problems
    assert "no torchvision::nms" in problem
    assert problem.endswith(
        "install torch and torchvision from the same package index, in versions that belong together."
    )


def test_a_torchvision_that_cannot_be_imported_beside_this_torch_is_told_with_both_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(name: str) -> object:
        return RuntimeError("operator torchvision::nms does not exist") if name == "torchvision" else sys.modules[name]

    monkeypatch.setattr(doctor, "_import", broken)
    (problem,) = examine().problems
    assert "operator torchvision::nms does not exist" in problem
    assert f"torch {distribution('torch').version} and torchvision" in problem


def test_a_torchvision_that_is_built_for_another_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy", "torch==1.2.3", "pillow!=8.3,>=5.3"]
    monkeypatch.setattr(doctor, "requires", lambda name: wanted if name == "torchvision" else [])
    (problem,) = examine().problems
    assert problem.startswith("torchvision is built for torch 1.2.3, but there are torch ")
