"""The value that a dataset plug-in gives, and the value that opening it gives."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mlrc.harness import plugins
from mlrc.protocols.datasets.facts import DatasetFacts


class Pixels(Protocol):
    """Random access to the images of a set, before any transform of the protocol."""

    def __len__(self) -> int:
        """Give the number of images."""
        ...

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Give one image, `(height, width, channels)`, 1 channel for grey or 3 in RGB order."""
        ...


class ArrayPixels:
    """The images of a set of one size, all in memory; `array` lets a batch be gathered in one go.

    Args:
        array: `(images, height, width, channels)`.
    """

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array = array

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.array)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Give one image, `(height, width, channels)`."""
        image: NDArray[np.uint8] = self.array[index]
        return image


def fingerprint(labels: NDArray[np.int64], array: NDArray[np.uint8]) -> str:
    """Hash labels and pixels to 16 hexadecimal digits, the same on every machine."""
    digest = hashlib.sha256(repr((labels.shape, array.shape)).encode())
    digest.update(labels.astype("<i8").tobytes())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


class LeftOut(NamedTuple):
    """Something in a folder of images that is not among the images: its path from there, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """An opened dataset: labels, identity and pixels.

    Attributes:
        facts: the facts that the set was checked against.
        fingerprint: 16 hexadecimal digits that tell what the set *is* from others, the same on every machine. Empty
            in what a reader of files gives: `mlrc.harness.images.catalogue.open_dataset` hashes their bytes.
        labels: `(images,)`, 0 … classes − 1, numbered in the order in which the split counts classes.
        class_names: one name per class, in label order.
        pixels: the images, in the order of `labels`.
        queries: `(images,)`, true for test images that only ask while the other test images are their gallery; `None`
            where the test set is its own gallery.
        cameras: `(images,)`, the number of the camera that took an image, −1 where none is told: images of a query's
            class and camera are not searched. `None` where all are.
        trainval_classes: how many of the first classes the set's own split trains on, which then holds whatever cut
            the protocol names; `None` if it has none of its own.
        content: of files, the hash of labels and bytes, whatever the `fingerprint` is; it names the decode-once cache.
        earlier: the fingerprint that this set of files had before its bytes were hashed: of labels, paths and sizes.
        found: where and in which layout the images were found, for people.
        left_out: what lay there, too, and is not among the images.
    """

    facts: DatasetFacts
    fingerprint: str
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    pixels: Pixels
    queries: NDArray[np.bool_] | None = None
    cameras: NDArray[np.int64] | None = None
    trainval_classes: int | None = None
    content: str = ""
    earlier: str = ""
    found: str = ""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def without(self) -> str:
        """What was left out and why, in one line; empty where nothing was."""
        counts = Counter(reason for _, reason in self.left_out)
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        return f"{self.facts.title}: left out {told}." if told else ""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset plug-in: facts, and how to open it below a root folder.

    `open(root)` raises `FileNotFoundError` (what is missing, where it is published) or `ValueError` (which file is
    wrong and what must hold), each one sentence.
    """

    facts: DatasetFacts
    open: Callable[[Path], ImageSet]


DATASETS = plugins.Kind(group="mlrc.datasets", noun="dataset", plural="datasets", type=Dataset)
