"""Ours beside what users of such a tool have: `losses.py`, `results/`, `harness.py`, and wheels with a `losses/`."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.installation.environment import OFFLINE, ROOT, Fresh, build, fresh

NAMES = ("harness", "losses", "protocols", "results")
SMALL = [
    f"--set={change}"
    for change in (
        "embedding_size=8",
        "iterations_per_epoch=1",
        "max_epochs=1",
        "trials=1",
        "startup_trials=1",
        "repeats=1",
    )
]
RUN = ("mlrc", "run", "--dataset", "glyphs", "--losses", "contrastive", "--protocol", "quick", "--workers", "1", *SMALL)
TRAIN = """
from losses import mine
from mlrc.harness.plugins import LOSSES

assert mine == "a stranger's"
print(LOSSES.find("contrastive").name)
"""
TELL = """
import atexit, json, os, sys


def tell():
    files = {name: os.path.realpath(module.__file__) for name, module in list(sys.modules.items())
             if isinstance(getattr(module, "__file__", None), str)}
    with open(os.path.join(os.environ["TOLD"], f"{os.getpid()}.json"), "w") as file:
        json.dump(files, file)


if os.environ.get("TOLD"):
    atexit.register(tell)
"""
"""Each Python of an environment, the spawned workers too, tells at its end which modules it has, and their files."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A stranger's repository, whose files have the names of our folders and must not be taken for ours."""
    for name in ("harness", "protocols"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a stranger was imported')\n")
    (tmp_path / "losses.py").write_text('mine = "a stranger\'s"\n')
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "__init__.py").write_text("raise RuntimeError('a stranger was imported')\n")
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


@pytest.mark.parametrize("path", [{}, {"PYTHONPATH": "."}], ids=["bare", "with PYTHONPATH=."])
def test_all_works_in_a_strangers_repository(installed: Fresh, repository: Path, path: dict[str, str]) -> None:
    assert installed.where(repository, **path).is_relative_to(installed.site)
    assert installed.must("python", "train.py", cwd=repository, **path) == "contrastive\n"
    assert "contrastive" in installed.must(*RUN, cwd=repository, **path)
    assert "Problem" not in installed.run("mlrc", "doctor", cwd=repository, **path).stderr


def test_a_strangers_wheel_comes_and_goes_beside_ours(installed: Fresh, tmp_path: Path) -> None:
    package = tmp_path / "stranger"
    (package / "losses").mkdir(parents=True)
    (package / "losses" / "__init__.py").write_text('mine = "a stranger\'s"\n')
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "stranger"\nversion = "1"\n[tool.hatch.build.targets.wheel]\nonly-include = ["losses"]\n'
    )
    before = _ours(installed)
    installed.pip("install", *OFFLINE, build(package, tmp_path / "dist", "wheel"))
    use = "import losses; from mlrc.losses.contrastive import SPEC; print(losses.mine, SPEC.name)"
    try:
        assert installed.must("python", "-c", use, cwd=tmp_path) == "a stranger's contrastive\n"
    finally:
        installed.pip("uninstall", "--quiet", "--yes", "stranger")
    assert _ours(installed) == before
    assert not (installed.site / "losses").exists()


def _ours(environment: Fresh) -> dict[str, bytes]:
    files = (environment.site / "mlrc").rglob("*.py")
    return {str(path): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fresh, Path]:
    """A checkout called `mlrc`, unpacked from the sdist and installed editable, and its environment."""
    folder = tmp_path_factory.mktemp("parent")
    shutil.unpack_archive(build(ROOT, folder / "sdist", "sdist"), folder, filter="data")
    (unpacked,) = folder.glob("mlrc-*")
    source = unpacked.rename(folder / "mlrc")
    environment = fresh(folder / "env")
    environment.pip("install", *OFFLINE, "--editable", source)
    (environment.site / "tell.py").write_text(TELL)
    (environment.site / "tell.pth").write_text("import tell\n")
    return environment, source


def test_beside_a_checkout_called_mlrc_its_editable_installation_is_found(checkout: tuple[Fresh, Path]) -> None:
    environment, source = checkout
    for path in ({}, {"PYTHONPATH": "."}):
        assert environment.where(source.parent, **path).resolve() == source / "mlrc" / "__init__.py"
        assert "Problem" not in environment.run("mlrc", "doctor", cwd=source.parent, **path).stderr


def test_no_file_is_imported_under_two_names_in_a_checkout(checkout: tuple[Fresh, Path], tmp_path: Path) -> None:
    environment, source = checkout
    work, told = tmp_path / "work", tmp_path / "told"
    work.mkdir()
    told.mkdir()
    environment.must(*RUN, "--runs", str(work), "--root", str(work), cwd=source, PYTHONPATH=".", TOLD=str(told))
    processes = [json.loads(path.read_text()) for path in told.iterdir()]
    trained = [modules for modules in processes if "mlrc.harness.training.fold" in modules]
    assert len(processes) > 1
    assert trained
    for modules in processes:
        ours = [file for name, file in modules.items() if Path(file).is_relative_to(source) and name != "__main__"]
        assert len(ours) == len(set(ours))
        assert not set(NAMES) & {name.partition(".")[0] for name in modules}


def test_setup_notices_missing_links(checkout: tuple[Fresh, Path]) -> None:
    environment, source = checkout
    links = [source / ".links" / "mlrc", *(source / "mlrc" / name for name in NAMES)]
    for link in links:
        link.unlink()
    (source / ".venv").symlink_to(environment.folder)
    (source / ".venv" / ".installed").touch()
    subprocess.run(["make", "setup"], cwd=source, check=True, capture_output=True)
    assert all(link.is_dir() for link in links)
    assert environment.where(source.parent).resolve() == source / "mlrc" / "__init__.py"
