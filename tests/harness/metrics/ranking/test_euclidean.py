"""Ranking by Euclidean distance: whole-number loops, ties, queries and galleries, cameras, extremes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlrc.harness.metrics.retrieval import retrieval
from mlrc.harness.metrics.scores import separated_and_concatenated
from mlrc.harness.metrics.task import Task
from tests.examples import examples
from tests.harness.metrics.slow_retrieval import metrics_of

CUTS: dict[str, Any] = {"ndcg_at": (2,), "recall_at": (1, 2)}


def slow(
    queries: NDArray[np.int64],
    labels: NDArray[np.int64],
    gallery: NDArray[np.int64],
    of_gallery: NDArray[np.int64],
    *,
    alone: bool,
    cameras: NDArray[np.int64] | None = None,
) -> list[dict[str, float]]:
    """Measure each query by its whole ranking, sorted by distance and then by index."""
    found = []
    for i, query in enumerate(queries):
        order = sorted(range(len(gallery)), key=lambda j: (int(((query - gallery[j]) ** 2).sum()), j))
        kept = [
            j
            for j in order
            if not (alone and i == j)
            and (cameras is None or not (labels[i] == of_gallery[j] and cameras[i] == cameras[j]))
        ]
        relevant = [bool(labels[i] == of_gallery[j]) for j in kept]
        if any(relevant):
            found.append(metrics_of(relevant, (1, 2)))
    return found


@examples(60)
@given(seed=st.integers(0, 2**31), images=st.integers(4, 40), scale=st.sampled_from([1, 0.25, 1024]), own=st.booleans())
def test_it_is_the_ranking_of_whole_number_distances_with_ties_by_index(
    seed: int, images: int, scale: float, own: bool
) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(-3, 4, (images, 3))  # few places, so that many tie
    labels = random.integers(0, 3, images)
    labels[:2] = 0
    other = random.integers(-3, 4, (images, 3)), np.resize(np.arange(3), images)
    gallery, of_gallery = (rows, labels) if own else other
    expected = slow(rows, labels, gallery, of_gallery, alone=own)
    there: dict[str, Any] = (
        {} if own else {"gallery_embeddings": (scale * gallery).astype(np.float32), "gallery_labels": of_gallery}
    )
    found = retrieval((scale * rows).astype(np.float32), labels, similarity="euclidean", **CUTS, **there)
    for name, values in found.per_query.items():
        np.testing.assert_allclose(values, [one[name] for one in expected], err_msg=name)


def test_lengths_decide_where_directions_do_not() -> None:
    rows = np.array([[1.0, 0], [10, 0], [1.5, 0], [11, 0]], np.float32)
    labels = np.array([0, 1, 0, 1])
    assert retrieval(rows, labels, similarity="euclidean").means()["P@1"] == 100
    assert retrieval(rows, labels).means()["P@1"] < 100


def test_images_of_a_query_s_camera_and_the_query_itself_are_left_out() -> None:
    random = np.random.default_rng(5)
    rows, labels, cameras = random.integers(-3, 4, (30, 3)), np.arange(30) % 4, np.arange(30) % 3
    expected = slow(rows, labels, rows, labels, alone=True, cameras=cameras)
    found = retrieval(rows.astype(np.float64), labels, similarity="euclidean", cameras=cameras, **CUTS)
    for name, values in found.per_query.items():
        np.testing.assert_allclose(values, [one[name] for one in expected], err_msg=name)


@pytest.mark.parametrize("memory", [2**20, 2**26])
def test_neither_memory_nor_order_of_magnitude_shows(memory: int) -> None:
    random = np.random.default_rng(6)
    rows = random.standard_normal((400, 16)) + 1000  # far from zero, where float32 tells little apart
    labels = np.arange(400) % 20
    found = retrieval(rows, labels, similarity="euclidean", memory=memory).means()
    grid = np.rint(rows * 2.0**25 / 2.0 ** np.ceil(np.log2(np.linalg.norm(rows, axis=1).max()))).astype(np.int64)
    expected = slow(grid, labels, grid, labels, alone=True)
    assert found["MAP@R"] == pytest.approx(100 * np.mean([one["MAP@R"] for one in expected]), rel=1e-12)


def test_folds_are_joined_as_they_are() -> None:
    random = np.random.default_rng(7)
    folds = [random.standard_normal((30, 4)).astype(np.float32) * size for size in (1, 100)]
    labels = np.arange(30) % 5
    scores = separated_and_concatenated(folds, Task(labels), similarity="euclidean")
    assert scores.concatenated == retrieval(np.hstack(folds), labels, similarity="euclidean").means()


def test_what_one_grid_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="must have a largest component from 1e-100 to 1e\\+100, but it is 1e\\+150"):
        retrieval(np.eye(4) * 1e150, np.array([0, 0, 1, 1]), similarity="euclidean")
    assert retrieval(np.zeros((4, 2)), np.array([0, 0, 1, 1]), similarity="euclidean").tied == 4
