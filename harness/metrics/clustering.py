"""NMI and AMI of k-means clusters: scores of older papers, for comparison with them.

They select nothing and rank nothing here: k-means makes them slow and noisy (arXiv 2003.08505, section 2.2), and its
result depends on the backend and on the number of threads.
"""

from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.metrics.ranking.similarity import directions

ClusterBackend = Literal["scikit-learn", "faiss"]
ITERATIONS = 20
"""Of k-means, as in the calculator of pytorch-metric-learning."""


def clustering_scores(
    embeddings: NDArray[Any] | torch.Tensor, labels: NDArray[Any], *, seed: int = 0, backend: ClusterBackend = "faiss"
) -> dict[str, float]:
    """Cluster normalised embeddings into as many clusters as there are classes, and compare the two.

    Args:
        embeddings: `(images, dim)`.
        labels: `(images,)`, integers or strings.
        seed: of the first centres.
        backend: whose k-means.

    Returns:
        `NMI` and `AMI`, percent.

    Raises:
        ValueError: scikit-learn or the backend is not installed.
    """
    require()
    from sklearn import cluster, metrics  # noqa: PLC0415 - an optional extra

    units = directions(embeddings).unit()
    classes, of_image = np.unique(labels, return_inverse=True)
    if backend == "faiss":
        clusters = _faiss_clusters(units, len(classes), seed)
    else:
        clusters = cluster.KMeans(len(classes), max_iter=ITERATIONS, n_init=1, random_state=seed).fit_predict(units)
    return {
        "NMI": 100 * float(metrics.normalized_mutual_info_score(of_image, clusters)),
        "AMI": 100 * float(metrics.adjusted_mutual_info_score(of_image, clusters)),
    }


def require() -> None:
    """Raise `ValueError` where scikit-learn is not installed."""
    if find_spec("sklearn") is None:
        raise ValueError("NMI and AMI need scikit-learn; install mlrc[clustering].")


def _faiss_clusters(units: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.int64]:
    try:
        import faiss  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ValueError(
            "k-means by faiss needs faiss; install mlrc[faiss-cpu] or mlrc[faiss-gpu], or use scikit-learn's."
        ) from error
    means = faiss.Kmeans(
        units.shape[1],
        clusters,
        niter=ITERATIONS,
        seed=seed,
        min_points_per_centroid=1,  # classes of a few images are the rule
        max_points_per_centroid=len(units),  # no sampling
    )
    means.train(units)
    nearest: NDArray[np.int64] = means.index.search(units, 1)[1][:, 0]
    return nearest
