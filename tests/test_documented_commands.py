"""Every command that README and docs show is executed as it stands there, in a world made small.

Protocols, datasets and weights keep their names and become tiny; trainings run in this process. What is no command of
ours is named in `ELSEWHERE` with the place that executes it.
"""

import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from torchvision.models import squeezenet1_1
from typer.testing import CliRunner

from mlrc.harness.cli import app
from mlrc.harness.guard import canary, verify
from mlrc.harness.images.dataset import DATASETS, ArrayPixels, Dataset, ImageSet
from mlrc.harness.machine import environment
from mlrc.harness.plugins import PROTOCOLS, Kind
from mlrc.harness.study import conduct
from mlrc.harness.trunks import small_conv
from mlrc.protocols.datasets.facts import DatasetFacts
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.quick import QUICK
from tests.harness.in_this_process import in_this_process
from tests.harness.study.kept_models import kept
from tests.pip import install

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "results").glob("**/README.md")])
ELSEWHERE = {
    "make": "continuous integration runs it",
    "ray": "a program of Ray, see tests/harness/engine/cluster/test_nodes.py",
    "sbatch": "a program of Slurm",
    "srun": "a program of Slurm",
    "kubectl": "a program of Kubernetes",
    "helm": "a program of Kubernetes",
    "optuna-dashboard": "a program of Optuna",
    "tensorboard": "a program of TensorBoard",
    "git": "no part of this project",
}
SMALL = ("trials=1", "startup_trials=1", "repeats=2", "iterations_per_epoch=2", "max_epochs=2", "validation_interval=1")
FIND = Kind.find
"""Finds plug-ins as they are, for the golden values, which are of whole protocols."""
STATUSES = {"drift": {0, 1, 3, 4}}
"""Exit statuses that are answers; of all other commands it is 0."""


def _commands(page: Path) -> list[str]:
    """Give the commands in the code blocks of a page, continued lines joined."""
    text = re.sub(r"^```(?!sh|bash|console)\w+\n.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    fenced, found = False, []
    for line in lines:
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            words = line.strip().removeprefix("$ ")
            if re.match(r"(mlrc|pip|python|" + "|".join(ELSEWHERE) + r")\b", words):
                found.append(words)
    return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make everything small, and give the working folder with the files that the pages name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(canary, "PROTOCOL", _small(QUICK))
    for module in (conduct, verify):
        monkeypatch.setattr(module, "in_processes", lambda workplace, _, told, **rest: in_this_process(workplace, told))
    monkeypatch.setattr(environment, "_commit", lambda: None)  # as installed, whatever is changed in this checkout
    environment.current.cache_clear()
    (tmp_path / "mine.toml").write_text('parent = "quick"\n', encoding="utf-8")

    def find_small(kind: Kind[Any], name: str) -> Any:
        found = FIND(kind, name)
        return _tiny(found) if kind is DATASETS else _small(found) if kind is PROTOCOLS else found

    monkeypatch.setattr(Kind, "find", find_small)
    torch.save(small_conv.build(1).state_dict(), "bn_inception-52deb4733.pth")
    torch.save(small_conv.build(1).state_dict(), "resnet50-0676ba61.pth")
    torch.save(squeezenet1_1(weights=None).state_dict(), "squeezenet1_1.pth")
    (tmp_path / "DIR").mkdir()
    generator = np.random.default_rng(0)
    np.save("E.npy", generator.standard_normal((40, 8)).astype(np.float32))
    np.save("L.npy", np.repeat(np.arange(8), 5))
    (tmp_path / "runs" / "models").mkdir(parents=True)
    kept(tmp_path / "runs" / "models")
    for place in range(4):
        Path("photographs", f"class {place // 2}").mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(Path("photographs", f"class {place // 2}", f"{place}.png"))
    return tmp_path


def _small(protocol: Protocol) -> Protocol:
    if protocol.validation_fraction == 0 or protocol.two_stages:  # the traditional ones keep their shape
        rules = ["iterations_per_epoch=2", "max_epochs=2", "warm_up=1", "repeats=2", "resize=8", "crop=8", "cut=half"]
        look = ["trunk=small_conv", "weights=", "channels=grey", "mean=0.5", "std=0.5"]
        return replace(protocol.set([*rules, *look, "embedding_size=4", "batch_size=8"]), name=protocol.name)
    return replace(QUICK.set([*SMALL, "batch_size=8", "resize=8", "crop=8", "embedding_size=4"]), name=protocol.name)


def _tiny(dataset: Dataset) -> Dataset:
    facts = DatasetFacts(name=dataset.facts.name, title=dataset.facts.title, source="made up", licence="none")
    classes, per_class, side = 16, 6, 8
    generator = np.random.default_rng(0)
    array = generator.integers(0, 256, (classes * per_class, side, side, 1)).astype(np.uint8)
    images = ImageSet(
        facts=replace(facts, official_trainval_classes=classes // 2),
        fingerprint="0123456789abcdef",
        labels=np.repeat(np.arange(classes), per_class),
        class_names=tuple(map(str, range(classes))),
        pixels=ArrayPixels(array),
    )
    return replace(dataset, open=lambda root: images)


@pytest.mark.parametrize("page", [page for page in PAGES if _commands(page)], ids=lambda page: page.name)
@pytest.mark.filterwarnings("ignore::UserWarning")  # too little is trained for plots to have a range
def test_every_command_of_a_page_does_what_it_says(page: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in _commands(page):
        words = shlex.split(command, comments=True)
        program, *rest = words
        if program in ELSEWHERE:
            continue
        if program == "pip":
            _install(rest, world, monkeypatch)
        elif "--ray" in words:
            _parse(rest)  # a cluster is no part of this world
        else:
            for name in {"REFERENCE", "CANDIDATE"} & set(words):
                shutil.copytree("runs", name)
            assert program == "mlrc", f"{command!r} is run by nobody"
            with pytest.MonkeyPatch.context() as as_it_is:
                if rest[0] == "goldens":
                    as_it_is.setattr(Kind, "find", FIND)
                found = CliRunner().invoke(app, rest)
            assert found.exit_code in STATUSES.get(rest[0], {0}), f"{command}\n{found.output}\n{found.exception!r}"


def _install(words: list[str], world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package from a folder beside this environment; what comes from an index is there already."""
    folder = words[-1]
    if (world / folder).is_dir():
        target = world / "site"
        install(world / folder, target)
        monkeypatch.syspath_prepend(str(target))


def _parse(words: list[str]) -> None:
    """Check that a command has these options, and do not run it."""
    group = typer.main.get_command(app)
    command = group.get_command(group.make_context("mlrc", ["--help"], resilient_parsing=True), words[0])  # type: ignore[attr-defined]
    command.make_context(words[0], words[1:])


def test_what_is_executed_elsewhere_is_shown_somewhere() -> None:
    shown = {shlex.split(command, comments=True)[0] for page in PAGES for command in _commands(page)}
    assert "mlrc" in shown
    assert set(ELSEWHERE) & shown
