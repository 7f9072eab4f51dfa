"""Which images a user means to embed, and what is told of each: class, path, side of the split, query, camera."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.images.catalogue import identified, open_dataset
from mlrc.harness.images.content import OnProgress
from mlrc.harness.images.dataset import DATASETS, ImageSet, Pixels
from mlrc.harness.images.files import FilePixels
from mlrc.harness.images.folder import MANIFEST, open_folder
from mlrc.harness.images.folders import sub_folders
from mlrc.harness.images.loose import open_loose
from mlrc.harness.plan.split import test_images
from mlrc.harness.vectors.columns import in_order

FOLDER = "folder:"


@dataclass(frozen=True, kw_only=True)
class Embeddable:
    """Images, and the columns that go along; `None` where nothing tells.

    Attributes:
        name: of the set.
        pixels: before any step of a protocol.
        fingerprint: of the set; empty for images without classes.
        labels: `(images,)`, names of classes.
        paths: `(images,)`, of files.
        test: `(images,)`, the side of the set's own split, or of the cut by which a model was trained on it.
        queries: `(images,)`, test images that only ask.
        cameras: `(images,)`.
        remarks: sentences on what was left out, and on what the columns stand for.
    """

    name: str
    pixels: Pixels
    fingerprint: str = ""
    labels: NDArray[np.str_] | None = None
    paths: NDArray[np.str_] | None = None
    test: NDArray[np.bool_] | None = None
    queries: NDArray[np.bool_] | None = None
    cameras: NDArray[np.str_] | None = None
    remarks: tuple[str, ...] = ()


def embeddable(
    images: str,
    root: Path,
    *,
    with_classes: bool = True,
    trained_on: tuple[str, str] | None = None,
    on_progress: OnProgress,
) -> Embeddable:
    """Find images.

    Args:
        images: a name of a data set, `folder:PATH`, or the path of a folder, a manifest or one image.
        root: folder of the data set; hashes of files are remembered in its `cache`.
        with_classes: whether the sub-folders of a folder are classes.
        trained_on: fingerprint and cut of the images that a model was trained on.
        on_progress: told of long work.

    Raises:
        LookupError: there is no such data set.
        FileNotFoundError: there are no such images.
        ValueError: they are malformed.
    """
    path = Path(os.path.expanduser(images.removeprefix(FOLDER)))  # noqa: PTH111 which leaves an unknown user as it is
    if images.startswith(FOLDER) or not (DATASETS.knows(images.partition(":")[0]) or _is_name(images)):
        if not with_classes or not _has_classes(path):
            return _loose(path)
        return _of_set(identified(open_folder(path, alone=True), root / "cache", on_progress=on_progress), trained_on)
    if not with_classes:
        raise ValueError(f"Only a folder's images may be taken without classes, but {images} is a data set.")
    return _of_set(open_dataset(images, root, on_progress=on_progress), trained_on)


def _is_name(images: str) -> bool:
    """Say whether words that name no data set look like a name all the same, and not like a path."""
    return not Path(images).exists() and not set("/.~") & set(images)


def _has_classes(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() == Path(MANIFEST).suffix
    return (path / MANIFEST).is_file() or bool(sub_folders(path))


def _loose(path: Path) -> Embeddable:
    found = open_loose(path)
    remarks = ["No classes are told, so the file has no labels."]
    if found.left_out:
        shown = ", ".join(sorted({reason for _, reason in found.left_out}))
        remarks.append(f"{path.name}: left out {len(found.left_out)} files or folders ({shown}).")
    return Embeddable(
        name=path.name, pixels=found.pixels, paths=np.array(found.pixels.paths, dtype=str), remarks=tuple(remarks)
    )


def _of_set(images: ImageSet, trained_on: tuple[str, str] | None) -> Embeddable:
    test, told = _test(images, trained_on)
    queries = images.queries
    if queries is not None and test is not None:
        queries = queries & test
        if np.count_nonzero(queries) in (0, np.count_nonzero(test)):
            queries = None
    pixels = images.pixels
    return Embeddable(
        name=images.facts.name,
        pixels=pixels,
        fingerprint=images.fingerprint,
        labels=np.array(names_in_order(images.class_names, images.trainval_classes), dtype=str)[images.labels],
        paths=np.array(pixels.paths, dtype=str) if isinstance(pixels, FilePixels) else None,
        test=test,
        queries=queries,
        cameras=None
        if images.cameras is None
        else np.array([str(number) if number >= 0 else "" for number in images.cameras.tolist()], dtype=str),
        remarks=tuple(one for one in (images.without, told) if one),
    )


def _test(images: ImageSet, trained_on: tuple[str, str] | None) -> tuple[NDArray[np.bool_] | None, str]:
    """Give which images are test, and a sentence if that is not the set's own doing."""
    cut, told = None, ""
    if images.trainval_classes is not None:
        cut = "own"
    elif trained_on is not None and trained_on[0] in (images.fingerprint, images.earlier):
        cut = trained_on[1]
        told = f"The model was trained on these images: the column split tells its cut ({cut})."
    elif images.queries is not None:
        cut = "official"
    if cut is None:
        return None, ""
    test = np.zeros(len(images.labels), dtype=np.bool_)
    test[test_images(images, cut)] = True
    return test, told


def names_in_order(class_names: Sequence[str], trainval_classes: int | None) -> list[str]:
    """Give names by which the classes are counted in their order again; where they would not be, numbers stand before.

    On the two sides of a split of the set's own, classes are counted for themselves.
    """
    ordered = in_order(class_names)
    trainval = set(class_names[: trainval_classes or 0])
    counted = [name for name in ordered if name in trainval] + [name for name in ordered if name not in trainval]
    if counted == list(class_names):
        return list(class_names)
    width = len(str(len(class_names) - 1))
    return [f"{number:0{width}d} {name}" for number, name in enumerate(class_names)]
