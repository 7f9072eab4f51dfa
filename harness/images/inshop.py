"""Reader of In-Shop Clothes Retrieval from list_eval_partition.txt: train, query and gallery."""

from pathlib import Path

import numpy as np

from mlrc.harness.images.dataset import Dataset, ImageSet
from mlrc.harness.images.files import ImageList, missing, open_list, read_rows
from mlrc.protocols.datasets.facts import DatasetFacts
from mlrc.protocols.datasets.inshop import FACTS

LIST = "list_eval_partition.txt"
_STATUS = ("train", "query", "gallery")


def list_inshop(root: Path) -> ImageList:
    """List the images in the list's order; classes are the train items by name, then the test items by name.

    Raises:
        FileNotFoundError: the list is not there.
        ValueError: the list is malformed, or an item is in both halves.
    """
    names = ("Inshop_Clothes", "In-shop", "In-shop Clothes Retrieval Benchmark", FACTS.name)
    places = [root, *(root / name for name in names)]
    for place in places:
        for path in (place / LIST, place / "Eval" / LIST):
            if path.is_file():
                return _from_list(place, path)
    raise missing(FACTS, f"{LIST} (or Eval/{LIST}) with the images of img.zip", places)


def _from_list(place: Path, path: Path) -> ImageList:
    rows = list(read_rows(path, 3, skip=2))  # the number of images, then the columns' names
    unknown = {status for *_, status in rows} - set(_STATUS)
    if unknown:
        raise ValueError(f"{path} must say train, query or gallery, but it says {unknown.pop()!r}; get it again.")
    train = {item for _, item, status in rows if status == "train"}
    test = {item for _, item, status in rows if status != "train"}
    if train & test:
        raise ValueError(f"{path} must divide the items, but {min(train & test)} is in both halves; get it again.")
    class_names = (*sorted(train), *sorted(test))
    numbers = {item: number for number, item in enumerate(class_names)}
    return ImageList(
        found=str(path),
        folder=place / "Img" if (place / "Img").is_dir() else place,
        paths=tuple(image for image, *_ in rows),
        labels=np.array([numbers[item] for _, item, _ in rows], dtype=np.int64),
        class_names=class_names,
        queries=np.array([status == "query" for *_, status in rows], dtype=np.bool_),
    )


def open_inshop(root: Path, facts: DatasetFacts = FACTS) -> ImageSet:
    """Open In-Shop Clothes Retrieval below `root`; raises what `list_inshop` and `open_list` raise."""
    return open_list(facts, list_inshop(root))


DATASET = Dataset(facts=FACTS, open=open_inshop)
