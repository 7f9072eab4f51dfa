"""Retrieval metrics from embeddings: every number of a result table comes from here.

The ranking comes from `harness.neighbours`; this file turns the relevance of the ranked neighbours into numbers.
With R the number of positives of a query, rel_i ∈ {0, 1} the relevance at rank i and P(i) the precision at rank i:

    P@k     (1/k)·Σ_{i≤k} rel_i
    RP      (1/R)·Σ_{i≤R} rel_i
    MAP@R   (1/R)·Σ_{i≤R} P(i)·rel_i                          (Musgrave et al. 2020, arXiv 2003.08505)
    MAP@k   (1/k)·Σ_{i≤k} P(i)·rel_i                          (the divisor is k, whatever R is)
    R@k     1 if one of the first k is relevant, else 0       (the hit rate of metric learning, no recall)
    nDCG@k  Σ_{i≤k} rel_i/log2(i+1) over the same sum of min(k, R) ones   (arXiv 2110.03997, equations 10 and 11)

Ranks beyond the gallery count as not relevant. A query without a positive has no value and is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.neighbours import Backend, ranked_relevance


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
        labels: `(evaluated queries,)`, their labels; string labels are numbered in sorted order.
        left_out: the number of queries without a positive.
    """

    per_query: Mapping[str, NDArray[np.float64]]
    labels: NDArray[np.int64]
    left_out: int

    def means(self) -> dict[str, float]:
        """Give metric → mean over the queries in percent, correctly rounded, so whatever the order of the queries."""
        return {name: 100.0 * fsum(values) / len(values) for name, values in self.per_query.items()}

    def per_class(self) -> ClassSums:
        """Give the sums over the queries of each class."""
        classes, of_query = np.unique(self.labels, return_inverse=True)
        sums = {name: np.bincount(of_query, values, len(classes)) for name, values in self.per_query.items()}
        return ClassSums(classes=classes, counts=np.bincount(of_query, minlength=len(classes)), sums=sums)


def retrieval(
    embeddings: NDArray[Any] | torch.Tensor,
    labels: NDArray[Any] | torch.Tensor | Sequence[int] | Sequence[str],
    *,
    gallery_embeddings: NDArray[Any] | torch.Tensor | None = None,
    gallery_labels: NDArray[Any] | torch.Tensor | Sequence[int] | Sequence[str] | None = None,
    ndcg_at: Sequence[int] = (),
    recall_at: Sequence[int] = (1,),
    map_at: Sequence[int] = (),
    precision_at: Sequence[int] = (),
    backend: Backend = "torch",
    device: str = "cpu",
    memory: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Retrieval:
    """Compute P@1, RP, MAP@R and the listed metrics of every query against the gallery.

    Args:
        embeddings: `(images, dim)`, float16, float32 or float64, finite; normalised here. See `harness.neighbours`
            for what similarity is and how ties are ranked.
        labels: `(images,)`, integers or strings.
        gallery_embeddings: `(gallery, dim)`; by default the images are their own gallery and no image is its own
            neighbour.
        gallery_labels: `(gallery,)`.
        ndcg_at: the k of nDCG@k; likewise `recall_at`, `map_at`, `precision_at`.
        backend: what searches the candidates; the numbers are the same.
        device: where the torch backend searches.
        memory: cap in bytes on what the search holds beyond the embeddings and their normalised copy.
        progress: called with (queries done, queries in all).

    Raises:
        ValueError: shapes that do not match, values that are not finite, a k below 1, or no query with a positive.
        TypeError: embeddings or labels of another type.
    """
    relevance = ranked_relevance
    lists = {"nDCG": ndcg_at, "R": recall_at, "MAP": map_at, "P": precision_at}
    for name, ks in lists.items():
        for k in ks:
            if k < 1:
                raise ValueError(f"Every k of {name}@k must be at least 1, but {k} was given; ranks count from 1.")
    names = ["P@1", "RP", "MAP@R", *(f"{name}@{k}" for name, ks in lists.items() for k in ks)]
    depth = max((k for ks in lists.values() for k in ks), default=1)

    parts: list[dict[str, NDArray[np.float64]]] = []
    evaluated: list[NDArray[np.int64]] = []
    left_out = 0
    for ranked in relevance(
        embeddings,
        labels,
        gallery_embeddings=gallery_embeddings,
        gallery_labels=gallery_labels,
        depth=depth,
        backend=backend,
        device=device,
        memory=memory,
        progress=progress,
    ):
        has_positive = ranked.positives > 0
        left_out += int(np.count_nonzero(~has_positive))
        evaluated.append(ranked.labels[has_positive])
        parts.append(values_of(ranked.relevant[has_positive], ranked.positives[has_positive], names))
    per_query = {name: np.concatenate([part[name] for part in parts]) for name in dict.fromkeys(names)}
    if not len(per_query["P@1"]):
        raise ValueError(
            f"At least one query must have a positive in the gallery, but all {left_out} have none; "
            "check that the labels name classes, not images."
        )
    return Retrieval(per_query=per_query, labels=np.concatenate(evaluated), left_out=left_out)


def values_of(
    relevant: NDArray[np.bool_], positives: NDArray[np.int64], names: Sequence[str]
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
            return relevant[:, :k].any(axis=1).astype(np.float64)
        ideal = np.cumsum(1 / np.log2(np.arange(2, max(k, 1) + 2)))
        gain: NDArray[np.float64] = np.where(relevant[:, :k], discounts[:k], 0.0).sum(axis=1)
        return np.asarray(gain / ideal[np.minimum(positives, k) - 1])

    return {name: value(name) for name in names}
