"""The value that files of vectors become: embeddings, and what is told of each row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

CHUNK = 2**20
"""Components that are looked at at a time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """Embeddings and what is told of each; every column has an entry per row, or is `None` where nothing tells.

    Attributes:
        embeddings: `(rows, dim)`, finite, float16, float32 or float64 in this machine's byte order, perhaps mapped from
            the file; `single()` gives float32.
        labels: `(rows,)` as they were written: int64, uint64 where one exceeds that, or strings; none is empty.
        paths: `(rows,)`, strings, each once: which image, or whatever it is, a row belongs to.
        test: `(rows,)`, on which side of its own split a row is.
        queries: `(rows,)`, true for test rows that ask while the other test rows are their gallery; not all, not none.
        cameras: `(rows,)`, strings, empty where none is told, which no test row is: rows of a query's class and camera
            are not searched.
        origin: what whoever wrote the file says of it, such as `trunk` and `weights`.
        unused: names of what lies in the files, too, and is none of these.
        found: the files, for people.
    """

    embeddings: NDArray[np.floating[Any]]
    labels: NDArray[Any] | None = None
    paths: NDArray[np.str_] | None = None
    test: NDArray[np.bool_] | None = None
    queries: NDArray[np.bool_] | None = None
    cameras: NDArray[np.str_] | None = None
    origin: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    found: str = ""

    def __len__(self) -> int:
        """Give the number of rows."""
        return len(self.embeddings)

    def single(self) -> Self:
        """Give the same with float32 embeddings; raises `ValueError` where one is beyond that range."""
        if self.embeddings.dtype == np.float32:
            return self
        narrow = np.empty(self.embeddings.shape, np.float32)
        with np.errstate(over="ignore", under="ignore"):
            for part in chunks(self.embeddings.shape):
                narrow[part] = self.embeddings[part]
        require_finite(narrow, self.found, "within the range of float32")
        return replace(self, embeddings=narrow)

    def rows(self, some: NDArray[np.bool_]) -> Self:
        """Give some of the rows, in their order."""
        return replace(
            self,
            embeddings=self.embeddings[some],
            labels=None if self.labels is None else self.labels[some],
            paths=None if self.paths is None else self.paths[some],
            test=None if self.test is None else self.test[some],
            queries=None if self.queries is None else self.queries[some],
            cameras=None if self.cameras is None else self.cameras[some],
        )


def chunks(shape: tuple[int, ...]) -> list[slice]:
    """Cut rows of a shape into slices of about `CHUNK` components."""
    step = max(1, CHUNK // max(1, shape[1]))
    return [slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step)]


def require_finite(embeddings: NDArray[np.floating[Any]], where: str, what: str = "finite") -> None:
    """Raise `ValueError` for embeddings that hold NaN or infinity, naming the first such row."""
    for part in chunks(embeddings.shape):
        finite = np.isfinite(embeddings[part]).all(axis=1)
        if not finite.all():
            row = part.start + int(np.flatnonzero(~finite)[0])
            raise ValueError(
                f"{where}: the embeddings must be {what}, but row {row} holds NaN or infinity; look for a diverged "
                "model, or a column that is none of the embedding."
            )
