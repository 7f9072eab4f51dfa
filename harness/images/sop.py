"""Reader of Stanford Online Products from Ebay_train.txt and Ebay_test.txt, with or without Info_Files/ and images/."""

from pathlib import Path

import numpy as np

from mlrc.harness.images.dataset import Dataset, ImageSet
from mlrc.harness.images.files import ImageList, missing, open_list, read_rows, whole_number
from mlrc.protocols.datasets.facts import DatasetFacts
from mlrc.protocols.datasets.sop import FACTS

LISTS = ("Ebay_train.txt", "Ebay_test.txt")


def list_sop(root: Path) -> ImageList:
    """List the train rows, then the test rows; label = class_id − 1.

    Raises:
        FileNotFoundError: the lists are not there.
        ValueError: a list is malformed.
    """
    places = [root, *(root / name for name in ("Stanford_Online_Products", FACTS.name, "online_products"))]
    for place in places:
        for lists in (place, place / "Info_Files"):
            if all((lists / name).is_file() for name in LISTS):
                return _from_lists(place, lists)
    raise missing(FACTS, "Ebay_train.txt and Ebay_test.txt with the images", places)


def _from_lists(place: Path, lists: Path) -> ImageList:
    paths: list[str] = []
    labels: list[int] = []
    for name in LISTS:
        for _, class_id, _, path in read_rows(lists / name, 4, skip=1):
            labels.append(whole_number(class_id, lists / name) - 1)
            paths.append(path)
    return ImageList(
        found=f"{lists / LISTS[0]} and {LISTS[1]}",
        folder=place / "images" if (place / "images").is_dir() else place,
        paths=tuple(paths),
        labels=np.array(labels, dtype=np.int64),
        class_names=tuple(str(number) for number in range(1, max(labels, default=-1) + 2)),
    )


def open_sop(root: Path, facts: DatasetFacts = FACTS) -> ImageSet:
    """Open Stanford Online Products below `root`; raises what `list_sop` and `open_list` raise."""
    return open_list(facts, list_sop(root))


DATASET = Dataset(facts=FACTS, open=open_sop)
