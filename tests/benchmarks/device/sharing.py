"""K trainings that share the device, as `mlrc plan` measures them, with and without NVIDIA's MPS."""

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.machine.mps import CONTROL, service
from mlrc.harness.plan.study import Study
from mlrc.harness.study.sharing import WINDOW, steps_per_second
from mlrc.protocols.protocol import PerDataset, Protocol
from tests.benchmarks.device.setting import Measurement, Row, Setting, resnet50, small_conv
from tests.benchmarks.device.steps import LOSS, PARAMS


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give one per network, number of trainings and MPS; the most telling first."""
    resnet = resnet50(setting).vary({"iterations_per_epoch": 10, "validation_interval": PerDataset(2)})
    conv = small_conv(setting).vary({"iterations_per_epoch": 1 if setting.small else 25})
    if setting.small:
        yield "small_conv, K = 2", partial(shared, setting, conv, 2, mps=False)
        return
    for mps, number in ((False, 1), (False, 4), (True, 4), (False, 8), (True, 8), (False, 2), (True, 2)):
        for name, protocol in (("ResNet-50, batch 32", resnet), ("small_conv, batch 32", conv)):
            if not mps or (setting.device.type == "cuda" and shutil.which(CONTROL)):
                yield (
                    f"{name}, K = {number}{', MPS' if mps else ''}",
                    partial(shared, setting, protocol, number, mps=mps),
                )


def shared(setting: Setting, protocol: Protocol, number: int, *, mps: bool) -> Row:
    """Let `number` workers train at once for some seconds."""
    images = open_dataset("glyphs", setting.folder)
    study = Study(protocol=protocol, dataset="glyphs", fingerprint=images.fingerprint, loss=LOSS)
    with service() if mps else nullcontext():
        window = 0.3 if setting.small else WINDOW
        speed = steps_per_second(setting.workplace(), study, PARAMS, number, str(setting.device), window=window)
    return {
        "trainings": number,
        "steps/s of all": round(speed, 1),
        "ms per step of each": round(1000 * number / speed, 2),
    }
