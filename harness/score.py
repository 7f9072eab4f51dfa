"""Separated and concatenated scores of the fold models of one run (protocol.md A5)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.metrics import ClassSums, retrieval


class Scores(NamedTuple):
    """The test scores of one run.

    Attributes:
        separated: metric → percent, the mean over the fold models.
        concatenated: metric → percent, of the concatenated embeddings: an ensemble of the fold models.
        separated_sums: the per-class sums, their mean over the fold models.
        concatenated_sums: the per-class sums of the concatenated embeddings.
        left_out: the number of queries without a positive.
    """

    separated: dict[str, float]
    concatenated: dict[str, float]
    separated_sums: ClassSums
    concatenated_sums: ClassSums
    left_out: int


def unit_rows(embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """L2-normalise rows `(images, dim)` in float64; a zero row stays zero."""
    rows = embeddings.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1.0), dtype=np.float32)


def concatenate(folds: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Normalise each fold's embeddings `(images, dim)`, join them in fold order, and normalise again.

    Returns:
        `(images, folds · dim)`, unit rows.
    """
    shapes = {fold.shape[0] for fold in folds}
    if len(shapes) != 1:
        raise ValueError(f"Every fold model must have embedded the same images, but the counts are {sorted(shapes)}.")
    return unit_rows(np.concatenate([unit_rows(fold) for fold in folds], axis=1))


def separated_and_concatenated(
    folds: Sequence[NDArray[np.float32]], labels: NDArray[np.int64], **options: Any
) -> Scores:
    """Score the fold models one by one and as one embedding.

    Args:
        folds: the test embeddings of each fold model, in fold order, `(images, dim)`.
        labels: `(images,)`.
        options: keyword arguments of `harness.metrics.retrieval`.
    """
    each = [retrieval(fold, labels, **options) for fold in folds]
    together = retrieval(concatenate(folds), labels, **options)
    means = [one.means() for one in each]
    sums = [one.per_class() for one in each]
    return Scores(
        separated={name: sum(mean[name] for mean in means) / len(means) for name in means[0]},
        concatenated=together.means(),
        separated_sums=ClassSums(
            classes=sums[0].classes,
            counts=sums[0].counts,
            sums={name: np.mean([one.sums[name] for one in sums], axis=0) for name in means[0]},
        ),
        concatenated_sums=together.per_class(),
        left_out=together.left_out,
    )
