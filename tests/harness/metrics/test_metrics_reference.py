"""The metrics against other people's implementations, where these define the same thing."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.metrics import ndcg_score

from mlrc.harness.metrics.retrieval import retrieval

PML_NAMES = {"precision_at_1": "P@1", "r_precision": "RP", "mean_average_precision_at_r": "MAP@R"}


def clusters(images: int, dim: int, classes: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit rows around class centres, without ties, in classes of different size."""
    random = np.random.default_rng(seed)
    labels = np.sort(random.integers(0, classes, images))
    rows = random.standard_normal((classes, dim))[labels] + 1.5 * random.standard_normal((images, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), labels


def pml(**arguments: torch.Tensor) -> dict[str, float]:
    calculator = AccuracyCalculator(include=tuple(PML_NAMES), k="max_bin_count", device=torch.device("cpu"))
    found = calculator.get_accuracy(**arguments)
    return {ours: found[theirs] for theirs, ours in PML_NAMES.items()}


@pytest.mark.parametrize("seed", range(5))
def test_the_paper_s_metrics_equal_those_of_pytorch_metric_learning(seed: int) -> None:
    embeddings, labels = clusters(images=700 + seed, dim=12 + seed, classes=300 if seed == 4 else 25, seed=seed)
    expected = pml(query=torch.from_numpy(embeddings), query_labels=torch.from_numpy(labels))
    found = {name: values.mean() for name, values in retrieval(embeddings, labels, recall_at=()).per_query.items()}
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_gallery_gives_what_pytorch_metric_learning_gives() -> None:
    embeddings, labels = clusters(images=900, dim=12, classes=60, seed=7)
    query = np.arange(900) % 3 == 0
    expected = pml(
        query=torch.from_numpy(embeddings[query]),
        query_labels=torch.from_numpy(labels[query]),
        reference=torch.from_numpy(embeddings[~query]),
        reference_labels=torch.from_numpy(labels[~query]),
    )
    found = retrieval(
        embeddings[query],
        labels[query],
        gallery_embeddings=embeddings[~query],
        gallery_labels=labels[~query],
        recall_at=(),
    )
    assert {name: values.mean() for name, values in found.per_query.items()} == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("k", [1, 2, 5, 10, 50, 1000])
def test_ndcg_equals_that_of_scikit_learn_on_binary_relevance(k: int) -> None:
    embeddings, labels = clusters(images=300, dim=8, classes=20, seed=k)
    similarity = embeddings.astype(np.float64) @ embeddings.T.astype(np.float64)
    others = ~np.eye(300, dtype=bool)
    relevant = (labels == labels[:, None])[others].reshape(300, 299)
    expected = ndcg_score(relevant, similarity[others].reshape(300, 299), k=k)
    assert retrieval(embeddings, labels, ndcg_at=(k,)).means()[f"nDCG@{k}"] / 100 == pytest.approx(expected, abs=1e-9)
