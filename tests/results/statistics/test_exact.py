"""Sums are exact in any order, equal fractions tie whatever their classes, and what cannot be exact is refused."""

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.results.statistics.exact import (
    deviation,
    grid_bits,
    in_steps,
    mean,
    percent,
    settled,
)
from mlrc.results.statistics.intervals import class_draws
from mlrc.results.statistics.pairs import contest

SCORES = st.lists(st.floats(0, 100), min_size=2, max_size=12)


@pytest.mark.parametrize(("classes", "largest"), [(2, 2), (41, 120), (659, 20), (11_317, 12), (10, 6000)])
def test_no_total_over_drawn_classes_can_leave_the_whole_numbers_of_a_float(classes: int, largest: int) -> None:
    counts = np.full(classes, largest)
    steps = in_steps(counts.astype(np.float64), counts)
    assert np.all(steps == np.rint(steps))
    assert int(steps[0]) * classes < 2**53
    assert grid_bits(counts) >= 25  # a ten-thousandth of a percent point is 10 of 2^-23 of one query


def test_a_step_is_no_finer_than_what_adding_up_a_large_class_in_float64_leaves() -> None:
    thirds = np.full(5001, 1 / 3)
    one_by_one, at_once = float(np.cumsum(thirds)[-1]), math.fsum(thirds)
    assert one_by_one != at_once
    counts = np.array([5001, 1])
    assert abs(in_steps(np.array([one_by_one]), counts) - in_steps(np.array([at_once]), counts)) <= 1


def test_totals_of_draws_are_those_of_whole_numbers_in_any_order() -> None:
    generator = np.random.default_rng(0)
    counts = generator.integers(2, 9, size=50)
    sums = counts * generator.random((3, 50))
    order = generator.permutation(3)
    draws, turned = class_draws(sums, counts), class_draws(sums[order], counts)
    np.testing.assert_array_equal(draws.totals[:, order], turned.totals)
    steps = [[int(step) for step in row] for row in in_steps(sums, counts)]
    drawn = np.random.default_rng(20030850)
    for totals, queries in zip(draws.totals[:20], draws.queries, strict=False):
        classes = drawn.integers(50, size=50)
        assert [int(total) for total in totals] == [sum(row[one] for one in classes) for row in steps]
        assert queries == counts[classes].sum()


def test_equal_fractions_tie_whatever_their_classes() -> None:
    """1/3 + 1/3 + 1/3, once within a class and once over three, against 1."""
    thirds, whole = np.full((2, 6), 1 / 3), np.tile([1.0, 0.0, 0.0, 1.0, 0.0, 0.0], (2, 1))
    counts = np.full(6, 3)
    same_in_every_class = contest({"a": thirds, "b": np.full((2, 6), 1 - 2 / 3)}, counts)
    assert same_in_every_class is not None
    assert same_in_every_class.pairs["a", "b"].outperforming.probability == 0.5
    assert same_in_every_class.pairs["a", "b"].difference.p_value == 1
    over_classes = contest({"a": thirds, "b": whole}, counts)
    assert over_classes is not None
    assert over_classes.pairs["a", "b"].difference.mean == 0
    assert over_classes.pairs["a", "b"].outperforming.probability == 0.5


def test_of_losses_whose_means_tie_the_first_by_name_is_the_top() -> None:
    thirds, whole = np.full((2, 6), 1 / 3), np.tile([1.0, 0.0, 0.0, 1.0, 0.0, 0.0], (2, 1))
    for first, second in ((thirds, whole), (whole, thirds)):
        found = contest({"b": second, "a": first, "c": 0 * whole}, np.full(6, 3))
        assert found is not None
        assert {"a", "b"} <= found.best


@pytest.mark.parametrize("value", [-0.5, 3.5, math.nan, math.inf])
def test_a_sum_that_is_none_of_so_many_fractions_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"must lie between 0 and their number, at most 3, but is"):
        in_steps(np.array([1.0, value]), np.array([2, 3]))


def test_more_queries_than_can_be_exact_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"fewer than 2\^36 queries .* there are 2 classes of up to 2000000; ask fewer"
    ):
        grid_bits(np.array([2_000_000, 1]))


@given(SCORES)
def test_mean_and_deviation_are_exact_in_any_order(scores: list[float]) -> None:
    exact = [Fraction(score) for score in scores]
    assert mean(scores) == mean(scores[::-1]) == float(statistics.mean(exact))
    assert deviation(scores) == deviation(scores[::-1]) == pytest.approx(float(statistics.stdev(exact)), rel=1e-15)


def test_equal_scores_have_no_deviation() -> None:
    assert deviation([0.1] * 49) == 0


def test_percent_is_that_of_the_fraction() -> None:
    counts = np.array([3, 3])
    steps = in_steps(np.array([1.0, 2.0]), counts).astype(np.int64)
    assert percent(steps, 3, grid_bits(counts)).tolist() == [100 / 3, 200 / 3]


def test_the_last_digits_of_a_library_are_left_out() -> None:
    assert settled(math.nextafter(math.pi, 4)) == settled(math.pi) == 3.14159265359
