"""What the test images are asked."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.images.dataset import ImageSet


class Task(NamedTuple):
    """What the test embeddings are asked.

    Attributes:
        labels: `(test images,)`.
        queries: `(test images,)`, true for those that ask while the others are their gallery, as in In-Shop; `None`
            where every test image asks all others.
        cameras: `(test images,)`: images of a query's class and camera are not searched; `None` where all are.
    """

    labels: NDArray[np.int64]
    queries: NDArray[np.bool_] | None = None
    cameras: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, images: ImageSet, test: NDArray[np.int64]) -> Self:
        """Give what test images are asked: the dataset's queries its gallery, or each of them all others."""
        queries = None if images.queries is None else images.queries[test]
        return cls(images.labels[test], queries, None if images.cameras is None else images.cameras[test])
