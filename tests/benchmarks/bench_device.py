"""What one GPU gives, in ten minutes: steps, sharing, input path, metrics, bits, a whole study, every loss.

    python -m tests.benchmarks.bench_device --out FOLDER            all parts, on the GPU where there is one
    python -m tests.benchmarks.bench_device --out FOLDER precision steps   some parts
    python -m tests.benchmarks.bench_device --out FOLDER --device cpu --small   in miniature, in seconds

Each measurement is written to FOLDER as soon as it is taken, with hardware and versions beside; a second start takes
only those that are missing or failed. `--only TEXT` takes those whose name has it, `--seconds` begins none after so
long. At the end, or with `--table`, FOLDER/device.json and FOLDER/device.md tell them all. The exit status is 1 where a
measurement failed.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from mlrc.harness.machine.atomic import write_atomically
from mlrc.harness.machine.environment import resolve_device
from tests.benchmarks.device import (
    bits,
    harness_steps,
    input_path,
    loss_sweep,
    precision,
    search,
    sharing,
    steps,
    study,
)
from tests.benchmarks.device.setting import Measurement, Setting
from tests.benchmarks.device.table import table

PARTS: Mapping[str, Callable[[Setting], Iterator[Measurement]]] = {
    "precision": precision.measurements,
    "sharing": sharing.measurements,
    "study": study.measurements,
    "harness_steps": harness_steps.measurements,
    "steps": steps.measurements,
    "metrics": search.measurements,
    "input_path": input_path.measurements,
    "losses": loss_sweep.measurements,
    "bits": bits.measurements,
}
PACKAGES = ("torch", "torchvision", "numpy", "pytorch-metric-learning", "faiss-cpu", "optuna")


def surroundings(device: torch.device) -> dict[str, object]:
    """Name the hardware, the driver and the versions."""
    found: dict[str, object] = {"python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    if device.type != "cuda":
        return found | {"device": device.type}
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        driver = None
    place = torch.cuda.get_device_properties(device)
    return found | {
        "device": place.name,
        "memory GiB": round(place.total_memory / 2**30),
        "driver": driver,
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


def measured(setting: Setting, part: str, out: Path, only: str, deadline: float) -> int:
    """Take what is missing of a part; give how many measurements failed."""
    failures = 0
    for name, measure in PARTS[part](setting):
        path = out / part / f"{name.replace(' ', '_').replace('/', '_')}.json"
        if only not in name or (path.exists() and "failed" not in json.loads(path.read_text())):
            continue
        if time.monotonic() > deadline:
            _say(f"{part}: out of time before {name}")
            break
        started = time.monotonic()
        told: dict[str, object] = {"part": part, "name": name}
        try:
            told["found"] = dict(measure())
        except Exception as error:  # noqa: BLE001 - one that fails on this machine must not cost the others
            told["failed"] = f"{type(error).__name__}: {error}"
            traceback.print_exc()
            failures += 1
        told["seconds"] = round(time.monotonic() - started, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode())
        _say(f"{part}: {name}: {told.get('found', told.get('failed'))} ({told['seconds']} s)")
    return failures


def collected(out: Path) -> dict[str, object]:
    """Give all that lies in the folder, part by part, in the order in which it was taken."""
    paths = {part: sorted((out / part).glob("*.json"), key=lambda path: path.stat().st_mtime_ns) for part in PARTS}
    parts = {part: [json.loads(path.read_text()) for path in found] for part, found in paths.items() if found}
    about = json.loads((out / "surroundings.json").read_text())
    return {"surroundings": about, "parts": parts}


def main(words: list[str] | None = None) -> int:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", action="store_true", help="in miniature")
    parser.add_argument("--only", default="", metavar="TEXT", help="measurements whose name has it")
    parser.add_argument("--seconds", type=float, default=600.0, help="after which no measurement is begun")
    parser.add_argument("--table", action="store_true", help="measure nothing, write the table")
    given = parser.parse_args(words)
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"a part must be one of {', '.join(PARTS)}, but got {', '.join(sorted(unknown))}")
    deadline = time.monotonic() + given.seconds
    failures = 0
    if not given.table:
        device = resolve_device(given.device)
        given.out.mkdir(parents=True, exist_ok=True)
        about, told = given.out / "surroundings.json", json.dumps(surroundings(device), indent=1).encode()
        if not about.exists() or about.read_bytes() != told:
            write_atomically(about, told)
        setting = Setting(device=device, small=given.small, folder=given.out / "files")
        setting.folder.mkdir(exist_ok=True)
        failures = sum(measured(setting, part, given.out, given.only, deadline) for part in given.parts or PARTS)
    everything = collected(given.out)
    write_atomically(given.out / "device.json", (json.dumps(everything, indent=1, ensure_ascii=False) + "\n").encode())
    write_atomically(given.out / "device.md", table(everything).encode())
    return 1 if failures else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
