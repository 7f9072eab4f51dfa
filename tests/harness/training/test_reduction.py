"""Principal components: the plane that loses least, taken from one set of rows and applied to another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from mlrc.harness.training.reduction import principal_components
from tests.examples import examples


@examples(30)
@given(st.integers(3, 40), st.integers(1, 12), st.integers(1, 14), st.integers(0, 2**32 - 1))
def test_they_are_those_of_scikit_learn_up_to_the_sign(rows: int, width: int, size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    learnt = (generator.normal(size=(rows, width)) * np.arange(1, width + 1) + 3).astype(np.float32)
    other = generator.normal(size=(7, width)).astype(np.float32)
    found = principal_components(learnt, other, size)
    kept = min(size, width, rows - 1)
    assert found.shape == (7, kept)
    theirs = PCA(kept, svd_solver="full").fit(learnt.astype(np.float64)).transform(other.astype(np.float64))
    assert np.abs(found) == pytest.approx(np.abs(theirs), rel=1e-3, abs=1e-3)
    assert found.dtype == np.float32


def test_with_all_dimensions_nothing_is_lost_but_the_mean() -> None:
    learnt = np.random.default_rng(1).normal(size=(30, 5)).astype(np.float32)
    found = principal_components(learnt, learnt, 5)
    distances = np.linalg.norm(learnt[:, None] - learnt, axis=2)
    assert np.linalg.norm(found[:, None] - found, axis=2) == pytest.approx(distances, abs=1e-4)
