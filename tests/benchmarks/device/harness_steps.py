"""The training step as the harness takes it today: what it copies, where it waits, how busy the device is."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from mlrc.harness.images.dataset import Pixels
from mlrc.harness.images.device import ResidentPixels
from mlrc.harness.machine.determinism import deterministic_device
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import model as models
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import StoppedError, Subset, train_fold
from mlrc.protocols.protocol import Protocol
from tests.benchmarks.device.setting import (
    Marks,
    Measurement,
    Row,
    Setting,
    bn_inception,
    photographs,
    resnet50,
    small_conv,
)
from tests.benchmarks.device.steps import LOSS, PARAMS

WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
COPIES = {
    "to the device, pinned": "Memcpy HtoD (Pinned -> Device)",
    "to the device, pageable": "Memcpy HtoD (Pageable -> Device)",
    "to the host": "Memcpy DtoH",
}


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give one per network, batch size and place of the images."""
    cases = [("small_conv", small_conv, 8 if setting.small else 32)]
    if not setting.small:
        cases += [
            (name, of, size)
            for name, of in (("BN-Inception", bn_inception), ("ResNet-50", resnet50))
            for size in (32, 180)
        ]
    for name, protocol_of, batch in cases:
        protocol = protocol_of(setting).vary({"batch_size": batch, "iterations_per_epoch": 1_000_000})
        for told, resident in (("on the device", True), ("sent", False)):
            yield f"{name}, batch {batch}, images {told}", partial(taken, setting, protocol, resident)
        graph = protocol.vary({"step": "graph"})
        yield f"{name}, batch {batch}, images on the device, graph", partial(taken, setting, graph, True)


def taken(setting: Setting, protocol: Protocol, resident: bool) -> Row:
    """Count steps with the images in their place."""
    memory = photographs(setting, protocol)
    return counted(setting, protocol, ResidentPixels(memory, setting.device) if resident else memory)


def counted(setting: Setting, protocol: Protocol, pixels: Pixels) -> Row:
    """Time steps of `train_fold`, then count the copies and waits of some more with torch's profiler."""
    device = deterministic_device(str(setting.device))
    timed, traced = (3, 2) if setting.small else (20, 10)
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    profiler = profile(activities=kinds, acc_events=True)
    (job, *_) = Study(protocol=protocol, dataset="cub200", fingerprint="", loss=LOSS).jobs("search", 0, PARAMS)
    labels = np.repeat(np.arange(len(pixels) // 4), 4)
    found: dict[str, Any] = {}

    def course() -> Iterator[bool]:
        for _ in range(3 if setting.small else 10):
            yield False
        marks = Marks(setting)
        for _ in range(timed):
            marks.mark()
            yield False
        marks.mark()
        found["step ms"] = marks.milliseconds()
        setting.finish()
        profiler.start()
        for _ in range(traced):
            yield False
        setting.finish()
        profiler.stop()
        yield True

    steps = course()
    model = models.build(protocol, seed=0, dataset="cub200").to(device)
    with suppress(StoppedError):
        train_fold(
            job,
            LOSSES.find(LOSS),
            model,
            Subset(pixels, labels, np.arange(len(labels))),
            None,
            device=device,
            on_validation=lambda *_: None,
            checkpoint=Checkpoint(None, origin=""),
            stop=lambda: next(steps),
        )
    return {**found, **_counts(profiler, traced)}


def _counts(profiler: profile, steps: int) -> Row:
    """Count per step what the profiler saw of the device; all is 0 on a CPU."""
    names, kernels, busy, waits = list[str](), 0, 0.0, dict[str, int]()
    for event in profiler.events() or ():  # type: ignore[no-untyped-call]
        if event.name in WAITS:
            waits[event.name] = waits.get(event.name, 0) + 1
        if event.device_type == DeviceType.CUDA:
            names.append(event.name)
            busy += event.time_range.elapsed_us()
            kernels += not event.name.startswith(("Memcpy", "Memset"))
    copies = {f"copies {way}": sum(name.startswith(begin) for name in names) / steps for way, begin in COPIES.items()}
    return {
        "busy ms": round(busy / 1000 / steps, 3),
        "kernels": kernels / steps,
        **copies,
        **{name: count / steps for name, count in waits.items()},
    }
