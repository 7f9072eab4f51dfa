"""The intervals cover what they say they cover, and the tests give what independent implementations give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_ind

from mlrc.results.statistics import intervals as statistics
from mlrc.results.statistics.intervals import (
    Difference,
    class_draws,
    class_intervals,
    error_of,
    half_width,
    half_width_of,
    holm,
    satterthwaite,
    welch,
)
from tests.examples import examples

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_one_repeat_has_no_interval() -> None:
    assert half_width([71.3]) is None
    assert half_width([]) is None
    assert half_width([71.3, 72.3]) == pytest.approx(0.5 * stats.t.ppf(0.975, 1))


def test_the_t_interval_equals_scipy() -> None:
    values = [60.1, 61.4, 59.8, 60.9]
    low, high = stats.t.interval(0.95, df=3, loc=np.mean(values), scale=stats.sem(values))
    half = half_width(values) or 0.0
    assert half == pytest.approx((high - low) / 2, rel=1e-11)
    assert np.mean(values) - half == pytest.approx(low)


def test_the_t_interval_covers_the_true_mean_in_95_percent_of_simulations_at_ten_repeats() -> None:
    values = np.random.default_rng(7).normal(50, 3, size=(4000, 10))
    covered = [abs(row.mean() - 50) <= (half_width(list(row)) or 0) for row in values]
    assert 0.93 <= np.mean(covered) <= 0.97


def test_the_standard_error_comes_back_from_the_half_width() -> None:
    assert error_of(half_width_of(0.7, 5), 5) == pytest.approx(0.7)


def test_the_class_interval_is_students_on_the_logit_scale() -> None:
    generator = np.random.default_rng(1)
    counts = generator.integers(5, 40, size=60)
    sums = counts * generator.beta(4, 2, size=60)
    (ours,) = class_intervals(sums[None, None], counts) or []
    mean = sum(sums) / sum(counts)
    error = np.sqrt(60 / 59 * sum((of_class - mean * n) ** 2 for of_class, n in zip(sums, counts, strict=True)))
    half = stats.t.ppf(0.975, 59) * error / sum(counts) / (mean * (1 - mean))
    expected = [100 * special.expit(special.logit(mean) + end) for end in (-half, half)]
    assert tuple(ours) == pytest.approx(expected, rel=1e-6)


def test_the_class_interval_has_the_width_of_scipys_bootstrap_where_there_are_many_classes() -> None:
    generator = np.random.default_rng(1)
    counts = generator.integers(5, 40, size=300)
    sums = counts * generator.beta(4, 2, size=300)
    (ours,) = class_intervals(sums[None, None], counts) or []
    theirs = stats.bootstrap(
        (sums, counts),
        lambda s, c, axis: 100 * s.sum(axis=axis) / c.sum(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=10000,
        rng=generator,
    ).confidence_interval
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.05)


@pytest.mark.parametrize("classes", [10, 25, 41])
def test_the_class_interval_covers_the_true_mean_where_there_are_few_classes(classes: int) -> None:
    generator = np.random.default_rng(classes)
    counts = np.full(classes, 20)
    found = [class_intervals(generator.beta(3, 5, size=(1, 1, classes)) * counts, counts) for _ in range(1000)]
    covered = np.mean([low <= 37.5 <= high for ((low, high),) in (one or [] for one in found)])
    assert 0.925 <= covered <= 0.97


def test_a_score_of_nothing_or_everything_has_an_interval_of_no_width() -> None:
    counts = np.full(5, 4)
    for share in (0.0, 1.0):
        assert class_intervals(np.full((2, 1, 5), 4 * share), counts) == [(100 * share, 100 * share)]


def test_where_there_are_several_searches_the_interval_of_a_mean_is_over_them() -> None:
    values = [60.0, 62.0, 70.0, 72.0, 65.0, 67.0]
    assert half_width(values, [0, 0, 1, 1, 2, 2]) == pytest.approx(half_width([61.0, 71.0, 66.0]), rel=1e-12)
    assert half_width(values, [0] * 6) == half_width(values)


def test_the_class_bootstrap_equals_a_slow_loop_over_its_own_draws() -> None:
    generator = np.random.default_rng(2)
    counts = generator.integers(2, 9, size=7)
    sums = counts * generator.random((3, 7))
    draws = class_draws(sums, counts).percent()
    drawn = np.random.default_rng(statistics.SEED)
    for row in draws[:50]:
        classes = drawn.integers(7, size=7)
        expected = [100 * sum(column[classes]) / sum(counts[classes]) for column in sums]
        np.testing.assert_allclose(row, expected, rtol=1e-10)  # of the grid


def test_the_class_bootstrap_is_the_same_every_time_and_in_every_company() -> None:
    generator = np.random.default_rng(3)
    sums, counts = generator.random((2, 12)), np.full(12, 4)
    together = class_draws(sums, counts)
    np.testing.assert_array_equal(together.totals[:, :1], class_draws(sums[:1], counts).totals)
    assert class_intervals(sums[None], counts) == class_intervals(sums[None], counts)


def test_the_class_interval_is_that_of_the_mean_over_repeats_in_whatever_order() -> None:
    generator = np.random.default_rng(3)
    sums, counts = generator.random((3, 2, 12)), np.full(12, 4)
    found = class_intervals(sums, counts)
    assert found == class_intervals(sums[::-1], counts)
    expected = class_intervals(sums.mean(axis=0, keepdims=True), counts)
    np.testing.assert_allclose(found or [], expected or [], rtol=1e-6)


def test_one_class_has_no_class_interval() -> None:
    assert class_intervals(np.ones((1, 2, 1)), np.array([3])) is None


@examples(10)  # statsmodels takes a tenth of a second per call
@given(P_VALUES)
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(holm(p_values), expected, rtol=1e-9, atol=1e-300)


@given(P_VALUES)
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def _two_samples() -> tuple[np.ndarray, np.ndarray, Difference]:
    generator = np.random.default_rng(4)
    a, b = generator.normal(61, 1, size=10), generator.normal(60.5, 2, size=6)
    return a, b, welch((a.mean(), b.mean()), (stats.sem(a), stats.sem(b)), (10, 6))


def test_the_difference_of_two_samples_equals_scipys_welch_test() -> None:
    a, b, difference = _two_samples()
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert difference.p_value == pytest.approx(expected.pvalue)
    assert difference.freedom == pytest.approx(expected.df)
    assert tuple(difference.interval()) == pytest.approx(tuple(expected.confidence_interval()))


@pytest.mark.parametrize("margin", [0.5, 2.0, 5.0])
def test_equivalence_equals_statsmodels_two_one_sided_tests(margin: float) -> None:
    a, b, difference = _two_samples()
    assert difference.equivalence(margin) == pytest.approx(ttost_ind(a, b, -margin, margin, usevar="unequal")[0])


def test_equivalence_claims_a_difference_at_the_margin_in_no_more_than_5_percent_of_simulations() -> None:
    generator = np.random.default_rng(5)
    a, b = generator.normal(51, 1, size=(2000, 10)), generator.normal(50, 1, size=(2000, 10))
    means, errors = (a.mean(1), b.mean(1)), (stats.sem(a, axis=1), stats.sem(b, axis=1))
    claimed = [
        welch((means[0][i], means[1][i]), (errors[0][i], errors[1][i]), (10, 10)).equivalence(1.0) <= 0.05
        for i in range(2000)
    ]
    assert np.mean(claimed) <= 0.065


def test_a_difference_without_noise_is_certain() -> None:
    same, moved = Difference(mean=0.0, error=0.0, freedom=2), Difference(mean=0.3, error=0.0, freedom=2)
    assert (same.p_value, moved.p_value) == (1, 0)
    assert (same.equivalence(0.1), moved.equivalence(0.1), moved.equivalence(0.5)) == (0, 1, 0)
    assert moved.equivalence(0.3) == 1  # at the margin is not within it
    assert tuple(moved.interval()) == (0.3, 0.3)


def test_degrees_of_freedom_without_any_variance_are_the_fewest_given() -> None:
    assert satterthwaite((0.0, 0.0), (9, 2)) == 2
