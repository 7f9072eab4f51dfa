"""Reader of anyone's own vectors, of images, texts, sounds or faces: a data set whose features are there already.

docs/data.md says which files are read and what each column means. Vectors that `mlrc embed` wrote say which trunk gave
them of which images; they stand under these images' name and fingerprint, for the same trainings.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.images.dataset import DATASETS, Dataset, ImageSet
from mlrc.harness.images.files import ImageList
from mlrc.harness.images.folder import listed, require_positives
from mlrc.harness.images.manifest import Row
from mlrc.harness.vectors.reading import beside, read
from mlrc.harness.vectors.vectors import Vectors
from mlrc.protocols.datasets.facts import DatasetFacts
from mlrc.protocols.datasets.features import FACTS

RECIPE, SEAL = "recipe", "seal"
"""Names in the origin of what `mlrc embed` wrote: the fields of a protocol that decide the vectors, as JSON; and the
hash of labels and vectors, by which it is seen that they are still those."""


class Made(NamedTuple):
    """What made vectors: the fields of a protocol that decide the features of a trunk, as JSON values."""

    fields: Mapping[str, Any]


class VectorRows:
    """Vectors in the place of images, which nobody can look at; they are read when they are asked for.

    Attributes:
        path: of their file.
        width: dimensions of each.
        made: by what, where they say so.
    """

    def __init__(self, path: Path, count: int, width: int, made: Made | None) -> None:
        self.path = path
        self.width = width
        self.made = made
        self._count = count

    def __len__(self) -> int:
        """Give the number of rows."""
        return self._count

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Refuse to show an image.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"There must be an image to look at, but row {index} of {self.path} is a vector.")

    def rows(self) -> NDArray[np.float32]:
        """Read all of them, `(rows, width)`."""
        return _read(self.path).embeddings.astype(np.float32, copy=False)


def open_vectors(path: Path) -> ImageSet:
    """Open the vectors at `path`; the set is called `features:` and the file's own name, or as the images they are of.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is malformed, has no labels, or a class cannot be found; or `mlrc embed` wrote other vectors.
    """
    vectors = _read(path)
    if vectors.labels is None:
        raise ValueError(
            f"{vectors.found} must tell the class of each row, but has no column labels; add it, or beside a .npy a "
            ".csv with it."
        )
    images = listed(_rows(vectors), vectors.found, path.parent)
    require_positives(images)
    made, origin = None, vectors.origin
    if RECIPE in origin:
        if origin.get(SEAL) != seal(vectors):
            raise ValueError(
                f"{vectors.found} must hold what mlrc embed wrote, as its origin says, but labels or vectors are "
                "others; write it again, or leave its origin out."
            )
        made = Made(json.loads(origin[RECIPE]))
    name = path.resolve().stem
    return ImageSet(
        facts=_facts(origin["images"]) if made else replace(FACTS, name=f"features:{name}", title=name),
        fingerprint=origin["fingerprint"] if made else _fingerprint(images, vectors),
        content=_fingerprint(images, vectors),
        labels=images.labels,
        class_names=images.class_names,
        pixels=VectorRows(path, len(vectors), vectors.embeddings.shape[1], made),
        queries=images.queries,
        cameras=images.cameras,
        trainval_classes=images.trainval_classes,
        found=vectors.found,
    )


def _facts(name: str) -> DatasetFacts:
    """Give the facts of the images that vectors are of; raises what `DATASETS.find` raises."""
    facts = DATASETS.find(name.partition(":")[0]).facts
    return facts if ":" not in name else replace(facts, name=name, title=name.partition(":")[2])


def seal(vectors: Vectors) -> str:
    """Give 32 hexadecimal digits over labels and vectors."""
    digest = hashlib.blake2b(digest_size=16)
    for label in [] if vectors.labels is None else vectors.labels.tolist():
        digest.update(f"{label}\n".encode())
    digest.update(np.ascontiguousarray(vectors.single().embeddings, dtype="<f4").data)
    return digest.hexdigest()


def _read(path: Path) -> Vectors:
    return read(path, beside(path)).single()


def _rows(vectors: Vectors) -> list[Row]:
    count = len(vectors)
    none = [None] * count
    tests = none if vectors.test is None else vectors.test.tolist()
    asking = none if vectors.queries is None else vectors.queries.tolist()
    cameras = none if vectors.cameras is None else [one or None for one in vectors.cameras.tolist()]
    labels = [] if vectors.labels is None else map(str, vectors.labels.tolist())
    return [
        Row(0, f"row {number}", label, is_test, is_query if is_test else None, camera)
        for number, (label, is_test, is_query, camera) in enumerate(zip(labels, tests, asking, cameras, strict=True))
    ]


def _fingerprint(images: ImageList, vectors: Vectors) -> str:
    """Hash what the set is: classes, sides, queries, cameras and vectors, to 16 hexadecimal digits."""
    digest = hashlib.sha256(f"vectors {vectors.embeddings.shape} {images.trainval_classes}\n".encode())
    nothing = np.zeros(len(vectors), dtype=np.int64)
    for column in (images.labels, images.queries, images.cameras):
        digest.update((nothing if column is None else column).astype("<i8").tobytes())
    digest.update(np.ascontiguousarray(vectors.embeddings, dtype="<f4").data)
    return digest.hexdigest()[:16]


DATASET = Dataset(facts=FACTS, open=open_vectors)
