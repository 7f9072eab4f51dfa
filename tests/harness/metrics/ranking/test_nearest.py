"""The neighbours themselves against the definition in slow loops, wherever and however they are searched."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.harness.metrics.asked import asked
from mlrc.harness.metrics.ranking.nearest import NONE, nearest
from tests.examples import examples
from tests.harness.metrics.slow_retrieval import on_grid, ranking
from tests.harness.metrics.test_retrieval import cases


@given(
    cases(),
    st.sampled_from((1, 3, 200)),
    st.sampled_from(("torch", "faiss")),
    st.sampled_from((None, 1, 3)),
    st.integers(0, 2**32 - 1),
)
@examples(150)
def test_neighbours_and_similarities_equal_their_definition_in_slow_loops(
    case: dict[str, Any], depth: int, backend: Any, cameras: int | None, seed: int
) -> None:
    random = np.random.default_rng(seed)
    told: dict[str, Any] = {}
    labels, gallery_labels = case["labels"], case.get("gallery_labels", case["labels"])
    if cameras is not None:
        told["cameras"] = random.integers(0, cameras, len(labels))
        if "gallery_labels" in case:
            told["gallery_cameras"] = random.integers(0, cameras, len(gallery_labels))
    found = nearest(asked(**case, **told, depth=1).ranking, depth, backend=backend)
    queries = [on_grid([float(value) for value in row]) for row in case["embeddings"]]
    own = "gallery_labels" not in case
    gallery = queries if own else [on_grid([float(value) for value in row]) for row in case["gallery_embeddings"]]
    of_gallery: Any = told.get("gallery_cameras", told.get("cameras"))
    for i, query in enumerate(queries):
        order = ranking(query, gallery, i if own else None)
        if cameras is not None:
            mine = labels[i], told["cameras"][i]
            order = [one for one in order if (gallery_labels[one[1]], of_gallery[one[1]]) != mine]
        order = order[:depth]
        there = found.indices[i] != NONE
        assert found.indices[i][there].tolist() == [index for _, index in order]
        assert found.similarities[i][there].tolist() == [similarity * 2.0**-52 for similarity, _ in order]
        assert np.isnan(found.similarities[i][~there]).all()


@pytest.mark.parametrize("memory", [2**20, 2**24, None])
def test_no_cap_or_backend_shows_in_neighbours(memory: int | None) -> None:
    random = np.random.default_rng(3)
    rows = np.round(random.standard_normal((3000, 16)), 1)
    question = asked(rows, random.integers(0, 50, 3000), depth=1).ranking
    expected = nearest(question, 20)
    for backend in ("torch", "faiss"):
        found = nearest(question, 20, memory=memory, backend=backend)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_array_equal(found.similarities, expected.similarities)
