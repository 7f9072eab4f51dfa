"""Image files on disk: the list that annotations give, checked against the facts, and decoding one file at a time."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlrc.harness.images.dataset import ImageSet
from mlrc.protocols.datasets.facts import DatasetFacts

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, kw_only=True)
class ImageList:
    """What annotation files or folders say of a dataset, before any image is touched.

    Attributes:
        found: where and in which layout, for people.
        folder: that the paths start from.
        paths: relative, with forward slashes, in the dataset's order.
        labels: `(images,)`, 0 … classes − 1.
        class_names: in label order.
        queries: `(images,)`, true for test images that only ask; `None` where the test set is its own gallery.
    """

    found: str
    folder: Path
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    queries: NDArray[np.bool_] | None = None


class FilePixels:
    """Images decoded from their files at every access, always in RGB, not turned by EXIF (as in the published runs)."""

    def __init__(self, folder: Path, paths: Sequence[str]) -> None:
        self._folder = folder
        self._paths = tuple(paths)

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self._paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Decode one image, `(height, width, 3)`.

        Raises:
            ValueError: the file is no image, or not a whole one.
        """
        path = self._folder / self._paths[index]
        try:
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise _unreadable(path, error) from error

    def size(self, index: int) -> tuple[int, int]:
        """Read height and width from the file's header, in pixels."""
        path = self._folder / self._paths[index]
        try:
            with Image.open(path) as image:
                width, height = image.size
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise _unreadable(path, error) from error
        return height, width


def open_list(facts: DatasetFacts, images: ImageList) -> ImageSet:
    """Check a list against the facts and the disk, and open it.

    Raises:
        FileNotFoundError: an image of the list is missing.
        ValueError: the counts differ from the published ones.
    """
    _check_counts(facts, images)
    digest = hashlib.sha256()
    for path, label, query in zip(images.paths, images.labels, _flags(images), strict=True):
        try:
            size = (images.folder / path).stat().st_size
        except OSError as error:
            raise FileNotFoundError(
                f"{images.found} names the image {path}, but {images.folder / path} cannot be read ({error.strerror}); "
                f"unpack the images of {facts.title} again."
            ) from error
        digest.update(f"{label}\t{path}\t{size}\t{query:d}\n".encode())
    return ImageSet(
        facts=facts,
        fingerprint=digest.hexdigest()[:16],
        labels=images.labels,
        class_names=images.class_names,
        pixels=FilePixels(images.folder, images.paths),
        queries=images.queries,
        found=images.found,
    )


def _check_counts(facts: DatasetFacts, images: ImageList) -> None:
    expected = (facts.images or len(images.paths), facts.classes or len(images.class_names))
    given = (len(images.paths), len(np.unique(images.labels)))
    if given != expected or len(images.class_names) != expected[1]:
        raise ValueError(
            f"{facts.title} must have {expected[0]:,} images of {expected[1]:,} classes, but {images.found} has "
            f"{given[0]:,} of {given[1]:,}; unpack it again, source: {facts.source}."
        )


def _flags(images: ImageList) -> Iterable[bool]:
    return [False] * len(images.paths) if images.queries is None else images.queries.tolist()


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} must be a whole image file, but it cannot be decoded ({error}); replace it.")


def read_rows(path: Path, columns: int, *, skip: int = 0) -> Iterator[list[str]]:
    """Read an annotation file of columns divided by blanks, leaving out `skip` leading lines and empty ones.

    Raises:
        ValueError: a line has another number of columns.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            row = line.split()
            if number <= skip or not row:
                continue
            if len(row) != columns:
                raise ValueError(
                    f"{path} must have {columns} columns in every line, but line {number} has {len(row)}; "
                    "get the file again."
                )
            yield row


def whole_number(text: str, path: Path) -> int:
    """Read a number of an annotation file; raises `ValueError` naming the file."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{path} must have a whole number where it has {text!r}; get the file again.") from None


def image_files(folder: Path) -> list[str]:
    """Give all image files below a folder, relative to it, sorted folder by folder; hidden ones are left out."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [path.as_posix() for path in sorted(found) if not any(part.startswith(".") for part in path.parts)]


def class_folders(folder: Path, names: Iterable[str]) -> ImageList:
    """List the images of one sub-folder per class, the classes in the given order, the files of each sorted.

    Raises:
        ValueError: a class folder holds no image.
    """
    class_names = tuple(names)
    paths: list[str] = []
    counts: list[int] = []
    for name in class_names:
        files = image_files(folder / name)
        if not files:
            raise ValueError(
                f"Every class folder must hold images, but {folder / name} holds none; add images or remove it."
            )
        paths += [f"{name}/{file}" for file in files]
        counts.append(len(files))
    return ImageList(
        found=f"{folder} (class folders)",
        folder=folder,
        paths=tuple(paths),
        labels=np.repeat(np.arange(len(counts), dtype=np.int64), counts),
        class_names=class_names,
    )


def sub_folders(folder: Path) -> list[str]:
    """Give the names of the visible sub-folders, sorted; none where there is no such folder."""
    if not folder.is_dir():
        return []
    skipped = (".", "__MACOSX")
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(skipped))


def missing(facts: DatasetFacts, what: str, places: Sequence[Path]) -> FileNotFoundError:
    """Say what a dataset needs, where it was looked for and where it is published."""
    folders = ", ".join(str(place) for place in places)
    archives = f" or the archive {' with '.join(facts.archives)}" if facts.archives else ""
    return FileNotFoundError(
        f"{facts.title} needs {what}{archives}, but there is none in {folders}; bring it, source: {facts.source}."
    )
