"""The similarity of two images, defined so that no device, chunk size or number of threads can change it.

Every row is L2-normalised in float64 and rounded to multiples of 2^-26; the similarity is the exact dot product of two
such rows. In units of 2^-52 every product and, by Cauchy and Schwarz, every partial sum is an integer below 2^53, which
float64 holds without rounding in whatever order the sum is taken. The value differs from the cosine by about 1e-8, less
than the product of two normalised float32 rows does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

GRID = 2.0**26
"""Steps of the grid between 0 and 1 to which the components of a normalised row are rounded."""

FLOAT32 = 2.0**-24
"""Unit roundoff of float32."""

CHUNK = 2**14
"""Components that are widened to float64 at a time."""


@dataclass(frozen=True, kw_only=True)
class Directions:
    """Embeddings seen as directions.

    Attributes:
        rows: `(images, dim)`, the embeddings as they were given.
        norms: `(images,)`, their lengths, accumulated in float64. A zero vector has no direction: its length is taken
            as infinite, so that its similarity to every image is 0.
    """

    rows: NDArray[np.floating[Any]]
    norms: NDArray[np.float64]

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.rows)

    @property
    def tolerance(self) -> float:
        """Bound the error of a float32 similarity, in whatever order the dot product of `unit()` rows is summed.

        dim roundings of the sum, a few of the rows' own (`unit()` takes lengths within 4 roundings of 1 as they are),
        and √dim/4 of the grid.
        """
        return (1.1 * int(self.rows.shape[1]) + 16) * FLOAT32

    def fixed(self, images: slice | NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Give the normalised rows of some images on the grid, `(images, dim)`, as whole numbers of steps."""
        on_grid = self.rows[images].astype(np.float64)
        on_grid *= (GRID / self.norms[images])[:, None]
        return np.rint(on_grid, out=on_grid)

    def unit(self) -> NDArray[np.float32]:
        """Give float32 rows of length 1, `(images, dim)`: the embeddings themselves where they are that already."""
        rows = self.rows
        near_one = bool((np.abs(self.norms - 1.0) <= 4 * FLOAT32).all())
        if rows.dtype == np.float32 and near_one and rows.flags.c_contiguous and rows.flags.writeable:
            return rows
        units = np.empty(rows.shape, np.float32)
        for part in chunks(rows.shape):
            np.divide(rows[part], self.norms[part][:, None], out=units[part], dtype=np.float64, casting="same_kind")
        return units


def chunks(shape: tuple[int, ...], components: int = CHUNK) -> list[slice]:
    """Cut rows of the given shape into slices of about `components` components."""
    step = max(1, components // max(1, shape[1]))
    return [slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step)]


def directions(embeddings: NDArray[Any] | torch.Tensor, of: str = "embeddings", *, scaled: bool = True) -> Directions:
    """Check embeddings and measure their lengths.

    Args:
        embeddings: `(images, dim)`, float16, bfloat16, float32 or float64.
        of: what a message calls them.
        scaled: whether rows of extreme length may be scaled, which leaves their directions alone.

    Raises:
        ValueError: another shape, or a value that is not finite.
        TypeError: another type of numbers.
    """
    if isinstance(embeddings, torch.Tensor):
        tensor = embeddings.detach().cpu()
        embeddings = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    rows = np.asarray(embeddings)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"The {of} must have the shape (images, dim), but have {rows.shape}; give one row per image.")
    if rows.dtype not in (np.float16, np.float32, np.float64):
        raise TypeError(f"The {of} must be float16, float32 or float64, but are {rows.dtype}; convert them first.")
    norms = np.empty(len(rows))
    for part in chunks(rows.shape):
        wide = rows[part].astype(np.float64)
        largest = np.abs(wide).max(axis=1, initial=0.0)
        if not np.isfinite(largest).all():
            row = part.start + int(np.flatnonzero(~np.isfinite(largest))[0])
            raise ValueError(
                f"The {of} must be finite, but row {row} holds NaN or infinity; look for a diverged model."
            )
        with np.errstate(over="ignore", under="ignore"):
            norms[part] = np.sqrt(np.multiply(wide, wide, out=wide).sum(axis=1))
        if scaled and rows.dtype == np.float64 and ((largest > 1e140) | ((largest > 0) & (largest < 1e-140))).any():
            return directions(rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float64).tiny), of)
    norms[norms == 0] = np.inf
    return Directions(rows=rows, norms=norms)


@contextmanager
def full_precision() -> Iterator[None]:
    """Let no setting of torch (TF32, bfloat16) shorten float32 products, whose error `tolerance` bounds."""
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):  # before torch 2.9
        setting = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(setting)
        return
    matmuls: list[Any] = [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]  # type: ignore[attr-defined] # not in its types
    settings = [matmul.fp32_precision for matmul in matmuls]
    for matmul in matmuls:
        matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        for matmul, was in zip(matmuls, settings, strict=True):
            matmul.fp32_precision = was
