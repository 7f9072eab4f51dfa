"""Reader of Omniglot from its two npz files: all drawings of background and evaluation characters, in memory."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.images.dataset import ArrayPixels, Dataset, ImageSet, fingerprint
from mlrc.protocols.datasets.omniglot import DRAWINGS, FACTS, FILES, SIDE


def open_omniglot(root: Path) -> ImageSet:
    """Open the two files that lie in `root` or in `root/omniglot`; ink is bright on dark.

    The files store paper as True and ink as False, which is turned round here, so that the border of a shrunk or
    shifted drawing is zero.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or does not hold what must be in it.
    """
    drawings = np.empty((FACTS.images or 0, SIDE, SIDE, 1), dtype=np.uint8)
    start = 0
    for name, characters in FILES.items():
        stop = start + characters * DRAWINGS
        paper = _read(_find(root, name), characters)
        np.multiply(~paper.reshape(-1, SIDE, SIDE, 1), np.uint8(255), out=drawings[start:stop])
        start = stop
    labels = np.repeat(np.arange(FACTS.classes or 0, dtype=np.int64), DRAWINGS)
    names = tuple(f"{name.split('_')[1][:-4]} {number}" for name, count in FILES.items() for number in range(count))
    return ImageSet(
        facts=FACTS,
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
    expected = (characters, DRAWINGS, SIDE, SIDE)
    if images.dtype != np.bool_ or images.shape != expected:
        raise ValueError(
            f"{path} must hold images of shape {expected}, type bool, but they are {images.shape}, {images.dtype}; "
            "get the file again."
        )
    if labels.shape != expected[:2] or not (labels == np.arange(characters)[:, None]).all():
        raise ValueError(
            f"{path} must label its characters 0 to {characters - 1} in order, {DRAWINGS} times each, but it does not; "
            "get the file again."
        )
    drawings: NDArray[np.bool_] = images
    return drawings
