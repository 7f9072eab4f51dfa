"""Retrieval metrics from embeddings: every number of a result table comes from here.

The ranking comes from `mlrc.harness.metrics.ranking`; this file turns the relevance of the ranked neighbours into
numbers. With R the number of positives of a query, rel_i ∈ {0, 1} the relevance at rank i and P(i) the precision at
rank i:

    P@k     (1/k)·Σ_{i≤k} rel_i
    RP      (1/R)·Σ_{i≤R} rel_i
    MAP@R   (1/R)·Σ_{i≤R} P(i)·rel_i                          (Musgrave et al. 2020, arXiv 2003.08505)
    MAP@k   (1/k)·Σ_{i≤k} P(i)·rel_i                          (the divisor is k, whatever R is)
    R@k     1 if one of the first k is relevant, else 0       (the hit rate of metric learning, no recall)
    nDCG@k  Σ_{i≤k} rel_i/log2(i+1) over the same sum of min(k, R) ones   (arXiv 2110.03997, equations 10 and 11)

Ranks beyond the gallery count as not relevant. A query without a positive has no value and is left out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.metrics.asked import Embeddings, Labels, Similarity, asked
from mlrc.harness.metrics.ranking.candidates import Backend
from mlrc.harness.metrics.ranking.neighbours import Ranked

HIGHEST_K = 10**6
"""Of a metric at k: as many ranks are kept of every query."""


@dataclass(frozen=True, kw_only=True)
class ClassSums:
    """Per-class sums of the per-query values: what a bootstrap over test classes resamples.

    Attributes:
        classes: `(classes,)`, the labels that have an evaluated query, ascending.
        counts: `(classes,)`, evaluated queries per class.
        sums: metric → `(classes,)`, sum of the fractions over the queries of each class.
    """

    classes: NDArray[np.int64]
    counts: NDArray[np.int64]
    sums: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """The metrics of one set of embeddings, query by query.

    Attributes:
        per_query: metric → `(evaluated queries,)`, fractions from 0 to 1, in the order of the queries.
        labels: `(evaluated queries,)`, their labels; strings, and integers beyond int64, are numbered in sorted order.
        queries: `(evaluated queries,)`, which of the queries they are, ascending.
        positives: `(evaluated queries,)`, R of each.
        left_out: the number of queries without a positive.
        tied: the number of queries in which a positive and a negative are equally similar, so that indices decided;
            many of them tell of a collapsed model.
    """

    per_query: Mapping[str, NDArray[np.float64]]
    labels: NDArray[np.int64]
    queries: NDArray[np.int64]
    positives: NDArray[np.int64]
    left_out: int
    tied: int

    def means(self) -> dict[str, float]:
        """Give metric → mean over the queries in percent, summed without rounding, so in whatever order."""
        return {name: 100.0 * fsum(values) / len(values) for name, values in self.per_query.items()}

    def per_class(self) -> ClassSums:
        """Give the sums over the queries of each class."""
        classes, of_query = np.unique(self.labels, return_inverse=True)
        sums = {name: _sums(of_query, values, len(classes)) for name, values in self.per_query.items()}
        return ClassSums(classes=classes, counts=np.bincount(of_query, minlength=len(classes)), sums=sums)


def _sums(groups: NDArray[np.int64], values: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    return np.bincount(groups, values, number).astype(np.float64)


def retrieval(
    embeddings: Embeddings,
    labels: Labels,
    *,
    gallery_embeddings: Embeddings | None = None,
    gallery_labels: Labels | None = None,
    cameras: NDArray[np.int64] | None = None,
    gallery_cameras: NDArray[np.int64] | None = None,
    identities: NDArray[np.int64] | None = None,
    gallery_identities: NDArray[np.int64] | None = None,
    ndcg_at: Sequence[int] = (),
    recall_at: Sequence[int] = (1,),
    map_at: Sequence[int] = (),
    precision_at: Sequence[int] = (),
    similarity: Similarity = "cosine",
    backend: Backend = "torch",
    device: str = "cpu",
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Retrieval:
    """Compute P@1, RP, MAP@R and the listed metrics of every query against the gallery.

    Args:
        embeddings: `(images, dim)`, float16, bfloat16, float32 or float64, finite; normalised here. What similarity is
            and how ties are ranked: `mlrc.harness.metrics.ranking.neighbours`. The result is the same on every device,
            with every backend, memory cap and number of threads.
        labels: `(images,)`, integers or strings; integers are compared as such, bytes as UTF-8.
        gallery_embeddings: `(gallery, dim)`; by default the images are their own gallery and no image is its own
            neighbour.
        gallery_labels: `(gallery,)`.
        cameras: `(images,)`, which camera took an image: those of a query's label and camera are left out of its
            ranking, neither positive nor negative, as Market-1501 (Zheng et al., ICCV 2015) is evaluated. By default
            all are ranked.
        gallery_cameras: `(gallery,)`, with `cameras` and a gallery.
        identities: `(images,)`, which image each query is, where the gallery holds queries, too: each is left out of
            its own ranking. By default nothing tells, and a query in the gallery finds itself.
        gallery_identities: `(gallery,)`, with `identities`.
        ndcg_at: the k of nDCG@k.
        recall_at: the k of R@k.
        map_at: the k of MAP@k.
        precision_at: the k of P@k.
        similarity: `cosine`, or `euclidean` for the distance of embeddings as they are given, on a grid of 2^-25 of the
            longest; see `mlrc.harness.metrics.ranking.euclidean`.
        backend: what searches, torch or faiss.
        device: a torch device that is there, on which it searches.
        memory: cap in bytes, at least 1 MiB, on what the search takes beyond the embeddings and, where these are not
            float32 rows of length 1, such a copy of them. By default the larger of two fifths of the queries' bytes and
            a byte for each neighbour that is looked for, but at least 1 MiB per thread; from 16,384 queries on half of
            their bytes, but at least 4 MiB per thread.
        progress: called with (steps begun, steps), at last when all are done.

    Raises:
        ValueError: what `asked` refuses, a k below 1, no query with a positive, or a backend that is not there or does
            not know the device.
        TypeError: embeddings or labels of another type.
    """
    cuts = {"nDCG": ndcg_at, "R": recall_at, "MAP": map_at, "P": precision_at}
    require_cuts(cuts)
    names = dict.fromkeys(["P@1", "RP", "MAP@R", *(f"{name}@{k}" for name, ks in cuts.items() for k in ks)])
    ranking, of_query = asked(
        embeddings,
        labels,
        gallery_embeddings=gallery_embeddings,
        gallery_labels=gallery_labels,
        cameras=cameras,
        gallery_cameras=gallery_cameras,
        identities=identities,
        gallery_identities=gallery_identities,
        similarity=similarity,
        depth=max((k for ks in cuts.values() for k in ks), default=1),
    )
    evaluated = ranking.positives > 0
    if not evaluated.any():
        raise ValueError(
            f"At least one query must have a positive in the gallery, but none of the {len(evaluated)} has; "
            "check that the labels name classes, not images."
        )

    per_query = {name: np.empty(np.count_nonzero(evaluated)) for name in names}
    tied = np.zeros(len(evaluated), bool)

    def measure(ranked: Ranked) -> None:
        here = evaluated[ranked.queries]
        start = np.count_nonzero(evaluated[: ranked.queries.start])
        mine = slice(start, start + np.count_nonzero(here))
        for name, found in values(ranked.relevant[here], ranking.positives[ranked.queries][here], names).items():
            per_query[name][mine] = found
        tied[ranked.queries] = ranked.tied & here

    ranking.search(measure, backend=backend, device=device, memory=memory, progress=progress)
    return Retrieval(
        per_query=per_query,
        labels=of_query[evaluated],
        queries=np.flatnonzero(evaluated),
        positives=ranking.positives[evaluated],
        left_out=int(np.count_nonzero(~evaluated)),
        tied=int(np.count_nonzero(tied)),
    )


def require_cuts(cuts: Mapping[str, Sequence[int]]) -> None:
    """Raise `ValueError` where a k of a metric is below 1 or beyond `HIGHEST_K`."""
    for name, ks in cuts.items():
        for k in ks:
            if not 1 <= k <= HIGHEST_K:
                raise ValueError(
                    f"Every k of {name}@k must be at least 1, from which ranks count, and at most {HIGHEST_K}, but "
                    f"{k} was given."
                )


def values(
    relevant: NDArray[np.bool_], positives: NDArray[np.int64], names: Iterable[str]
) -> dict[str, NDArray[np.float64]]:
    """Turn the relevance of ranked neighbours into the named metrics.

    Args:
        relevant: `(queries, depth)`, relevance at ranks 1, 2, …; ranks beyond `depth` count as not relevant.
        positives: `(queries,)`, R of each query, at least 1.
        names: metrics, such as `"RP"` or `"nDCG@10"`.

    Returns:
        metric → `(queries,)`, fractions from 0 to 1.
    """
    depth = relevant.shape[1]
    ranks = np.arange(1, depth + 1, dtype=np.float64)
    precision = np.cumsum(relevant, axis=1) / ranks * relevant  # P(i)·rel_i
    within_r = np.arange(depth) < positives[:, None]
    discounts = 1 / np.log2(ranks + 1)

    def value(name: str) -> NDArray[np.float64]:
        metric, _, cut = name.partition("@")
        if name == "RP":
            return np.asarray((relevant & within_r).sum(axis=1) / positives)
        if name == "MAP@R":
            return np.asarray((precision * within_r).sum(axis=1) / positives)
        k = int(cut)
        if metric == "P":
            return np.asarray(relevant[:, :k].sum(axis=1) / k)
        if metric == "MAP":
            return np.asarray(precision[:, :k].sum(axis=1) / k)
        if metric == "R":
            return np.asarray(relevant[:, :k].any(axis=1), np.float64)
        # Summed in the order of the ideal gain, so that a perfect ranking gives exactly 1.
        gain: NDArray[np.float64] = np.cumsum(np.where(relevant[:, :k], discounts[:k], 0.0), axis=1)[:, -1]
        ideal: NDArray[np.float64] = np.cumsum(1 / np.log2(np.arange(2, k + 2)))[np.minimum(positives, k) - 1]
        return gain / ideal

    return {name: value(name) for name in names}
