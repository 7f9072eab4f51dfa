"""Reader of Cars196 from cars_annos.mat, from the devkit's train and test annotations, or from class folders."""

import csv
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from mlrc.harness.images.dataset import Dataset, ImageSet
from mlrc.harness.images.files import ImageList, missing, open_list
from mlrc.harness.images.folders import class_folders, sub_folders
from mlrc.protocols.datasets.cars196 import FACTS
from mlrc.protocols.datasets.facts import DatasetFacts


def list_cars196(root: Path) -> ImageList:
    """List the images in the order of the annotations; label = class number − 1.

    Raises:
        FileNotFoundError: none of the layouts is there.
        ValueError: an annotation file is damaged, or class folders come without the order of the classes.
    """
    places = [root, root / FACTS.name, root / "stanford_cars"]
    for place in places:
        if (place / "cars_annos.mat").is_file():
            return _from_one_list(place)
    for place in places:
        for devkit in (place, place / "devkit", place / "car_devkit" / "devkit", place / "cars196_devkit"):
            if (devkit / "cars_train_annos.mat").is_file() and (devkit / "cars_test_annos_withlabels.mat").is_file():
                return _from_devkit(place, devkit)
    for place in places:
        for folder in (place / "car_data" / "car_data", place / "car_data", place):
            if sub_folders(folder / "train") and sub_folders(folder / "test"):
                return _from_class_folders(folder, ("train", "test"), _class_order(place))
        if sub_folders(place / "images"):
            return _from_class_folders(place, ("images",), _class_order(place))
    raise missing(
        FACTS,
        "cars_annos.mat with car_ims/, or cars_train_annos.mat and cars_test_annos_withlabels.mat with cars_train/ and "
        "cars_test/, or train/ and test/ or images/ by class with names.csv,",
        places,
    )


def _from_one_list(place: Path) -> ImageList:
    path = place / "cars_annos.mat"
    files, labels = _annotations(path, "relative_im_path")
    return ImageList(found=str(path), folder=place, paths=files, labels=labels, class_names=_names(path))


def _from_devkit(place: Path, devkit: Path) -> ImageList:
    paths: list[str] = []
    labels: list[NDArray[np.int64]] = []
    for half, name in (("cars_train", "cars_train_annos.mat"), ("cars_test", "cars_test_annos_withlabels.mat")):
        folder = f"{half}/{half}" if (place / half / half).is_dir() else half  # Kaggle's archive nests them
        files, numbers = _annotations(devkit / name, "fname")
        paths += [f"{folder}/{file}" for file in files]
        labels.append(numbers)
    joined = np.concatenate(labels)
    meta = devkit / "cars_meta.mat"
    names = _names(meta) if meta.is_file() else tuple(str(number) for number in range(1, joined.max() + 2))
    return ImageList(found=f"{devkit} (devkit)", folder=place, paths=tuple(paths), labels=joined, class_names=names)


def _from_class_folders(place: Path, parts: Sequence[str], names: Sequence[str]) -> ImageList:
    images: list[ImageList] = []
    for part in parts:
        folders = {_plain(name): name for name in sub_folders(place / part)}
        unknown = sorted(folders.keys() ^ {_plain(name) for name in names})
        if unknown:
            raise ValueError(
                f"{place / part} must hold one folder for each of the {len(names)} classes of the names file, but they "
                f"differ in {unknown[0]!r}; unpack the images again."
            )
        images.append(class_folders(place / part, [folders[_plain(name)] for name in names]))
    paths = [f"{part}/{path}" for part, one in zip(parts, images, strict=True) for path in one.paths]
    labels = np.concatenate([one.labels for one in images])
    order = np.argsort(labels, kind="stable")
    return ImageList(
        found=f"{place} (class folders)",
        folder=place,
        paths=tuple(paths[index] for index in order),
        labels=labels[order],
        class_names=tuple(names),
    )


def _class_order(place: Path) -> Sequence[str]:
    """Give the class names in official order, which is not the alphabet's."""
    for path in (place / "cars_meta.mat", place / "devkit" / "cars_meta.mat"):
        if path.is_file():
            return _names(path)
    if (place / "names.csv").is_file():
        with (place / "names.csv").open(encoding="utf-8-sig", newline="") as file:
            return [row[0] for row in csv.reader(file) if row]
    raise FileNotFoundError(
        f"Cars196 by class folders needs the official order of its classes, which is not the alphabet's, but {place} "
        "has neither names.csv nor cars_meta.mat; put one there."
    )


def _plain(name: str) -> str:
    return name.replace("/", "-").strip()  # "Ram C/V Cargo Van" cannot be a folder's name


def _annotations(path: Path, column: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    with _readable(path):
        rows = np.atleast_1d(loadmat(path, squeeze_me=True)["annotations"])
        return tuple(str(file) for file in rows[column]), rows["class"].astype(np.int64) - 1


def _names(path: Path) -> tuple[str, ...]:
    with _readable(path):
        return tuple(str(name) for name in np.atleast_1d(loadmat(path, squeeze_me=True)["class_names"]))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError, MatReadError, zlib.error) as error:
        raise ValueError(
            f"{path} must be a whole MATLAB file as it was published, but it cannot be read ({error}); get it again."
        ) from error


def open_cars196(root: Path, facts: DatasetFacts = FACTS) -> ImageSet:
    """Open Cars196 below `root`; raises what `list_cars196` and `open_list` raise."""
    return open_list(facts, list_cars196(root))


DATASET = Dataset(facts=FACTS, open=open_cars196)
