"""Separated and concatenated scores: the arithmetic of protocol.md A5, by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlrc.harness.metrics.clustering import clustering_scores
from mlrc.harness.metrics.retrieval import retrieval
from mlrc.harness.metrics.scores import concatenate, separated_and_concatenated
from mlrc.harness.metrics.task import Task

CUTS: dict[str, Any] = {"ndcg_at": (5,), "recall_at": (1, 2)}


@pytest.fixture
def labels() -> NDArray[np.int64]:
    return np.repeat(np.arange(5, 25), [1, 2, 5, 12] * 5)


@pytest.fixture
def folds(labels: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """Four models of different scale, each of which sees another part of the truth."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((4, 30, 6))
    noise = 1.5 * random.standard_normal((4, len(labels), 6))
    return [np.asarray(10.0**i * (centres[i][labels] + noise[i]), np.float32) for i in range(4)]


def test_each_fold_is_normalised_before_joining_and_the_whole_after() -> None:
    folds = [np.array([[3.0, 4.0], [0.0, 0.0]], np.float32), np.array([[0.0, 1000.0], [0.0, 2.0]], np.float32)]
    half = np.sqrt(0.5)
    np.testing.assert_allclose(concatenate(folds), [[0.6 * half, 0.8 * half, 0, half], [0, 0, 0, 1]], atol=1e-7)


def test_joined_rows_have_length_1_to_the_last_digit_of_single_precision() -> None:
    rows = np.random.default_rng(0).standard_normal((20, 30_000)).astype(np.float32)
    lengths = np.linalg.norm(concatenate([rows]).astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=2e-8)


def test_concatenation_keeps_the_order_of_the_folds(folds: list[NDArray[np.float32]]) -> None:
    joined = concatenate(folds)
    assert joined.shape == (len(folds[0]), 24)
    assert joined.dtype == np.float32
    for i, fold in enumerate(folds):
        part = joined[:, 6 * i : 6 * i + 6]
        np.testing.assert_allclose(part, fold / np.linalg.norm(fold, axis=1, keepdims=True) / 2, rtol=1e-5, atol=1e-7)


def test_separated_is_the_mean_over_folds_and_concatenated_is_of_the_ensemble(
    folds: list[NDArray[np.float32]], labels: NDArray[np.int64]
) -> None:
    scores = separated_and_concatenated(folds, Task(labels), **CUTS)
    means = [retrieval(fold, labels, **CUTS).means() for fold in folds]
    for name, value in scores.separated.items():
        assert value == pytest.approx(sum(mean[name] for mean in means) / 4, abs=1e-9)
    assert scores.concatenated == retrieval(concatenate(folds), labels, **CUTS).means()
    assert scores.concatenated["MAP@R"] > scores.separated["MAP@R"] + 5
    assert scores.left_out == 5


def test_per_class_sums_of_both_settings_give_their_scores(
    folds: list[NDArray[np.float32]], labels: NDArray[np.int64]
) -> None:
    scores = separated_and_concatenated(folds, Task(labels), **CUTS)
    for means, sums in (
        (scores.separated, scores.separated_sums),
        (scores.concatenated, scores.concatenated_sums),
    ):
        assert list(sums.classes) == [label for label in range(5, 25) if (label - 5) % 4]
        assert list(sums.counts) == [2, 5, 12] * 5
        assert set(sums.sums) == set(means)
        for name, of_class in sums.sums.items():
            assert 100 * of_class.sum() / sums.counts.sum() == pytest.approx(means[name], abs=1e-9)


def test_queries_ask_the_gallery_and_not_each_other(
    folds: list[NDArray[np.float32]], labels: NDArray[np.int64]
) -> None:
    query = np.arange(len(labels)) % 2 == 0
    scores = separated_and_concatenated(folds, Task(labels, query))
    joined = concatenate(folds)
    expected = retrieval(joined[query], labels[query], gallery_embeddings=joined[~query], gallery_labels=labels[~query])
    assert scores.concatenated == expected.means()


@pytest.mark.parametrize("lengths", [(), (3, 4)])
def test_folds_that_embed_different_images_are_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must have embedded the same images"):
        concatenate([np.ones((length, 2), np.float32) for length in lengths])


def test_nmi_is_that_of_clusters_of_the_same_seed_and_the_mean_over_the_folds(
    folds: list[NDArray[np.float32]], labels: NDArray[np.int64]
) -> None:
    scores = separated_and_concatenated(folds, Task(labels), nmi_seed=3)
    alone = [clustering_scores(fold, labels, seed=3, backend="scikit-learn")["NMI"] for fold in folds]
    assert scores.separated["NMI"] == pytest.approx(np.mean(alone))
    joined = clustering_scores(concatenate(folds), labels, seed=3, backend="scikit-learn")["NMI"]
    assert scores.concatenated["NMI"] == pytest.approx(joined)
    assert min(alone) > 30
    assert joined > np.mean(alone)
    assert "NMI" not in scores.separated_sums.sums
    assert scores.concatenated == separated_and_concatenated(folds, Task(labels), nmi_seed=3).concatenated
    assert "NMI" not in separated_and_concatenated(folds, Task(labels)).separated
    assert "NMI" in separated_and_concatenated(folds, Task(labels), nmi_seed=0).separated
