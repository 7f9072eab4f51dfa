"""Reader of Omniglot from its two npz files: all drawings of background and evaluation characters, in memory."""

import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.images.dataset import ArrayPixels, Dataset, ImageSet, fingerprint
from mlrc.protocols.datasets.omniglot import DRAWINGS, FACTS, FILES, SIDE

LEAST = 2
"""Characters that a file must have, for a class to have another to be told from."""


def open_omniglot(root: Path) -> ImageSet:
    """Open the two files that lie in `root` or in `root/omniglot`; ink is bright on dark.

    Files with the first few characters alone, whole and in order, are read too: a smaller set for a first try.

    The files store paper as True and ink as False, which is turned round here, so that the border of a shrunk or
    shifted drawing is zero.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or does not hold what must be in it.
    """
    paper = {name: _read(_find(root, name), characters) for name, characters in FILES.items()}
    counts = {name: len(images) for name, images in paper.items()}
    drawings = np.empty((sum(counts.values()) * DRAWINGS, SIDE, SIDE, 1), dtype=np.uint8)
    start = 0
    for name, characters in counts.items():
        stop = start + characters * DRAWINGS
        np.multiply(~paper[name].reshape(-1, SIDE, SIDE, 1), np.uint8(255), out=drawings[start:stop])
        start = stop
    classes = sum(counts.values())
    labels = np.repeat(np.arange(classes, dtype=np.int64), DRAWINGS)
    names = tuple(f"{name.split('_')[1][:-4]} {number}" for name, count in counts.items() for number in range(count))
    facts = FACTS
    if classes != FACTS.classes:  # a part of it, told apart by its fingerprint and its counts
        background = next(iter(counts.values()))
        facts = replace(FACTS, classes=classes, images=classes * DRAWINGS, official_trainval_classes=background)
    return ImageSet(
        facts=facts,
        fingerprint=fingerprint(labels, drawings),
        labels=labels,
        class_names=names,
        pixels=ArrayPixels(drawings),
    )


DATASET = Dataset(facts=FACTS, open=open_omniglot)


def _find(root: Path, name: str) -> Path:
    for path in (root / name, root / FACTS.name / name):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"Omniglot needs {name} in {root} or {root / FACTS.name}, but it is in neither; "
        f"put it there (arrays images and labels) or give another root folder; source: {FACTS.source}."
    )


def _read(path: Path, characters: int) -> NDArray[np.bool_]:
    try:
        with path.open("rb") as file, np.load(file) as archive:
            images, labels = archive["images"], archive["labels"]
    except KeyError as error:
        raise ValueError(f"{path} must hold the arrays images and labels, but {error}; get the file again.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} must be a complete npz file, but it is truncated or damaged ({error}); get it again."
        ) from error
    found = min(len(images), characters) if images.ndim else 0
    expected = (found, DRAWINGS, SIDE, SIDE)
    if images.dtype != np.bool_ or images.shape != expected or found < LEAST:
        raise ValueError(
            f"{path} must hold images of shape {(characters, *expected[1:])} or of its first, {LEAST} at least, type "
            f"bool, but they are {images.shape}, {images.dtype}; get the file again."
        )
    characters = found
    if labels.shape != expected[:2] or not (labels == np.arange(characters)[:, None]).all():
        raise ValueError(
            f"{path} must label its characters 0 to {characters - 1} in order, {DRAWINGS} times each, but it does not; "
            "get the file again."
        )
    drawings: NDArray[np.bool_] = images
    return drawings
