"""Reader of anyone's own images: one sub-folder per class, or a CSV manifest with a path and a label per image."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlrc.harness.images.dataset import Dataset, ImageSet
from mlrc.harness.images.files import ImageList, class_folders, open_list, sub_folders
from mlrc.protocols.datasets.folder import FACTS

MANIFEST = "manifest.csv"
_LABEL_COLUMNS = ("label", "class")


def list_folder(path: Path) -> ImageList:
    """List a manifest, a folder with a `manifest.csv`, or a folder of class folders.

    Classes are numbered by sub-folder name, or by label: as numbers where all labels are whole numbers, else as text.

    Raises:
        FileNotFoundError: there is no such folder or file.
        ValueError: there are no classes, a class has fewer than two images, or the manifest is malformed.
    """
    if path.is_file():
        images = _from_manifest(path)
    elif (path / MANIFEST).is_file():
        images = _from_manifest(path / MANIFEST)
    elif path.is_dir():
        names = sub_folders(path)
        if not names:
            raise ValueError(f"{path} must hold one sub-folder per class or a {MANIFEST}, but it holds neither.")
        images = class_folders(path, names)
    else:
        raise FileNotFoundError(f"folder:PATH must name a folder or a CSV manifest, but there is no {path}.")
    counts = np.bincount(images.labels)
    if counts.min() < 2:
        name = images.class_names[int(counts.argmin())]
        raise ValueError(
            f"Every class must have at least 2 images to be retrieved, but class {name!r} of {images.found} has 1; "
            "add images or leave it out."
        )
    return images


def _from_manifest(path: Path) -> ImageList:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        column = next((name for name in _LABEL_COLUMNS if name in columns), None)
        if "path" not in columns or column is None:
            raise ValueError(f"{path} must have the columns path and label, but has {', '.join(columns) or 'none'}.")
        rows = [(row["path"], row[column]) for row in reader]
    for number, row in enumerate(rows, start=2):
        if not all(row):
            raise ValueError(f"{path} must have a path and a label in every line, but line {number} has not.")
    if not rows:
        raise ValueError(f"{path} must name images, but it names none.")
    texts = {label for _, label in rows}
    names = sorted(texts, key=int) if all(text.isdecimal() for text in texts) else sorted(texts)
    numbers = {name: number for number, name in enumerate(names)}
    return ImageList(
        found=str(path),
        folder=path.parent,
        paths=tuple(image for image, _ in rows),
        labels=np.array([numbers[label] for _, label in rows], dtype=np.int64),
        class_names=tuple(names),
    )


def open_folder(path: Path) -> ImageSet:
    """Open the images at `path`; the set is called `folder:` and the folder's own name.

    Raises what `list_folder` and `open_list` raise.
    """
    resolved = path.resolve()
    place = resolved.parent if resolved.name == MANIFEST else resolved
    name = place.stem if place.is_file() else place.name
    return open_list(replace(FACTS, name=f"folder:{name}", title=name), list_folder(resolved))


DATASET = Dataset(facts=FACTS, open=open_folder)
