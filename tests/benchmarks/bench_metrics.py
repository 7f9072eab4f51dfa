"""Time and memory of the metrics against pytorch-metric-learning's calculator and against the bare matrix product.

    python -m tests.benchmarks.bench_metrics                    all four sizes, a few minutes
    python -m tests.benchmarks.bench_metrics --sizes 5924x128   one of them
    python -m tests.benchmarks.bench_metrics --memory 2         ours with a cap, in MiB

Both get the same unit rows (random, in as many classes as the test halves of CUB200 and SOP have) and are asked for the
same three numbers: P@1, RP, MAP@R. Each measurement is a process of its own; the two take turns, and the ratios quoted
are the medians of the ratios within a turn, since a shared machine drifts. On a busy machine processor time says more,
and on one thread (OMP_NUM_THREADS=1) most, as threads that wait for each other burn some. Memory is the peak of the
resident set above what it was when the embeddings were loaded and one tiny call was made. Linux only.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SIZES = {"5924x128": 100, "5924x512": 100, "60502x128": 11316, "60502x512": 11316}
"""images x dim: classes, as in CUB200's and in SOP's official test half."""
METRICS = {"precision_at_1": "P@1", "r_precision": "RP", "mean_average_precision_at_r": "MAP@R"}
COLUMNS = (
    "images × dim",
    *(
        "ours s",
        "PML s",
        "product s",
        "ours / PML",
        "ours / product",
        "in processor time: ours / PML",
        "ours / product",
    ),
    *("ours MiB", "PML MiB", "ours / PML"),
)


def made(size: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    images, dim = map(int, size.split("x"))
    rows = np.random.default_rng(0).standard_normal((images, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, np.arange(images) % SIZES[size]


def ours(memory: int | None) -> Callable[[NDArray[np.float32], NDArray[np.int64]], dict[str, float]]:
    from mlrc.harness.metrics.retrieval import retrieval  # noqa: PLC0415 - the other's imports would count as memory

    return lambda rows, labels: {
        name: value / 100 for name, value in retrieval(rows, labels, recall_at=(), memory=memory).means().items()
    }


def pml() -> Callable[[NDArray[np.float32], NDArray[np.int64]], dict[str, float]]:
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator  # noqa: PLC0415 - likewise

    calculator = AccuracyCalculator(include=tuple(METRICS), k="max_bin_count", device=torch.device("cpu"))

    def measure(rows: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
        found = calculator.get_accuracy(torch.from_numpy(rows), torch.from_numpy(labels))
        return {METRICS[name]: value for name, value in found.items()}

    return measure


def product() -> Callable[[NDArray[np.float32], NDArray[np.int64]], dict[str, float]]:
    def multiply(rows: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
        all_rows = torch.from_numpy(rows)
        block = torch.empty((1024, len(rows)))
        for start in range(0, len(rows), len(block)):
            some = all_rows[start : start + len(block)]
            torch.mm(some, all_rows.T, out=block[: len(some)])
        return {}

    return multiply


def resident(field: str) -> int:
    """Give a field of this process's memory in bytes: VmRSS is what it holds, VmHWM the most it held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def child(what: str, size: str, memory: int | None) -> None:
    """Measure one of them in this process and print the result."""
    measure = ours(memory) if what == "ours" else {"pml": pml, "product": product}[what]()
    rows, labels = made(size)
    measure(rows[:64].copy(), labels[:64] % 8)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    before = resident("VmRSS")
    seconds: list[float] = []
    processor: list[float] = []
    metrics: dict[str, float] = {}
    peak = 0
    while not seconds or (len(rows) < 10_000 and len(seconds) < 5):
        started, worked = time.perf_counter(), time.process_time()
        metrics = measure(rows, labels)
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - worked)
        peak = peak or resident("VmHWM") - before  # of the first call
    found = {"seconds": median(seconds), "processor": median(processor), "peak": peak, "metrics": metrics}
    sys.stdout.write(json.dumps(found))


def measured(what: str, size: str, cap: float | None) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.bench_metrics", "--child", what, "--sizes", size]
    if cap is not None:
        command += ["--memory", str(cap)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def row(size: str, turns: int, cap: float | None) -> tuple[str, ...]:
    rounds = [{what: measured(what, size, cap) for what in ("ours", "pml", "product")} for _ in range(turns)]
    for one in rounds:
        for name, value in one["pml"]["metrics"].items():
            if abs(one["ours"]["metrics"][name] - value) > 1e-4:  # near-ties in float32 may fall otherwise in PML
                raise ValueError(f"{name} differs at {size}: {one['ours']['metrics'][name]} and {value}.")

    def middle(what: str, field: str, unit: float = 1.0) -> float:
        return float(median(one[what][field] for one in rounds)) / unit

    def ratio(what: str, field: str) -> float:
        return float(median(one["ours"][field] / one[what][field] for one in rounds))

    return (
        size.replace("x", " × "),
        *(f"{middle(what, 'seconds'):.2f}" for what in ("ours", "pml", "product")),
        *(f"{ratio(what, field):.2f}" for field in ("seconds", "processor") for what in ("pml", "product")),
        *(f"{middle(what, 'peak', 2**20):.1f}" for what in ("ours", "pml")),
        f"{ratio('pml', 'peak'):.3f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--memory", type=float, metavar="MIB", help="cap on what our search takes")
    parser.add_argument("--child", choices=("ours", "pml", "product"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.sizes[0], None if given.memory is None else int(given.memory * 2**20))
        return
    packages = ("torch", "faiss-cpu", "pytorch-metric-learning", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    sys.stdout.write(f"{platform.machine()}, {torch.get_num_threads()} threads; {versions}; {given.turns} turns\n\n")
    sys.stdout.write(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}\n")
    for size in given.sizes:
        sys.stdout.write(f"| {' | '.join(row(size, given.turns, given.memory))} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
