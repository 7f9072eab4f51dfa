"""The value that a dataset plug-in gives, and the value that opening it gives."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """An opened dataset: labels, identity and pixels.

    Attributes:
        facts: the facts that the set was checked against.
        fingerprint: 16 hexadecimal digits, a hash of what the set *is* (labels and pixels, or paths and sizes), the
            same on every machine.
        labels: `(images,)`, 0 … classes − 1, numbered in the order in which the split counts classes.
        class_names: one name per class, in label order.
        pixels: the images, in the order of `labels`.
        queries: `(images,)`, true for test images that only ask while the other test images are their gallery; `None`
            where the test set is its own gallery.
        found: where and in which layout the images were found, for people.
    """

    facts: DatasetFacts
    fingerprint: str
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    pixels: Pixels
    queries: NDArray[np.bool_] | None = None
    found: str = ""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset plug-in: facts, and how to open it below a root folder.

    `open(root)` raises `FileNotFoundError` (what is missing, where it is published) or `ValueError` (which file is
    wrong and what must hold), each one sentence.
    """

    facts: DatasetFacts
    open: Callable[[Path], ImageSet]


DATASETS = plugins.Kind(group="mlrc.datasets", noun="dataset", plural="datasets", type=Dataset)


def open_dataset(name: str, root: Path) -> ImageSet:
    """Open a dataset by the name a user gives; `NAME:PATH` opens it at `PATH` in place of `root`.

    Raises what `DATASETS.find` and `Dataset.open` raise.
    """
    plugin, _, path = name.partition(":")
    return DATASETS.find(plugin).open(Path(path).expanduser() if path else root)
