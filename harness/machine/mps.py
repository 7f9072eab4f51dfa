"""NVIDIA's Multi-Process Service: with it kernels of several processes run on a GPU at once, without it in turns."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CONTROL = "nvidia-cuda-mps-control"
"""The program that starts the service, asks it and ends it; it comes with the driver."""
PLACES = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
"""Environment variables by which programs find a service."""
SECONDS = 20.0
"""That the program is waited for."""


def told() -> str:
    """Say in a few words whether there is such a service, for people."""
    if not shutil.which(CONTROL):
        return f"no ({CONTROL} is not there)"
    return "running" if is_running() else "not running; mlrc run --mps starts it for the run"


def is_running() -> bool:
    """Say whether a service answers to what this process starts."""
    try:
        answer = subprocess.run(  # noqa: S603 fixed arguments
            [CONTROL], input="get_server_list\n", capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and "annot find" not in answer.stdout + answer.stderr


def require(device: str) -> None:
    """Raise `ValueError` where the devices of that name are no NVIDIA GPUs, or there is no such service to start."""
    from mlrc.harness.machine.environment import resolve_devices  # noqa: PLC0415 torch, for which options do not wait

    devices = resolve_devices(device)
    if not any(place.type == "cuda" for place in devices):
        raise ValueError(
            f"--mps lets trainings share an NVIDIA GPU, but the device is {', '.join(map(str, devices))}; leave it out."
        )
    _require_control()


def _require_control() -> None:
    if not shutil.which(CONTROL):
        raise ValueError(f"--mps needs NVIDIA's {CONTROL}, which is not on the PATH; run without --mps.")


@contextmanager
def service() -> Iterator[None]:
    """Have a service for the processes that are started meanwhile: the one that runs, or one that ends with it.

    Raises:
        ValueError: there is none to start, or it does not start.
    """
    _require_control()
    if is_running():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="mps-") as folder:
        before = {name: os.environ.get(name) for name in PLACES}
        os.environ.update(dict.fromkeys(PLACES, folder))
        try:
            _start()
            try:
                yield
            finally:
                _end()
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _start() -> None:
    try:
        subprocess.run([CONTROL, "-d"], capture_output=True, text=True, check=True, timeout=SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1:]
        raise ValueError(
            f"NVIDIA's {CONTROL} must start, but did not ({' '.join(said)}); run without --mps, or start it yourself."
        ) from error


def _end() -> None:
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run([CONTROL], input="quit\n", capture_output=True, check=False, text=True, timeout=SECONDS)  # noqa: S603
