"""Exact nearest neighbours whose order depends on the embeddings alone: not on device, chunk or number of threads.

**Similarity.** Every row is L2-normalised in float64 and rounded to multiples of 2^-26; the similarity of two images is
the exact dot product of these rows. As every partial sum is an integer below 2^53 (in units of 2^-52), float64 gives it
without rounding in whatever order the sum is taken. It differs from the cosine by about 1e-8, less than float32 does.

**Ties.** Equal similarities are ranked by the index in the gallery, lowest first.

**The query itself** is removed by its identity (row i of the gallery is query i), never by its rank. A zero vector has
no direction: its similarity to every image is 0.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Backend = Literal["torch", "faiss"]


class Ranked(NamedTuple):
    """The neighbours of some consecutive queries.

    `relevant` is `(queries, depth)`: whether the neighbour at rank 1, 2, … has the query's label. `positives` is
    `(queries,)`: images in the gallery with the query's label, the query left out. `labels` is `(queries,)`.
    """

    relevant: NDArray[np.bool_]
    positives: NDArray[np.int64]
    labels: NDArray[np.int64]


def _rows(embeddings: NDArray[Any] | torch.Tensor, of: str) -> NDArray[np.floating[Any]]:
    rows = embeddings.detach().cpu().numpy() if isinstance(embeddings, torch.Tensor) else np.asarray(embeddings)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"The {of} must have the shape (images, dim), but have {rows.shape}.")
    if rows.dtype not in (np.float16, np.float32, np.float64):
        raise TypeError(f"The {of} must be float16, float32 or float64, but are {rows.dtype}; convert them.")
    if not np.isfinite(rows).all():
        row = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ValueError(f"The {of} must be finite, but row {row} holds NaN or infinity; the model has diverged.")
    return rows


def fixed_point(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Normalise rows `(images, dim)` and round them to multiples of 2^-26, given as integers in float64."""
    exact = rows.astype(np.float64)
    largest = np.abs(exact).max(axis=1, keepdims=True, initial=0.0)
    exact /= np.where(largest > 0, largest, 1.0)
    norms = np.sqrt((exact * exact).sum(axis=1, keepdims=True))
    exact *= 2.0**26 / np.where(norms > 0, norms, 1.0)
    return np.asarray(np.rint(exact))


def ranked_relevance(
    embeddings: NDArray[Any] | torch.Tensor,
    labels: NDArray[Any] | torch.Tensor | Sequence[int] | Sequence[str],
    *,
    gallery_embeddings: NDArray[Any] | torch.Tensor | None,
    gallery_labels: NDArray[Any] | torch.Tensor | Sequence[int] | Sequence[str] | None,
    depth: int,
    backend: Backend,
    device: str,
    memory: int | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Ranked]:
    """Yield the relevance of the neighbours of all queries, to max(depth, most positives) ranks."""
    queries = fixed_point(_rows(embeddings, "embeddings"))
    own_gallery = gallery_embeddings is None
    gallery = queries if gallery_embeddings is None else fixed_point(_rows(gallery_embeddings, "gallery embeddings"))
    query_labels = np.asarray(labels)
    of_gallery = query_labels if gallery_labels is None else np.asarray(gallery_labels)
    if len(query_labels) != len(queries) or len(of_gallery) != len(gallery):
        raise ValueError(
            f"There must be one label per embedding, but there are {len(queries)} embeddings and {len(query_labels)} "
            f"labels ({len(gallery)} and {len(of_gallery)} in the gallery)."
        )
    distinct, codes = np.unique(np.concatenate([query_labels, of_gallery]), return_inverse=True)
    query_codes, gallery_codes = codes[: len(queries)], codes[len(queries) :]
    positives = np.bincount(gallery_codes, minlength=len(distinct))[query_codes] - own_gallery
    given = query_labels if query_labels.dtype.kind in "iu" else query_codes
    depth = min(max(depth, int(positives.max(initial=0)), 1), len(gallery))
    chunk = 512
    for start in range(0, len(queries), chunk):
        stop = min(start + chunk, len(queries))
        similarity = torch.from_numpy(queries[start:stop]) @ torch.from_numpy(gallery).T
        if own_gallery:
            similarity[torch.arange(stop - start), torch.arange(start, stop)] = -torch.inf
        order = torch.sort(similarity, dim=1, descending=True, stable=True).indices[:, :depth].numpy()
        relevant = gallery_codes[order] == query_codes[start:stop, None]
        if own_gallery:
            relevant &= order != np.arange(start, stop)[:, None]
        yield Ranked(relevant, positives[start:stop], given[start:stop].astype(np.int64))
        if progress is not None:
            progress(stop, len(queries))
