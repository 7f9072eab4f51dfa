"""Where a record was made: commit, versions, device, host. Asked once by the driver, written into every record."""

import platform
import socket
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mlrc.results.records.record import Environment

PACKAGES = ("torch", "torchvision", "pytorch-metric-learning", "optuna", "greenlet", "numpy", "scipy", "pillow", "mlrc")
OPTIONAL_PACKAGES = ("scikit-learn", "timm")
"""Recorded where they are installed: NMI and some trunks are theirs."""


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1` or `mps` into a device that is there, with its number where it has one.

    Raises:
        ValueError: there is no such device on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if (asked := torch.device(name)).type == "cuda":
            return _there(asked)
        device = torch.empty(1, device=name).device
    except (RuntimeError, AssertionError, ValueError, OverflowError, ImportError) as error:
        raise ValueError(f"The device {name!r} cannot be used here ({error}); use --device cpu or auto.") from error
    if device.type == "meta":  # whose tensors have no numbers
        raise ValueError(f"The device {name!r} must hold numbers, but does not; use --device cpu or auto.")
    return device


def _there(asked: torch.device) -> torch.device:
    """Give a CUDA device with its number; nothing is made on it, for a context takes hundreds of MiB of its memory.

    Raises:
        ValueError: there is none of that number.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    unnumbered = asked == torch.device("cuda")
    if unnumbered and torch.cuda.is_initialized():  # type: ignore[no-untyped-call] # torch leaves it so
        return torch.device("cuda", torch.cuda.current_device())
    number = 0 if unnumbered else asked.index
    if not 0 <= number < count:
        built = f"this torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "this torch has no CUDA"
        raise ValueError(f"{built}, and {count} of its devices answer")
    return torch.device("cuda", number)


def resolve_devices(names: str) -> tuple[torch.device, ...]:
    """Turn `auto`, `cuda` (all there are) or names separated by commas into devices that are there.

    Raises:
        ValueError: one is not, or is named twice.
    """
    if names in {"auto", "cuda"} and torch.cuda.is_available():
        return tuple(torch.device("cuda", number) for number in range(torch.cuda.device_count()))
    found = tuple(resolve_device(name.strip()) for name in names.split(","))
    if len(set(found)) < len(found):
        raise ValueError(f"Each device must be named once, but got {names!r}; several jobs share one by --per-device.")
    return found


def device_name(device: torch.device) -> str:
    """Give the name that records carry."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@cache
def processor() -> str:
    """Give model and instruction set of this machine's processor, as far as torch chooses its kernels by them."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


@cache
def current(device: torch.device) -> Environment:
    """Describe this process's surroundings."""
    versions = {name: version(name) for name in PACKAGES}
    for name in OPTIONAL_PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return Environment(
        commit=_commit() or f"v{versions['mlrc']}",
        versions={"python": platform.python_version(), **versions},
        device=device_name(device),
        host=socket.gethostname(),
        processor=processor(),
    )


def differ(commit: str, other: str) -> bool:
    """Say whether two commits of `current` are of different code, as far as they tell.

    An installation without history tells its version alone, and files may change, also text, while a run goes on.
    """
    hashes = [one.removesuffix("-dirty") for one in (commit, other) if not one.startswith("v")]
    return len(set(hashes)) > 1


def _commit() -> str | None:
    """Give the commit of this source tree; `None` where the package lies outside a history of its own."""
    here = Path(__file__)
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    commit = _git(here.parent, "rev-parse", "--short=12", "HEAD")
    dirty = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if dirty else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 fixed arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607 whichever git the user has
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
