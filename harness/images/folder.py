"""Reader of anyone's own images: one sub-folder per class, the same below train/ and test/, or a CSV manifest.

docs/data.md says what may lie there and what each column means.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.images.dataset import Dataset, ImageSet, LeftOut
from mlrc.harness.images.files import ImageList, open_list
from mlrc.harness.images.folders import Walk, class_folders, require_name, sub_folders
from mlrc.harness.images.manifest import Row, rows
from mlrc.harness.vectors.sides import side_of
from mlrc.protocols.datasets.folder import FACTS

MANIFEST = "manifest.csv"
PRETRAINING = "pretraining.txt"
"""Says in a sentence which of the classes pretrained weights may have seen."""


def list_folder(path: Path, *, alone: bool = False) -> ImageList:
    """List a manifest, a folder with a `manifest.csv`, or a folder of class folders, perhaps below train/ and test/.

    Classes are numbered by sub-folder name, or by label: as numbers where all labels are whole numbers, else as text;
    where the images bring a split of their own, those to train on come first. With `alone` no image needs another of
    its class.

    Raises:
        FileNotFoundError: there is no such folder or file.
        ValueError: there are no classes, a class has fewer than two images, a split shares classes, or the manifest is
            malformed.
    """
    if path.is_file():
        images = listed(rows(path), str(path), path.parent)
    elif (path / MANIFEST).is_file():
        images = listed(rows(path / MANIFEST), str(path / MANIFEST), path)
    elif path.is_dir():
        names = sub_folders(path)
        if not names:
            raise ValueError(f"{path} must hold one sub-folder per class or a {MANIFEST}, but it holds neither.")
        _require_one_level(path, names)
        images = _from_sides(path, names) if all(map(side_of, names)) else class_folders(path, names)
        _require_different(images)
    else:
        raise FileNotFoundError(f"folder:PATH must name a folder or a CSV manifest, but there is no {path}.")
    if not alone:
        require_positives(images)
    return images


def _require_one_level(path: Path, names: Sequence[str]) -> None:
    """Refuse sides of a split, class folders in each, beside folders that are none: each side would be one class."""
    sides = [name for name in names if side_of(name)]
    if len(sides) < 2 or len(sides) == len(names):
        return
    walk = Walk(path)
    inside = [walk.entries(side, os.path.realpath(path / side)) for side in sides]
    if all(entries and all(entry.is_folder for entry in entries) for entries in inside):
        other = next(name for name in names if not side_of(name))
        raise ValueError(
            f"{path} must be divided into classes, or into sides of a split with classes in each, but it holds "
            f"{' and '.join(sides)} with folders in each, and {other} beside them; move {other} away, or the classes "
            "of each side up."
        )


def _from_sides(path: Path, names: Sequence[str]) -> ImageList:
    """List class folders below the sides of a split: all of what is train or val, and all of what is test."""
    walk = Walk(path)
    found: list[Row] = []
    beside = []
    for entry in walk.entries("", os.path.realpath(path)):
        if not entry.is_folder:
            beside.append(LeftOut(entry.name, "beside the class folders"))
            continue
        is_test, is_query = side_of(entry.name) or (False, None)
        inside = walk.entries(entry.name, entry.real)
        classes = [one.name for one in inside if one.is_folder]
        if not classes:
            raise ValueError(
                f"{path} looks divided into {', '.join(names)}, so each must hold one sub-folder per class, but "
                f"{entry.name} holds none; add them, or give the classes other names."
            )
        beside += [
            LeftOut(f"{entry.name}/{one.name}", "beside the class folders") for one in inside if not one.is_folder
        ]
        for name in classes:
            files = walk.files(f"{entry.name}/{name}", of_class=name)
            if not files:
                raise ValueError(
                    f"Every class folder must hold images, but {path / entry.name / name} holds none; add images or "
                    "remove it."
                )
            found += [Row(0, file, name, is_test, is_query) for file in files]
    images = listed(found, f"{path} (class folders below {', '.join(names)})", path)
    return replace(images, left_out=(*beside, *walk.left_out))


def listed(found: Sequence[Row], where: str, folder: Path) -> ImageList:
    """Give a list with its classes numbered; raises `ValueError` where two share a number, or a split shares some."""
    names, trainval = _class_names(found, where)
    numbers = {name: number for number, name in enumerate(names)}
    return ImageList(
        found=where,
        folder=folder,
        paths=tuple(row.path for row in found),
        labels=np.array([numbers[row.label] for row in found], dtype=np.int64),
        class_names=names,
        trainval_classes=trainval,
        queries=_queries(found, where),
        cameras=_cameras(found),
    )


def _class_names(found: Sequence[Row], where: str) -> tuple[tuple[str, ...], int | None]:
    first: defaultdict[bool | None, dict[str, Row]] = defaultdict(dict)
    named: dict[str, Row] = {}
    for row in found:
        first[row.is_test].setdefault(row.label, row)
        named.setdefault(row.label, row)
    in_order = _order(named, where)
    if None in first:
        return tuple(in_order), None
    for is_test, side in ((False, "train or val"), (True, "test")):
        if not first[is_test]:
            raise ValueError(f"{where} must have images on both sides of its split, but none is {side}; add some.")
    if shared := [name for name in in_order if name in first[False] and name in first[True]]:
        mine, test = first[False][shared[0]], first[True][shared[0]]
        raise ValueError(
            f"Classes to train on must be no test classes, but {where} has {len(shared)} on both sides, such as "
            f"{shared[0]!r} ({_place(mine)} and {_place(test)}); divide it by classes, or give it no split, and half "
            "of the classes are test."
        )
    trainval = [name for name in in_order if name in first[False]]
    return (*trainval, *(name for name in in_order if name in first[True])), len(trainval)


def _order(named: Mapping[str, Row], where: str) -> list[str]:
    """Sort class names as numbers where all are, else as text."""
    if not all(name.isdecimal() for name in named):
        return sorted(named)
    by_number: dict[int, str] = {}
    for name in named:
        other = by_number.setdefault(int(name), name)
        if other != name:
            raise ValueError(
                f"Every class must have one name, but {where} writes one as {other!r} ({_place(named[other])}) and as "
                f"{name!r} ({_place(named[name])}); write all numbers alike."
            )
    return [by_number[number] for number in sorted(by_number)]


def _place(row: Row) -> str:
    return f"line {row.line}" if row.line else row.path


def _queries(found: Sequence[Row], where: str) -> NDArray[np.bool_] | None:
    test = [row for row in found if row.is_test]
    if all(row.is_query is None for row in test):
        return None
    if (undecided := [row for row in test if row.is_query is None]) or len({row.is_query for row in test}) < 2:
        told = f"{_place(undecided[0])} tells neither" if undecided else "all of them are one"
        raise ValueError(
            f"Test images must be some queries and some gallery, but in {where} {told}; say which ask, or of none."
        )
    return np.array([bool(row.is_query) for row in found], dtype=np.bool_)


def _cameras(found: Sequence[Row]) -> NDArray[np.int64] | None:
    if any(row.camera is None for row in found):
        return None
    numbers = {name: number for number, name in enumerate(sorted({row.camera for row in found if row.camera}))}
    return np.array([numbers.get(row.camera or "", -1) for row in found], dtype=np.int64)


def _require_different(images: ImageList) -> None:
    """Refuse class folders whose names are one but for how an accent is composed."""
    first: dict[str, str] = {}
    for name in images.class_names:
        other = first.setdefault(unicodedata.normalize("NFC", name), name)
        if other is not name:
            raise ValueError(
                f"Every class must have a name of its own, but {images.found} has {other!r} and {name!r}, which look "
                "the same; put their images into one folder."
            )


def require_positives(images: ImageList) -> None:
    """Refuse a class that no image of it can find: of one image, but among the galleries of a split."""
    counts = np.bincount(images.labels)
    least = 2 if images.queries is None else 1
    tested = np.arange(len(counts)) >= (images.trainval_classes or 0)
    alone = np.flatnonzero(counts < np.where(tested, least, 2))
    if len(alone):
        more = f", nor have {len(alone) - 1} others" if len(alone) > 1 else ""
        raise ValueError(
            f"Every class must have at least 2 images to be retrieved, but class {images.class_names[int(alone[0])]!r} "
            f"of {images.found} has 1{more}; add images or leave it out."
        )
    if images.queries is None and images.cameras is None:
        return
    test = images.labels >= (images.trainval_classes or 0)
    asks = test if images.queries is None else images.queries
    answers = test if images.queries is None else test & ~images.queries
    nothing = np.zeros(len(images.labels), dtype=np.int64)
    cameras = nothing if images.cameras is None else images.cameras
    seen: defaultdict[int, set[int]] = defaultdict(set)
    for label, camera in zip(images.labels[answers].tolist(), cameras[answers].tolist(), strict=True):
        seen[label].add(camera)
    for label, camera in zip(images.labels[asks].tolist(), cameras[asks].tolist(), strict=True):
        if seen[label] - ({camera} if images.cameras is not None else set()):
            return
    raise ValueError(
        f"A query must have an image of its class to find, by another camera where cameras are told, but in "
        f"{images.found} none has; correct split, query or camera."
    )


def open_folder(path: Path, *, alone: bool = False) -> ImageSet:
    """Open the images at `path`; the set is called `folder:` and the folder's own name.

    With `alone` no image needs another of its class, as where they are embedded and not compared. Raises what
    `list_folder`, `require_name` and `open_list` raise.
    """
    resolved = path.resolve()
    place = resolved.parent if resolved.name == MANIFEST else resolved
    require_name(place.name, str(place.parent))  # records carry it
    name = place.stem if place.is_file() else place.name
    facts = replace(FACTS, name=f"folder:{name}", title=name, pretraining=_pretraining(resolved))
    images = list_folder(resolved, alone=alone)
    others = tuple(one for one in images.left_out if one.path != PRETRAINING)
    return open_list(facts, replace(images, left_out=others))


def _pretraining(path: Path) -> str:
    """Read what `pretraining.txt` beside the images says, as one line; empty where there is none."""
    told = (path.parent if path.is_file() else path) / PRETRAINING
    if not told.is_file():
        return ""
    try:
        return " ".join(told.read_text(encoding="utf-8").split())
    except UnicodeDecodeError as error:
        raise ValueError(f"{told} must be text in UTF-8, but is not ({error.reason}); save it so.") from None


DATASET = Dataset(facts=FACTS, open=open_folder)
