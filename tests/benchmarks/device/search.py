"""The metrics on the device against those on the cores and PML's, at the sizes of CUB200's and SOP's test halves."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from mlrc.harness.metrics.retrieval import retrieval
from tests.benchmarks.bench_metrics import METRICS, made
from tests.benchmarks.device.setting import Measurement, Row, Setting

Measure = Callable[[NDArray[np.float32], NDArray[np.int64]], dict[str, float]]
SIZES = ("5924x128", "60502x512")


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give one per size and way; PML's with faiss wherever faiss searches, and with torch on the device."""
    ways: dict[str, Callable[[], Measure]] = {
        "ours, device": partial(ours, str(setting.device)),
        "ours, cores": partial(ours, "cpu"),
        "PML with torch, device": partial(pml_by_torch, setting.device),
        "PML with faiss, cores": pml_by_faiss,
    }
    for size in SIZES[:1] if setting.small else SIZES:
        for name, make in ways.items():
            yield f"{size}, {name}", partial(timed, setting, size, make)


def ours(device: str) -> Measure:
    """Give the harness's metrics."""
    return lambda rows, labels: retrieval(rows, labels, recall_at=(), device=device).means()


def pml_by_torch(device: torch.device) -> Measure:
    """Give PML's calculator with its search in torch, in blocks of queries."""
    nearest = CustomKNN(CosineSimilarity(), batch_size=2048)
    return _calculated(AccuracyCalculator(tuple(METRICS), k="max_bin_count", device=device, knn_func=nearest), device)


def pml_by_faiss() -> Measure:
    """Give PML's calculator as it comes; `faiss-cpu` searches on the cores."""
    device = torch.device("cpu")
    return _calculated(AccuracyCalculator(tuple(METRICS), k="max_bin_count", device=device), device)


def _calculated(calculator: AccuracyCalculator, device: torch.device) -> Measure:
    def measure(rows: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
        found = calculator.get_accuracy(torch.from_numpy(rows).to(device), torch.from_numpy(labels).to(device))
        return {METRICS[name]: 100 * value for name, value in found.items()}

    return measure


def timed(setting: Setting, size: str, make: Callable[[], Measure]) -> Row:
    """Take the median time of some calls, after one over a few images, and the device's memory."""
    rows, labels = made(size)
    if setting.small:
        rows, labels = rows[:500], labels[:500]
    measure = make()
    measure(rows[:64].copy(), labels[:64] % 8)
    on_cuda = setting.device.type == "cuda"
    if on_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(setting.device)
    seconds: list[float] = []
    metrics: dict[str, float] = {}
    while not seconds or (len(seconds) < 5 and sum(seconds) < 2 and not setting.small):
        started = time.perf_counter()
        metrics = measure(rows, labels)
        setting.finish()
        seconds.append(time.perf_counter() - started)
    found: dict[str, object] = {"seconds": round(median(seconds), 4), **metrics}
    return found | ({"device MiB": round(torch.cuda.max_memory_allocated(setting.device) / 2**20)} if on_cuda else {})
