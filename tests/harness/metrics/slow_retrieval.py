"""The definition of every retrieval metric in loops over whole numbers, against which the fast one is tested."""

import math
from collections.abc import Hashable, Sequence
from typing import Any

from numpy.typing import NDArray


def on_grid(row: Sequence[float]) -> list[int]:
    """Normalise a row and round it to multiples of 2^-26."""
    largest = max(map(abs, row))
    scaled = [value / largest for value in row] if largest else list(row)
    length = math.sqrt(math.fsum(value * value for value in scaled))
    return [round(value / length * 2**26) if length else 0 for value in scaled]


def ranking(query: list[int], gallery: Sequence[list[int]], itself: int | None) -> list[tuple[int, int]]:
    """Sort a gallery by similarity, ties by lowest index, without the query itself: pairs of similarity and index."""
    found = ((sum(a * b for a, b in zip(query, row, strict=True)), j) for j, row in enumerate(gallery) if j != itself)
    return sorted(found, key=lambda pair: (-pair[0], pair[1]))


def metrics_of(relevant: Sequence[bool], cuts: Sequence[int]) -> dict[str, float]:
    """Measure one query from the relevance of its whole ranking."""
    positives = sum(relevant)
    precision = [sum(relevant[: rank + 1]) / (rank + 1) for rank in range(len(relevant))]
    gain = [1 / math.log2(rank + 2) for rank in range(max(cuts))]

    def average(limit: int, divisor: int) -> float:
        return sum(precision[i] for i, hit in enumerate(relevant[:limit]) if hit) / divisor

    found = {"RP": sum(relevant[:positives]) / positives, "MAP@R": average(positives, positives)}
    for k in {1, *cuts}:
        found[f"P@{k}"] = sum(relevant[:k]) / k
        found[f"R@{k}"] = float(any(relevant[:k]))
        found[f"MAP@{k}"] = average(k, k)
        dcg = sum(gain[i] for i, hit in enumerate(relevant[:k]) if hit)
        found[f"nDCG@{k}"] = dcg / sum(gain[: min(k, positives)])
    return found


def slow_retrieval(
    embeddings: NDArray[Any],
    labels: Sequence[Hashable],
    cuts: Sequence[int],
    gallery_embeddings: NDArray[Any] | None = None,
    gallery_labels: Sequence[Hashable] | None = None,
    cameras: Sequence[int] | None = None,
    gallery_cameras: Sequence[int] | None = None,
) -> dict[str, list[float]]:
    """Give metric → the values of the queries that have a positive; `tied`: whether indices decided their order.

    With cameras, images of a query's label and camera are taken out of its ranking before anything is counted.
    """
    queries = [on_grid([float(value) for value in row]) for row in embeddings]
    gallery = (
        queries if gallery_embeddings is None else [on_grid([float(v) for v in row]) for row in gallery_embeddings]
    )
    of_gallery = labels if gallery_labels is None else gallery_labels
    of_cameras = cameras if gallery_cameras is None else gallery_cameras
    found: dict[str, list[float]] = {"tied": []}
    for i, query in enumerate(queries):
        order = ranking(query, gallery, i if gallery_embeddings is None else None)
        if cameras is not None and of_cameras is not None:
            order = [pair for pair in order if (of_gallery[pair[1]], of_cameras[pair[1]]) != (labels[i], cameras[i])]
        relevant = [of_gallery[j] == labels[i] for _, j in order]
        if any(relevant):
            for name, value in metrics_of(relevant, cuts).items():
                found.setdefault(name, []).append(value)
            level = order[min(len(order), max(sum(relevant), *cuts)) - 1][0]
            hits = {similarity for (similarity, _), hit in zip(order, relevant, strict=True) if hit}
            misses = {similarity for (similarity, _), hit in zip(order, relevant, strict=True) if not hit}
            found["tied"].append(float(any(similarity >= level for similarity in hits & misses)))
    return found
