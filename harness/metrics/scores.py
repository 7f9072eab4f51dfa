"""Separated and concatenated scores of the fold models of one run (protocol.md A5)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mlrc.harness.metrics.asked import Similarity
from mlrc.harness.metrics.clustering import clustering_scores
from mlrc.harness.metrics.ranking.candidates import Backend
from mlrc.harness.metrics.retrieval import ClassSums, Retrieval, retrieval
from mlrc.harness.metrics.task import Task


class Options(TypedDict, total=False):
    """Keyword arguments of `mlrc.harness.metrics.retrieval.retrieval` that hold for every model."""

    ndcg_at: Sequence[int]
    recall_at: Sequence[int]
    map_at: Sequence[int]
    precision_at: Sequence[int]
    similarity: Similarity
    backend: Backend
    device: str
    memory: int | None
    progress: Callable[[int, int], None] | None


class Scores(NamedTuple):
    """The test scores of one run.

    Attributes:
        separated: metric → percent, the mean over the fold models.
        concatenated: metric → percent, of the concatenated embeddings: an ensemble of the fold models.
        separated_sums: the per-class sums, their mean over the fold models; clusters have none.
        concatenated_sums: the per-class sums of the concatenated embeddings.
        left_out: the number of queries without a positive.
    """

    separated: dict[str, float]
    concatenated: dict[str, float]
    separated_sums: ClassSums
    concatenated_sums: ClassSums
    left_out: int


def concatenate(folds: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Normalise each fold's embeddings `(images, dim)`, join them in fold order, and normalise again.

    Returns:
        `(images, folds · dim)`, unit rows.

    Raises:
        ValueError: no fold, or folds of different numbers of images.
    """
    images = {len(fold) for fold in folds}
    if len(images) != 1:
        raise ValueError(
            "Every fold model must have embedded the same images, "
            f"but {len(folds)} folds of {sorted(images)} images were given."
        )
    return unit_rows(np.concatenate([unit_rows(fold) for fold in folds], axis=1))


def joined(folds: Sequence[NDArray[np.float32]], similarity: Similarity) -> NDArray[np.float32]:
    """Give the ensemble of fold models `(images, folds · dim)`: as they are where distances count, else `concatenate`d.

    Raises what `concatenate` raises.
    """
    return np.hstack(folds) if similarity == "euclidean" else concatenate(folds)


def separated_and_concatenated(
    folds: Sequence[NDArray[np.float32]], task: Task, *, nmi_seed: int | None = None, **options: Unpack[Options]
) -> Scores:
    """Score the fold models one by one and as one embedding.

    Args:
        folds: the test embeddings of each fold model, in fold order, `(images, dim)`.
        task: which images ask which; by Euclidean distance the embeddings are joined as they are.
        nmi_seed: of the k-means clusters whose NMI is added; `None` adds none.
        options: see `mlrc.harness.metrics.retrieval.retrieval`.

    Raises:
        ValueError: as `concatenate` and `mlrc.harness.metrics.retrieval.retrieval`.
    """
    concatenation = joined(folds, options.get("similarity", "cosine"))
    together = ask(concatenation, task, **options)
    # One by one, so that the per-query values of a fold are gone before the next is measured.
    each = [(found.means(), found.per_class()) for found in (ask(fold, task, **options) for fold in folds)]
    concatenated_sums = together.per_class()
    separated = {name: float(np.mean([means[name] for means, _ in each])) for name in each[0][0]}
    concatenated = together.means()
    if nmi_seed is not None:
        separated["NMI"] = float(np.mean([_nmi(fold, task, nmi_seed) for fold in folds]))
        concatenated["NMI"] = _nmi(concatenation, task, nmi_seed)
    return Scores(
        separated=separated,
        concatenated=concatenated,
        separated_sums=ClassSums(
            classes=concatenated_sums.classes,
            counts=concatenated_sums.counts,
            sums={name: np.mean([sums.sums[name] for _, sums in each], axis=0) for name in concatenated_sums.sums},
        ),
        concatenated_sums=concatenated_sums,
        left_out=together.left_out,
    )


def ask(embeddings: NDArray[np.float32], task: Task, **options: Unpack[Options]) -> Retrieval:
    """Measure embeddings `(test images, dim)` by a task; raises what `retrieval` raises."""
    labels, queries, cameras = task
    if queries is None:
        return retrieval(embeddings, labels, cameras=cameras, **options)
    return retrieval(
        embeddings[queries],
        labels[queries],
        gallery_embeddings=embeddings[~queries],
        gallery_labels=labels[~queries],
        cameras=None if cameras is None else cameras[queries],
        gallery_cameras=None if cameras is None else cameras[~queries],
        **options,
    )


def _nmi(embeddings: NDArray[np.float32], task: Task, seed: int) -> float:
    """Give the NMI of all test images, in percent, by scikit-learn on one thread, so that it repeats."""
    with threadpool_limits(1):
        return clustering_scores(embeddings, task.labels, seed=seed, backend="scikit-learn")["NMI"]


def unit_rows(embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """L2-normalise rows `(images, dim)`; a zero row stays zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))
    return np.asarray(embeddings / np.where(lengths > 0, lengths, 1.0)[:, None], dtype=np.float32)
