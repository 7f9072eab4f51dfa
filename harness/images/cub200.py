"""Reader of CUB-200-2011 from its lists, or from its class folders alone; both give the same order."""

import re
from pathlib import Path

import numpy as np

from mlrc.harness.images.dataset import Dataset, ImageSet
from mlrc.harness.images.files import ImageList, missing, open_list, read_rows, whole_number
from mlrc.harness.images.folders import class_folders, sub_folders
from mlrc.protocols.datasets.cub200 import FACTS
from mlrc.protocols.datasets.facts import DatasetFacts

_CLASS = re.compile(r"\d{3}\.")


def list_cub200(root: Path) -> ImageList:
    """List the images as torchvision's ImageFolder orders them: classes by folder name, files by name.

    Raises:
        FileNotFoundError: neither layout is there.
        ValueError: a list is malformed.
    """
    places = [root, root / "CUB_200_2011", root / "cub200", root / "cub200" / "CUB_200_2011"]
    for place in places:
        if (place / "images.txt").is_file() and (place / "image_class_labels.txt").is_file():
            return _from_lists(place)
    for folder in [place / "images" for place in places] + places:
        names = [name for name in sub_folders(folder) if _CLASS.match(name)]
        if names:
            return class_folders(folder, names)
    raise missing(FACTS, "images.txt, image_class_labels.txt and images/, or its class folders,", places)


def _from_lists(place: Path) -> ImageList:
    paths = dict(read_rows(place / "images.txt", 2))
    labels_file = place / "image_class_labels.txt"
    labels = {image: whole_number(label, labels_file) - 1 for image, label in read_rows(labels_file, 2)}
    if paths.keys() != labels.keys():
        image = min(paths.keys() ^ labels.keys())
        raise ValueError(
            f"{place / 'images.txt'} and image_class_labels.txt must name the same images, but only one has number "
            f"{image}; get both again."
        )
    order = sorted(paths, key=lambda image: paths[image].split("/"))
    names = {labels[image]: paths[image].split("/")[0] for image in order}
    return ImageList(
        found=f"{place / 'images.txt'}",
        folder=place / "images",
        paths=tuple(paths[image] for image in order),
        labels=np.array([labels[image] for image in order], dtype=np.int64),
        class_names=tuple(names[label] for label in sorted(names)),
    )


def open_cub200(root: Path, facts: DatasetFacts = FACTS) -> ImageSet:
    """Open CUB-200-2011 below `root`; raises what `list_cub200` and `open_list` raise."""
    return open_list(facts, list_cub200(root))


DATASET = Dataset(facts=FACTS, open=open_cub200)
