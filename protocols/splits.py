"""Which classes train, validate and test: the Reality Check's exact arithmetic, as pure functions of the labels."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Fold(NamedTuple):
    """The classes of one fold, each an array of class numbers in the order the arithmetic gives them."""

    train: Indices
    validation: Indices


class FoldImages(NamedTuple):
    """The images of one fold, each an array of image indices in the dataset's order."""

    train: Indices
    validation: Indices


def trainval_classes(num_classes: int) -> int:
    """Give the number of leading classes that are trainval: `int(0.5 n)`; the others are test.

    So SOP is cut 11,317 / 11,317, not at the official 11,318 / 11,316.
    """
    return int(0.5 * num_classes)


def class_folds(num_trainval: int, *, folds: int, validation_fraction: float) -> tuple[Fold, ...]:
    """Cut the trainval classes 0 … m − 1 into folds of consecutive blocks with wrap-around.

    Fold p trains on `m − v` classes from `int(p / folds · m)` on (mod m) and validates on the following
    `v = int(validation_fraction · m)`. As v is floored, some classes may never be validated; with a fraction of 0 all
    classes train.

    Raises:
        ValueError: a fold would have no validation class, or there are more folds than classes.
    """
    num_validation = int(validation_fraction * num_trainval)
    if validation_fraction and not num_validation:
        raise ValueError(
            f"{folds} folds need at least {int(np.ceil(1 / validation_fraction))} trainval classes, "
            f"but there are {num_trainval}; take a dataset with more classes."
        )
    if folds > max(num_trainval, 1):
        raise ValueError(
            f"folds must not exceed the {num_trainval} trainval classes, as each begins at another, but got {folds}; "
            f"use --set folds={num_trainval} or less."
        )
    num_train = num_trainval - num_validation
    order = np.arange(num_trainval, dtype=np.int64)
    blocks = [np.roll(order, -int(fold / folds * num_trainval)) for fold in range(folds)]
    return tuple(Fold(block[:num_train], block[num_train:]) for block in blocks)


def images_of(labels: Indices, classes: Indices) -> Indices:
    """Give the indices of the images whose label is among `classes`, in the dataset's order."""
    return np.flatnonzero(np.isin(labels, classes)).astype(np.int64)


def fold_images(labels: Indices, fold: Fold) -> FoldImages:
    """Give the images of a fold's classes."""
    return FoldImages(images_of(labels, fold.train), images_of(labels, fold.validation))
