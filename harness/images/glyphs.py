"""Reader of glyphs: draws the letters on first use, the same to the byte on every machine, into one file."""

import os
import random
import tempfile
import zipfile
import zlib
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from mlrc.harness.images.dataset import ArrayPixels, Dataset, ImageSet, fingerprint
from mlrc.harness.images.outlines import Face, Outline, centred, fill
from mlrc.protocols.datasets.glyphs import CHARACTERS, FACES, FACTS

SIDE = 32
_EXTENT = 22.0  # pixels of the larger side before distortion, so that the distorted letter stays inside
_SUPERSAMPLING = 4


def open_glyphs(root: Path) -> ImageSet:
    """Open the glyphs below `root`, drawing them first if they are not there or damaged. Ink is bright on dark.

    Raises:
        OSError: the file cannot be written.
        ValueError: matplotlib brings other fonts than those the fingerprint was taken with.
    """
    path = root / FACTS.name / "glyphs.npz"
    labels = np.repeat(np.arange(len(CHARACTERS), dtype=np.int64), len(FACES))
    images = _stored(path)
    if images is None or fingerprint(labels, images) != FACTS.fingerprint:
        images = draw()
        found = fingerprint(labels, images)
        if found != FACTS.fingerprint:
            raise ValueError(
                f"The glyphs drawn with the fonts of matplotlib {mpl.__version__} must have the fingerprint "
                f"{FACTS.fingerprint}, but have {found}; install a matplotlib that brings DejaVu 2.37 and STIX 1.0."
            )
        _store(path, images)
    return ImageSet(
        facts=FACTS,
        fingerprint=FACTS.fingerprint,
        labels=labels,
        class_names=tuple(CHARACTERS),
        pixels=ArrayPixels(images),
    )


DATASET = Dataset(facts=FACTS, open=open_glyphs)


def draw() -> NDArray[np.uint8]:
    """Draw every letter once in every face, each distorted a little: `(images, 32, 32, 1)`, class by class."""
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    faces = [Face(folder / f"{name}.ttf") for name in FACES]
    images = [
        fill(distorted(centred(face.outline(character), _EXTENT), ord(character) * 64 + number), SIDE, _SUPERSAMPLING)
        for character in CHARACTERS
        for number, face in enumerate(faces)
    ]
    return np.stack(images)[..., None]


def distorted(outline: Outline, seed: int) -> Outline:
    """Scale, shear, turn and shift an outline by small amounts drawn from `seed`.

    The turn comes from the tangent of half its angle: sine and cosine differ between C libraries in the last bit.
    """
    uniform = random.Random(seed).uniform  # noqa: S311 - drawing letters is no cryptography
    scale_x, scale_y = uniform(0.85, 1.1), uniform(0.85, 1.1)
    shear = uniform(-0.15, 0.15)
    tangent = uniform(-0.08, 0.08)  # up to 9 degrees
    shift = np.array([uniform(-2.0, 2.0), uniform(-2.0, 2.0)])
    cosine, sine = (1 - tangent * tangent) / (1 + tangent * tangent), 2 * tangent / (1 + tangent * tangent)
    drawn = []
    for polygon in outline:
        x = polygon[:, 0] * scale_x + polygon[:, 1] * shear
        y = polygon[:, 1] * scale_y
        drawn.append(np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1) + shift)
    return drawn


def _stored(path: Path) -> NDArray[np.uint8] | None:
    try:
        with path.open("rb") as file, np.load(file) as archive:
            images: NDArray[np.uint8] = archive["images"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # absent or damaged: drawn again
    return images


def _store(path: Path, images: NDArray[np.uint8]) -> None:
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz.part")
        with os.fdopen(handle, "wb") as file:
            np.savez(file, images=images)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise OSError(
            f"The glyphs must be kept in {path}, but it cannot be written ({error.strerror}); "
            "give a root folder that you may write to."
        ) from error
