"""What `precision=float32` means on the device: the error of products, before and after a job is set up."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from mlrc.harness.images.cache import cached
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.images.device import on_device
from mlrc.harness.machine.determinism import deterministic_device
from mlrc.harness.plan.split import split
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import model as models
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import StoppedError, Subset, train_fold
from tests.benchmarks.device.setting import Measurement, Row, Setting, float32_products, small_conv
from tests.benchmarks.device.steps import LOSS, PARAMS


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give torch's defaults first, since setting up a job changes the process for good."""
    yield "torch's defaults", partial(errors, setting)
    yield "asked for tf32", partial(errors, setting, "tf32")
    yield "as a job is set up", partial(as_a_job, setting)
    yield "a job, the device against the cores", partial(parted, setting)


def as_a_job(setting: Setting) -> Row:
    """Measure after what a job does first."""
    deterministic_device(str(setting.device))
    return errors(setting)


def errors(setting: Setting, precision: str | None = None) -> Row:
    """Give the relative error of a convolution and a product: 1e-7 is float32, 3e-4 is TF32, 3e-3 bfloat16."""
    torch.manual_seed(0)
    side = 8 if setting.small else 56
    images, kernel, matrix = torch.randn(8, 64, side, side), torch.randn(64, 64, 3, 3), torch.randn(512, 512)
    pairs: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor]] = {
        "convolution": (partial(conv2d, padding=1), images, kernel),
        "product": (torch.mm, matrix, matrix),
    }
    found: dict[str, Any] = {}
    for name, (multiply, one, other) in pairs.items():
        exact = multiply(one.double(), other.double())
        here = [tensor.to(setting.device) for tensor in (one, other)]
        if precision is None:
            got = multiply(*here)
        else:
            with float32_products(precision):
                got = multiply(*here)
        found[f"{name}, relative error"] = _error(got, exact)
    return found | _settings()


def parted(setting: Setting) -> Row:
    """Give how far the weights of one job are from those on the cores, relatively, after so many steps."""
    images = open_dataset("glyphs", setting.folder)
    study = Study(protocol=small_conv(setting), dataset="glyphs", fingerprint=images.fingerprint, loss=LOSS)
    found: dict[str, Any] = {}
    for steps in (0, 1) if setting.small else (0, 1, 2, 4, 8):
        here, there = (_weights(study, images, place, steps) for place in (torch.device("cpu"), setting.device))
        found[f"after {steps} steps"] = _error(there, here)
    return found


def _weights(study: Study, images: ImageSet, device: torch.device, steps: int) -> Tensor:
    """Train so many steps, and give all weights in a row."""
    job = study.jobs("search", 0, PARAMS)[0]
    device, asked = deterministic_device(str(device)), count()
    model = models.build(job.protocol, seed=0).to(device)
    pixels = on_device(cached(images, job.protocol.resize, folder=None), device)
    with suppress(StoppedError):
        train_fold(
            job,
            LOSSES.find(LOSS),
            model,
            Subset(pixels, images.labels, split(images, job.protocol).folds[0].train),
            None,
            device=device,
            on_validation=lambda *_: None,
            checkpoint=Checkpoint(None, origin=""),
            stop=lambda: next(asked) == steps,
        )
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).cpu().double()


def _error(got: Tensor, exact: Tensor) -> float:
    return float(f"{float((got.cpu().double() - exact).norm() / exact.norm()):.1e}")


def _settings() -> dict[str, Any]:
    found: dict[str, Any] = {
        "CUBLAS_WORKSPACE_CONFIG": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "filled": torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
    }
    for name, place in (("cudnn", torch.backends.cudnn), ("matmul", torch.backends.cuda.matmul)):
        for setting in ("allow_tf32", "fp32_precision"):
            try:
                found[f"{name}.{setting}"] = getattr(place, setting)
            except (RuntimeError, AttributeError) as error:  # the old name once the new one was set otherwise
                found[f"{name}.{setting}"] = f"not to be read ({type(error).__name__})"
    return found
