"""Image files on disk: the list that annotations give, checked against the facts, and one file at a time."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.images.dataset import ImageSet, LeftOut
from mlrc.harness.images.decoding import NAMED, UnusableImageError, decode, measure, together
from mlrc.protocols.datasets.facts import DatasetFacts


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
        cameras: as in `ImageSet`, as are `trainval_classes` and `left_out`.
    """

    found: str
    folder: Path
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    queries: NDArray[np.bool_] | None = None
    cameras: NDArray[np.int64] | None = None
    trainval_classes: int | None = None
    left_out: tuple[LeftOut, ...] = ()


class FilePixels:
    """Images decoded from their files at every access, always in RGB; see `mlrc.harness.images.decoding`."""

    def __init__(self, folder: Path, paths: Sequence[str]) -> None:
        self.folder = folder
        self.paths = tuple(paths)

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Decode one image, `(height, width, 3)`; raises what `decode` raises."""
        return decode(self.folder / self.paths[index])

    def size(self, index: int) -> tuple[int, int]:
        """Read height and width from the file's header, in pixels; raises what `measure` raises."""
        return measure(self.folder / self.paths[index])

    def require_headers(self, of: str, *, threads: int) -> None:
        """Read all headers, where no cache is built that decodes every file before any work.

        Raises:
            ValueError: some are none that can be used; names them together.
        """

        def fault(index: int) -> UnusableImageError | None:
            try:
                self.size(index)
            except UnusableImageError as error:
                return error
            return None

        with ThreadPoolExecutor(threads) as pool:
            bad = [error for error in pool.map(fault, range(len(self)), chunksize=64) if error]
        if bad:
            raise together(bad, len(self), of)


def open_list(facts: DatasetFacts, images: ImageList) -> ImageSet:
    """Check a list against the facts and the disk, and open it.

    Raises:
        FileNotFoundError: images of the list are missing.
        ValueError: the counts differ from the published ones, or an image is no file.
    """
    _check_counts(facts, images)
    digest = hashlib.sha256()
    absent: list[tuple[str, OSError]] = []
    for path, label, query in zip(images.paths, images.labels, _flags(images), strict=True):
        try:
            found = os.stat(os.path.join(images.folder, path))
        except OSError as error:
            absent.append((path, error))
            continue
        if not stat.S_ISREG(found.st_mode):
            raise UnusableImageError(images.folder / path, "it is no regular file")
        digest.update(b"%d\t%b\t%d\t%d\n" % (label, os.fsencode(path), found.st_size, query))
    if absent:
        raise _absent(facts, images, absent)
    return ImageSet(
        facts=facts,
        fingerprint="",
        earlier=digest.hexdigest()[:16],
        labels=images.labels,
        class_names=images.class_names,
        pixels=FilePixels(images.folder, images.paths),
        queries=images.queries,
        cameras=images.cameras,
        trainval_classes=images.trainval_classes,
        found=images.found,
        left_out=images.left_out,
    )


def _absent(facts: DatasetFacts, images: ImageList, absent: Sequence[tuple[str, OSError]]) -> FileNotFoundError:
    path, error = absent[0]
    others = ", ".join(other for other, _ in absent[1:NAMED])
    more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
    return FileNotFoundError(
        f"{images.found} names the image {path}, but {images.folder / path} cannot be read ({error.strerror})"
        f"{f', nor can {others}{more}' if others else ''}; bring the images of {facts.title} again."
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


def missing(facts: DatasetFacts, what: str, places: Sequence[Path]) -> FileNotFoundError:
    """Say what a dataset needs, where it was looked for and where it is published."""
    folders = ", ".join(str(place) for place in places)
    archives = f" or the archive {' with '.join(facts.archives)}" if facts.archives else ""
    return FileNotFoundError(
        f"{facts.title} needs {what}{archives}, but there is none in {folders}; bring it, source: {facts.source}."
    )
