"""What a job reads: the images of its dataset, and what of them its network is given, where the device wants it."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mlrc.harness.engine.lending import borrowed
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.features.rows import Features
from mlrc.harness.images.cache import CachedPixels, cached
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ArrayPixels, ImageSet, Pixels
from mlrc.harness.images.device import ResidentPixels, on_device
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.training.extraction import features_of, recipe
from mlrc.protocols.protocol import Protocol


class Wanted(NamedTuple):
    """What several workers read of one set, wherever it lies.

    Attributes:
        name: of the dataset, to open it by below the folder `root`.
        fingerprint: of the images that whoever asks has opened.
        cache: folder of the decode-once caches and features; `None` keeps neither.
        side: of the images.
        rules: of the features; `None` where images are wanted.
        weights: of the features' trunk.
    """

    name: str
    root: Path
    fingerprint: str
    cache: Path | None
    side: int
    rules: Protocol | None
    weights: Path | None


@lru_cache(maxsize=2)
def images_of(name: str, root: Path) -> ImageSet:
    """Open a dataset, once per process."""
    return open_dataset(name, root)


def inputs_of(job: FoldJob, workplace: Workplace, device: torch.device) -> tuple[ImageSet, Pixels | Features]:
    """Give the images of a job, and what its network is given of them."""
    name, root = workplace.roots[job.dataset]
    images, protocol = images_of(name, root), job.protocol
    rules = recipe(protocol) if protocol.trains == "head" else None
    wanted = Wanted(name, root, images.fingerprint, workplace.cache, protocol.resize, rules, workplace.weights)
    return images, _inputs(wanted, device, workplace.share, workplace.lender)


@lru_cache(maxsize=2)
def _inputs(wanted: Wanted, device: torch.device, share: float, lender: str) -> Pixels | Features:
    here = _here(wanted, device)
    there = borrowed(lender, wanted) if lender else None
    if there is not None:
        return with_copy(here, there)
    return here.on(device, share=share) if isinstance(here, Features) else on_device(here, device, share=share)


def _here(wanted: Wanted, device: torch.device) -> Pixels | Features:
    images = images_of(wanted.name, wanted.root)
    if wanted.rules is None:
        return cached(images, wanted.side, folder=wanted.cache)
    return features_of(images, wanted.rules, weights=wanted.weights, folder=wanted.cache, devices=[device])


def with_copy(here: Pixels | Features, there: Tensor) -> Pixels | Features:
    """Give a set whose bytes lie in a tensor of another process."""
    if isinstance(here, Features):
        return here.with_rows(there)
    return ResidentPixels(here, there.device, there) if isinstance(here, ArrayPixels | CachedPixels) else here


def copy_of(wanted: Wanted, device: torch.device) -> Tensor | None:
    """Copy what is wanted to a device, for all who work there; `None` where it is too large, or is not the same."""
    if images_of(wanted.name, wanted.root).fingerprint != wanted.fingerprint:
        return None
    here = _here(wanted, device)
    there = here.on(device) if isinstance(here, Features) else on_device(here, device)
    if there is here:
        return None
    return there.rows if isinstance(there, Features) else there.flat if isinstance(there, ResidentPixels) else None
