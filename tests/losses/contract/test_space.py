"""The points that stand for a search space lie in it, and reach its ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlrc.losses.contract.space import MAX_CORNERS, centre, corners

floats = st.builds(
    lambda low, width, log: FloatDistribution(low, low * (1 + width), log=log),
    low=st.floats(1e-6, 1e3),
    width=st.floats(0, 1e3),
    log=st.booleans(),
)
stepped = st.builds(
    lambda low, steps: FloatDistribution(low / 4, (low + steps) / 4, step=0.25),
    st.integers(-8, 8),
    st.integers(0, 9),
)
integers = st.builds(
    lambda low, width, log: IntDistribution(low, low + width, log=log),
    st.integers(1, 50),
    st.integers(0, 99),
    st.booleans(),
)
choices = st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True).map(CategoricalDistribution)
spaces = st.dictionaries(st.text(min_size=1, max_size=3), floats | stepped | integers | choices, max_size=10)


@given(spaces)
def test_centre_and_corners_lie_in_the_space(space: dict[str, BaseDistribution]) -> None:
    points = [centre(space), *corners(space)]
    assert len(points) <= MAX_CORNERS + 1
    for point in points:
        assert set(point) == set(space)
        for name, value in point.items():
            assert space[name]._contains(space[name].to_internal_repr(value))


def test_the_corners_are_all_combinations_of_ends_and_choices() -> None:
    space = {"a": FloatDistribution(0, 1), "b": IntDistribution(2, 8), "c": CategoricalDistribution(("x", "y", "z"))}
    assert len(list(corners(space))) == 12
    assert {(p["a"], p["b"]) for p in corners(space)} == {(0, 2), (0, 8), (1, 2), (1, 8)}
    assert centre(space) == {"a": 0.5, "b": 5, "c": "y"}


def test_the_centre_of_a_logarithmic_range_is_its_geometric_mean() -> None:
    assert centre({"lr": FloatDistribution(1e-6, 1, log=True)})["lr"] == pytest.approx(1e-3)
    assert centre({"bins": IntDistribution(1, 100, log=True)}) == {"bins": 10}


def test_a_large_space_shows_its_corners_one_parameter_at_a_time() -> None:
    space = {f"p{i}": FloatDistribution(0, 1) for i in range(10)}
    points = list(corners(space))
    assert len(points) == 2 + 2 * 10
    assert {sum(float(value) for value in point.values()) for point in points} == {0, 1, 9, 10}


def test_a_space_without_parameters_has_the_empty_point() -> None:
    assert centre({}) == {}
    assert list(corners({})) == [{}]


def test_a_distribution_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="made of Float, Int and CategoricalDistribution"):
        centre({"odd": object()})  # type: ignore[dict-item]  # what the test is about


def test_the_centre_of_a_stepped_range_is_one_of_its_steps() -> None:
    assert centre({"x": FloatDistribution(-0.2, 2, step=0.1)})["x"] == pytest.approx(0.9)
    assert centre({"x": FloatDistribution(0, 1.2, step=0.4)})["x"] == pytest.approx(0.4)
    assert centre({"bins": IntDistribution(1, 10, step=3)}) == {"bins": 7}
