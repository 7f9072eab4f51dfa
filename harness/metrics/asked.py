"""What embeddings are asked, checked and with its labels numbered: who asks, who is searched, and who is left out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.metrics.ranking.euclidean import by_distance
from mlrc.harness.metrics.ranking.neighbours import Ranking
from mlrc.harness.metrics.ranking.similarity import directions
from mlrc.protocols.protocol import Protocol

Embeddings = NDArray[Any] | torch.Tensor
Labels = NDArray[Any] | torch.Tensor | Sequence[int] | Sequence[str]
Integers = NDArray[np.int64]
Similarity = Literal["cosine", "euclidean"]


def similarity_of(protocol: Protocol) -> Similarity:
    """Give by what a protocol's images are near, as the word of a type."""
    return "euclidean" if protocol.similarity == "euclidean" else "cosine"


class Asked(NamedTuple):
    """A ranking that is asked for, and the labels of its queries.

    Attributes:
        ranking: which images ask, and which are searched.
        labels: `(queries,)`: integers as they are; strings, and integers beyond int64, numbered in sorted order.
    """

    ranking: Ranking
    labels: Integers


def asked(
    embeddings: Embeddings,
    labels: Labels,
    *,
    gallery_embeddings: Embeddings | None = None,
    gallery_labels: Labels | None = None,
    cameras: Integers | None = None,
    gallery_cameras: Integers | None = None,
    identities: Integers | None = None,
    gallery_identities: Integers | None = None,
    similarity: Similarity = "cosine",
    depth: int,
) -> Asked:
    """Check what is asked, and number the labels.

    Args:
        embeddings: as in `mlrc.harness.metrics.retrieval.retrieval`, as are the others up to `gallery_identities`.
        labels: of the queries.
        gallery_embeddings: those searched.
        gallery_labels: of the gallery.
        cameras: of the queries.
        gallery_cameras: of the gallery.
        identities: which image each query is.
        gallery_identities: of the gallery.
        similarity: by which images are near.
        depth: ranks to know of every query.

    Raises:
        ValueError: shapes that do not match, values that are not finite, or an image with two labels or cameras.
        TypeError: embeddings or labels of another type.
    """
    if (gallery_embeddings is None) != (gallery_labels is None):
        raise ValueError("A gallery must have embeddings and labels, but only one of the two was given; give both.")
    scaled = similarity == "cosine"
    queries = directions(embeddings, scaled=scaled)
    of_query = _labels(labels, len(queries), "embeddings")
    gallery, of_gallery = None, of_query
    if gallery_embeddings is not None and gallery_labels is not None:
        gallery = directions(gallery_embeddings, "gallery embeddings", scaled=scaled)
        of_gallery = _labels(gallery_labels, len(gallery), "gallery embeddings")
        if gallery.rows.shape[1] != queries.rows.shape[1]:
            raise ValueError(
                "Queries and gallery must be embedded by the same model, but have "
                f"{queries.rows.shape[1]} and {gallery.rows.shape[1]} dimensions."
            )
        if (of_query.dtype.kind == "U") != (of_gallery.dtype.kind == "U"):
            raise TypeError(
                "The labels of queries and gallery must both be integers or both be strings, "
                f"but are {of_query.dtype} and {of_gallery.dtype}."
            )
    distinct, of_all = np.unique(of_query if gallery is None else _joined(of_query, of_gallery), return_inverse=True)
    query_labels, gallery_labels_ = of_all[: len(queries)], of_all if gallery is None else of_all[len(queries) :]
    positives = np.bincount(gallery_labels_, minlength=len(distinct))[query_labels] - (gallery is None)
    ranking = Ranking(
        queries=queries,
        gallery=gallery,
        query_labels=query_labels,
        gallery_labels=gallery_labels_,
        positives=positives,
        depth=depth,
    )
    if cameras is not None or gallery_cameras is not None:
        ranking = _by_camera(ranking, cameras, gallery_cameras)
    if identities is not None and gallery_identities is not None:
        ranking = _without_themselves(ranking, identities, gallery_identities)
    if similarity == "euclidean":
        ranking = by_distance(ranking)
    as_they_are = np.can_cast(of_query.dtype, np.int64) or (of_query.dtype.kind == "u" and not _is_beyond(of_query))
    return Asked(ranking, of_query.astype(np.int64) if as_they_are else query_labels)


def _joined(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Join labels without making floats of integers, as numpy would of signed and unsigned ones."""
    if one.dtype.kind == other.dtype.kind:
        return np.concatenate([one, other])
    signed, unsigned = (one, other) if one.dtype.kind == "i" else (other, one)
    if not _is_beyond(unsigned):
        return np.concatenate([one.astype(np.int64), other.astype(np.int64)])
    if signed.min(initial=0) >= 0:
        return np.concatenate([one.astype(np.uint64), other.astype(np.uint64)])
    return np.concatenate([one.astype(object), other.astype(object)])


def _is_beyond(unsigned: NDArray[Any]) -> bool:
    return int(unsigned.max(initial=0)) >= 2**63


def _by_camera(ranking: Ranking, cameras: Integers | None, gallery_cameras: Integers | None) -> Ranking:
    """Leave the images of a query's label and camera out of its ranking."""
    of_gallery = cameras if ranking.gallery is None else gallery_cameras
    given = (cameras, *(() if ranking.gallery is None else (of_gallery,)))
    wanted = [len(ranking.queries), len(ranking.within)][: len(given)]
    if [None if one is None else len(one) for one in given] != wanted or cameras is None or of_gallery is None:
        raise ValueError(
            f"There must be a camera for each of the {' and '.join(map(str, wanted))} images of queries and gallery; "
            "give cameras of all or of none."
        )
    both = np.concatenate(
        [np.stack([ranking.query_labels, cameras]), np.stack([ranking.gallery_labels, of_gallery])], 1
    )
    _, of_all = np.unique(both, axis=1, return_inverse=True)
    query_groups, gallery_groups = np.split(of_all.reshape(-1), [len(cameras)])
    return _without(ranking, query_groups, gallery_groups)


def _without_themselves(ranking: Ranking, identities: Integers, gallery_identities: Integers) -> Ranking:
    """Leave the image that a query is out of its ranking; where cameras are told they have done so."""
    _, of_all = np.unique(np.concatenate([identities, gallery_identities]), return_inverse=True)
    query_groups, gallery_groups = of_all[: len(identities)], of_all[len(identities) :]
    order = np.argsort(gallery_groups, kind="stable")
    low, high = (np.searchsorted(gallery_groups[order], query_groups, side) for side in ("left", "right"))
    for what, of_query, of_gallery in (
        ("label", ranking.query_labels, ranking.gallery_labels),
        ("camera", ranking.query_groups, ranking.gallery_groups),
    ):
        if of_query is None or of_gallery is None:
            continue
        for query in np.flatnonzero(high > low).tolist():
            found = order[low[query] : high[query]]
            if (of_gallery[found] != of_query[query]).any():
                raise ValueError(
                    f"An image must have one {what}, but query {query} has another one in the gallery (row "
                    f"{found[0]}); correct it."
                )
    return ranking if ranking.query_groups is not None else _without(ranking, query_groups, gallery_groups)


def _without(ranking: Ranking, query_groups: Integers, gallery_groups: Integers) -> Ranking:
    groups = 1 + max(int(query_groups.max(initial=0)), int(gallery_groups.max(initial=0)))
    left_out = np.bincount(gallery_groups, minlength=groups)[query_groups] - (ranking.gallery is None)
    return replace(
        ranking,
        query_groups=query_groups,
        gallery_groups=gallery_groups,
        positives=ranking.positives - left_out,
        left_out=left_out,
    )


def _labels(labels: Labels, images: int, of: str) -> NDArray[Any]:
    """Give labels as an array of integers or strings; bytes are UTF-8."""
    array = labels.detach().cpu().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    if array.dtype.kind in "SO" and all(isinstance(label, str | bytes) for label in array.flat):
        array = _decoded(array, of)
    if array.dtype.kind not in "iuU":
        raise TypeError(f"Labels must be integers or strings, but are {array.dtype}; convert them first.")
    if array.shape != (images,):
        raise ValueError(
            f"There must be one label for each of the {images} {of}, but the labels have the shape {array.shape}."
        )
    return array


def _decoded(array: NDArray[Any], of: str) -> NDArray[np.str_]:
    try:
        texts = [label.decode() if isinstance(label, bytes) else label for label in array.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise ValueError(f"Labels of bytes must be UTF-8, but those of the {of} have {error.object!r}.") from None
    return np.array(texts, dtype=str).reshape(array.shape)
