"""Which images of a dataset are trained on, validated on and tested on, under a protocol."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.images.dataset import ImageSet
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.splits import FoldImages, class_folds, fold_images, images_of, trainval_classes

OWN = "own"
"""The cut of a data set that brings its own split: by its manifest, or by folders train and test."""


class ClassSplit(NamedTuple):
    """Image indices of a dataset under a protocol."""

    folds: tuple[FoldImages, ...]
    test: NDArray[np.int64]


def split(images: ImageSet, protocol: Protocol) -> ClassSplit:
    """Split a dataset by the protocol's cut and folds; a split of the set's own stands in the place of the cut.

    Raises:
        ValueError: the set has no official split although the protocol asks for it, or too few classes.
    """
    cut = protocol.cut.of(images.facts.name)
    boundary = _trainval_classes(images, cut)
    folds = class_folds(boundary, folds=protocol.folds, validation_fraction=protocol.validation_fraction)
    return ClassSplit(tuple(fold_images(images.labels, fold) for fold in folds), test_images(images, cut))


def as_asked(images: ImageSet, protocol: Protocol) -> ImageSet:
    """Give the dataset as the protocol asks it: without its queries where each test image asks all others."""
    return images if protocol.divided else replace(images, queries=None)


def test_images(images: ImageSet, cut: str) -> NDArray[np.int64]:
    """Give the indices of the test images under a cut, `half` or `official`, or of the set's own split if it has one.

    Raises what `split` raises.
    """
    return images_of(images.labels, np.arange(_trainval_classes(images, cut), len(images.class_names)))


def _trainval_classes(images: ImageSet, cut: str) -> int:
    if images.trainval_classes is not None:
        return images.trainval_classes
    if cut != "official":
        return trainval_classes(len(images.class_names))
    if images.facts.official_trainval_classes is None:
        raise ValueError(f"Dataset {images.facts.name!r} has no official class-disjoint split; use --set cut=half.")
    return images.facts.official_trainval_classes
