"""Euclidean distance of embeddings as the model gives them, ranked as exactly as the cosine.

    −|q − g|² = 2 q·g − |g|² − |q|²,

of which |q|² is the same for all images that a query asks. So with one component more on either side, (2q, −1) and
(g, |g|²), the search for the largest product finds the nearest image. All rows are scaled by one power of 2 to length 1
at most and rounded to multiples of 2^-25: in units of 2^-50 every product and partial sum is a whole number below 2^53.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.metrics.ranking.neighbours import Ranking
from mlrc.harness.metrics.ranking.similarity import FLOAT32, GRID, Directions, chunks

STEPS = 2.0**25
"""Of the grid between 0 and the largest length, or up to twice it."""

LEAST = 1e-100
"""Of the largest component; smaller or larger ones overflow in float64."""


@dataclass(frozen=True, kw_only=True)
class Places(Directions):
    """Embeddings seen as places: of queries `(2q, −1)`, of a gallery `(g, |g|²)`, in whole steps of the grid.

    Attributes:
        factor: steps per unit of the embeddings, a power of 2.
        asking: whether they are queries.
    """

    factor: float
    asking: bool

    @property
    def tolerance(self) -> float:
        """Bound the error of a float32 product of `unit()` rows, in whatever order it is summed."""
        return (1.1 * int(self.rows.shape[1] + 1) + 16) * FLOAT32

    def fixed(self, images: slice | NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Give the rows of some images, `(images, dim + 1)`, as whole numbers of steps."""
        on_grid = self.rows[images].astype(np.float64)
        on_grid *= self.factor
        np.rint(on_grid, out=on_grid)
        squares = np.einsum("ij,ij->i", on_grid, on_grid)
        if self.asking:
            return np.column_stack([2 * on_grid, np.full(len(on_grid), -1.0)])
        return np.column_stack([on_grid, squares])

    def distances(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn what queries and images are ranked by, `(images, ranks)`, into distances on the grid; NaN stays so."""
        found = np.empty(products.shape)
        for part in chunks(self.rows.shape):
            on_grid = self.fixed(part)[:, :-1] / 2
            squares = np.einsum("ij,ij->i", on_grid, on_grid)
            found[part] = np.sqrt(squares[:, None] - products[part] * GRID**2) / self.factor
        return found

    def unit(self) -> NDArray[np.float32]:
        """Give the rows in float32, `(images, dim + 1)`, in the units of the exact products."""
        found = np.empty((len(self.rows), self.rows.shape[1] + 1), np.float32)
        for part in chunks(self.rows.shape):
            np.divide(self.fixed(part), GRID, out=found[part], casting="same_kind")
        return found


def by_distance(ranking: Ranking) -> Ranking:
    """Rank by Euclidean distance; a query in its own gallery is left out of its ranking by a group of its own."""
    alone = ranking.gallery is None
    largest = max(float(np.abs(one.rows).max(initial=0.0)) for one in (ranking.queries, ranking.within))
    longest = max(_longest(one.rows, largest) for one in (ranking.queries, ranking.within))
    factor = STEPS / 2.0 ** np.ceil(np.log2(longest)) if longest else 1.0
    queries, within = (
        Places(rows=one.rows, norms=one.norms, factor=factor, asking=asking)
        for one, asking in ((ranking.queries, True), (ranking.within, False))
    )
    groups = ranking.query_groups, ranking.gallery_groups
    if alone and groups[0] is None:
        groups = np.arange(len(queries)), np.arange(len(queries))
    return replace(
        ranking,
        queries=queries,
        gallery=within,
        query_groups=groups[0],
        gallery_groups=groups[1],
        left_out=ranking.left_out + int(alone),
    )


def _longest(rows: NDArray[Any], largest: float) -> float:
    """Give the greatest length of a row; refuse what one grid cannot hold."""
    if largest > 1 / LEAST or 0 < largest < LEAST:
        raise ValueError(
            f"Embeddings that are compared by Euclidean distance must have a largest component from {LEAST:g} to "
            f"{1 / LEAST:g}, but it is {largest:g}; scale them all alike."
        )
    found = 0.0
    for part in chunks(rows.shape):
        wide = rows[part].astype(np.float64)
        found = max(found, float(np.sqrt(np.einsum("ij,ij->i", wide, wide).max(initial=0.0))))
    return found
