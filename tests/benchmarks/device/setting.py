"""Where the device benchmark measures and how large: every part reads it here, so that a CPU runs it in miniature."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ArrayPixels
from mlrc.harness.machine.environment import current
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.quick import QUICK
from mlrc.protocols.reality_check import REALITY_CHECK

Row = Mapping[str, Any]
"""What one measurement gave, in JSON's values."""
Measurement = tuple[str, Callable[[], Row]]
"""The name of a measurement within its part, and how it is taken."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One start of the benchmark.

    Attributes:
        device: that is measured.
        small: whether in miniature.
        folder: for data sets and runs.
    """

    device: torch.device
    small: bool
    folder: Path

    def workplace(self, dataset: str = "glyphs", **changes: Any) -> Workplace:
        """Give a workplace on the device, with a data set of the harness's own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Workplace(
            roots={dataset: (dataset, self.folder)},
            device=str(self.device),
            environment=current(torch.device("cpu")),
            cache=self.folder / "cache",
            **changes,
        )

    def finish(self) -> None:
        """Wait until the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


_MINIATURE = {"trunk": "small_conv", "resize": 32, "crop": 28}


def bn_inception(setting: Setting) -> Protocol:
    """Give the Reality Check's protocol with random weights: BN-Inception at 227."""
    return REALITY_CHECK.vary({"weights": "", **(_MINIATURE if setting.small else {})})


def resnet50(setting: Setting) -> Protocol:
    """Give the same with ResNet-50 at 224."""
    network = _MINIATURE if setting.small else {"trunk": "resnet50", "crop": 224}
    return REALITY_CHECK.vary({"weights": "", **network})


def small_conv(setting: Setting) -> Protocol:
    """Give `quick`: four layers at 28, where launches weigh more than arithmetic."""
    return QUICK.vary({"batch_size": 8} if setting.small else {})


def photographs(setting: Setting, protocol: Protocol, count: int = 512) -> ArrayPixels:
    """Give noise in the shape of photographs after the resize, 4 : 3."""
    shape = (24 if setting.small else count, protocol.resize, protocol.resize * 4 // 3, 3)
    return ArrayPixels(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


class Marks:
    """Moments on the device's own clock, so that nothing waits for it between two steps but what a step waits for."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._events: list[torch.cuda.Event] = []
        self._times: list[float] = []

    def __len__(self) -> int:
        """Give the number of steps between the marks."""
        return max(len(self._events), len(self._times)) - 1

    def mark(self) -> None:
        """Note where the device is now."""
        if self._setting.device.type == "cuda":
            self._events.append(torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
            self._events[-1].record()
        else:
            self._times.append(time.perf_counter())

    def milliseconds(self) -> float:
        """Give the median time between two marks."""
        self._setting.finish()
        between = [one.elapsed_time(other) for one, other in pairwise(self._events)]
        between += [1000 * (other - one) for one, other in pairwise(self._times)]
        return float(round(median(between), 3))


def milliseconds_of(
    setting: Setting, step: Callable[[], object], *, warm_up: int = 2, steps: int = 30, most: float = 0.8
) -> float:
    """Give the median time of a step after some to warm up, within `most` seconds but of at least three steps."""
    for _ in range(warm_up):
        step()
    setting.finish()
    begun, marks = time.perf_counter(), Marks(setting)
    marks.mark()
    while len(marks) < 3 or (len(marks) < steps and time.perf_counter() - begun < most):
        step()
        marks.mark()
    return marks.milliseconds()


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """Let float32 convolutions and products of the device be `ieee` or `tf32`, as they were afterwards."""
    if not hasattr(torch.backends.cudnn, "conv"):  # before torch 2.9
        places: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
        name, value = "allow_tf32", precision == "tf32"
    else:
        places = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]
        name, value = "fp32_precision", precision  # type: ignore[assignment]
    before = [getattr(place, name) for place in places]
    for place in places:
        setattr(place, name, value)
    try:
        yield
    finally:
        for place, was in zip(places, before, strict=True):
            setattr(place, name, was)
