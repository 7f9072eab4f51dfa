"""What `mlrc doctor` says: what this installation has, and what is wrong with it.

Every package is asked inside a guard: the one that does not import is the one to name.
"""

import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from types import ModuleType

from packaging.requirements import Requirement

from mlrc.harness.guard.installation import faults
from mlrc.harness.machine import mps

CORE = ("mlrc", "torch", "torchvision", "pytorch-metric-learning", "optuna", "numpy", "scipy", "pandas")
PLUGINS = (
    ("mlrc.harness.plugins", "LOSSES"),
    ("mlrc.harness.plugins", "PROTOCOLS"),
    ("mlrc.harness.images.dataset", "DATASETS"),
    ("mlrc.harness.trunks.trunk", "TRUNKS"),
)
"""Where each kind of plug-in is found."""
OPTIONAL = ("scikit-learn", "timm", "tensorboard", "ray")

_PINNED = re.compile(r"torch\s*\(?==\s*([\w.]+)")
"""The requirement by which a torchvision names the one torch whose binary interface it fits."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found.

    Attributes:
        facts: pairs of a name and what is there.
        problems: sentences, each with the way out; empty when all is well.
    """

    facts: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


def examine() -> Diagnosis:
    """Look at versions, devices and search backends."""
    facts: list[tuple[str, str]] = [
        ("python", platform.python_version()),
        ("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"),
        *((name, _version(name) or "missing") for name in CORE),
        *((name, _version(name) or "not installed (optional)") for name in OPTIONAL),
    ]
    problems: list[str] = [
        f"{name} must be installed, but is not; reinstall mlrc." for name in CORE if not _version(name)
    ]
    problems += _outside_of_bounds(requires("mlrc") or [])
    problems += faults()
    for look in (_torch, _torchvision, _faiss, _plugins):
        found, wrong = look()
        facts += found
        problems += wrong
    return Diagnosis(facts=tuple(facts), problems=tuple(problems))


Findings = tuple[list[tuple[str, str]], list[str]]


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _outside_of_bounds(requirements: Iterable[str]) -> list[str]:
    """Name what is installed in a version that mlrc was not made for; an extra's package counts where it is there."""
    problems = []
    for one in map(Requirement, requirements):
        there = _version(one.name)
        if there and not one.specifier.contains(there, prereleases=True):
            sentence = (
                f"{one.name} must be {one.specifier}, but is {there}; run: pip install '{one.name}{one.specifier}'"
            )
            problems.append(f"{sentence}.")
    return sorted(set(problems))


def _import(name: str) -> ModuleType | Exception:
    try:
        return import_module(name)
    except Exception as error:  # noqa: BLE001 - a broken binary package fails in any way
        return error


def _torch() -> Findings:
    torch = _import("torch")
    if isinstance(torch, Exception):
        return [], [f"torch does not import ({torch}); reinstall it."]
    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    for index in range(torch.cuda.device_count()):
        place = torch.cuda.get_device_properties(index)
        devices.append(f"cuda:{index} ({place.name}, {place.total_memory / 2**30:.0f} GiB)")
    if torch.version.cuda and not torch.cuda.is_available():
        devices.append(f"no cuda (this torch is built for CUDA {torch.version.cuda}, but no GPU answers)")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [("devices", ", ".join(devices)), ("NVIDIA's MPS", mps.told()), ("metrics backend torch", "yes")], []


def _torchvision() -> Findings:
    torch, torchvision = _import("torch"), _import("torchvision")
    pair = f"torch {_version('torch')} and torchvision {_version('torchvision')}"
    way_out = "install torch and torchvision from the same package index, in versions that belong together."
    if isinstance(torchvision, Exception):
        return [], [f"torchvision does not import ({torchvision}); there are {pair}: {way_out}"]
    if isinstance(torch, Exception):
        return [], []
    if not hasattr(torch.ops.torchvision, "nms"):
        return [], [
            f"torchvision's operators must fit torch, but those of {pair} do not (no torchvision::nms); {way_out}"
        ]
    wanted = next((_PINNED.match(line) for line in requires("torchvision") or () if _PINNED.match(line)), None)
    if wanted and (_version("torch") or "").partition("+")[0] != wanted[1]:
        return [], [f"torchvision is built for torch {wanted[1]}, but there are {pair}; {way_out}"]
    return [], []


def _plugins() -> Findings:
    """Import every plug-in, ours and a stranger's, and name those that cannot be used."""
    if any(isinstance(_import(name), Exception) for name in ("torch", "torchvision")):
        return [], []  # which is named; without them hardly any plug-in imports
    problems: list[str] = []
    for place, kind in PLUGINS:
        module = _import(place)
        if isinstance(module, Exception):
            problems.append(f"{place} does not import ({module}); reinstall mlrc.")
        else:
            problems += getattr(module, kind).survey().failures.values()
    return [], problems


def _faiss() -> Findings:
    builds = sorted(set(packages_distributions().get("faiss", ())))
    if not builds:
        return [("metrics backend faiss", "not installed (optional): mlrc[faiss-cpu] or mlrc[faiss-gpu]")], []
    named = " and ".join(f"{build} {_version(build)}" for build in builds)
    problems: list[str] = []
    if len(builds) > 1:
        problems.append(
            f"One build of faiss must be installed, but there are {named}, which overwrite each other's files; "
            f"run: pip uninstall {' '.join(builds)}, then install one of them."
        )
    faiss = _import("faiss")
    if isinstance(faiss, Exception):
        return [("metrics backend faiss", "broken")], [*problems, f"faiss does not import ({faiss}); reinstall it."]
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    return [("metrics backend faiss", f"yes ({named}; cpu{f', {gpus} GPUs' if gpus else ' only'})")], problems
