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
    """

    labels: NDArray[np.int64]
    queries: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, images: ImageSet, test: NDArray[np.int64]) -> Self:
        """Give what test images are asked: the dataset's queries its gallery, or each of them all others."""
        return cls(images.labels[test], None if images.queries is None else images.queries[test])
