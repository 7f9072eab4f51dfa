"""Two losses are told apart when they differ by more than the noise of repeats and classes, and only then."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mlrc.results.statistics.intervals import RESAMPLES, Difference
from mlrc.results.statistics.pairs import Contest, Pair, contest

Sums = NDArray[np.float64]
COUNTS = np.full(60, 8)


def _sums(generator: np.random.Generator, mean: float, *, repeats: int, seed_noise: float, classes: Sums) -> Sums:
    """Draw per-class sums whose class means are `mean` + class effect + seed effect + noise, as fractions."""
    seeds = generator.normal(0, seed_noise, size=(repeats, 1))
    noise = generator.normal(0, 0.02, size=(repeats, len(classes)))
    return np.asarray(COUNTS[: len(classes)] * (mean + classes + seeds + noise))


def _simulate(
    seed: int, *, difference: float, repeats: int = 5, losses: int = 2, seed_noise: float = 0.01, classes: int = 60
) -> Contest:
    generator = np.random.default_rng(seed)
    effects = generator.normal(0, 0.1, size=classes)
    sums = {
        chr(ord("a") + number): _sums(
            generator, 0.5 + (difference if number == 0 else 0), repeats=repeats, seed_noise=seed_noise, classes=effects
        )
        for number in range(losses)
    }
    found = contest(sums, COUNTS[:classes])
    assert found is not None
    return found


def test_a_clear_winner_is_ranked_first_and_stands_alone() -> None:
    found = _simulate(0, difference=0.2, losses=4)
    assert found.ranks == {"a": 1, "b": 2, "c": 2, "d": 2}
    assert found.best == {"a"}
    assert found.pairs["a", "b"].probability == 1
    assert found.pairs["a", "b"].difference.mean == pytest.approx(20, abs=2)


def test_losses_that_cannot_be_told_apart_share_the_rank_and_are_all_best() -> None:
    found = _simulate(1, difference=0.0, losses=3)
    assert found.ranks == {"a": 1, "b": 1, "c": 1}
    assert found.best == {"a", "b", "c"}


def test_the_two_orders_of_a_pair_mirror_each_other() -> None:
    found = _simulate(2, difference=0.01, losses=3)
    for (a, b), pair in found.pairs.items():
        other = found.pairs[b, a]
        assert pair.difference.mean == -other.difference.mean
        assert pair.probability == pytest.approx(1 - other.probability)
        assert pair.adjusted == other.adjusted


def test_the_interval_of_a_difference_covers_the_truth_in_about_95_percent_of_simulations() -> None:
    """Classes as well as seeds are drawn anew each time, and three repeats are few."""
    for repeats in (3, 10):
        intervals = [
            _simulate(seed, difference=0.02, repeats=repeats, classes=40).pairs["a", "b"].difference.interval()
            for seed in range(400)
        ]
        covered = np.mean([low <= 2 <= high for low, high in intervals])
        assert 0.93 <= covered <= 0.995, f"{repeats} repeats: {covered}"


def test_equal_losses_are_told_apart_in_no_more_than_5_percent_of_tables() -> None:
    wrong = [len(set(_simulate(seed, difference=0.0, losses=4, classes=30).ranks.values())) > 1 for seed in range(120)]
    assert sum(wrong) <= stats.binom.ppf(0.99, len(wrong), 0.05)


def test_without_class_noise_the_test_is_welchs() -> None:
    generator = np.random.default_rng(3)
    a, b = generator.normal(0.52, 0.02, size=(6, 1)), generator.normal(0.5, 0.01, size=(4, 1))
    found = contest({"a": COUNTS * a, "b": COUNTS * b}, COUNTS)
    assert found is not None
    expected = stats.ttest_ind(100 * a[:, 0], 100 * b[:, 0], equal_var=False)
    difference = found.pairs["a", "b"].difference
    assert difference.freedom == pytest.approx(expected.df, rel=1e-6)
    assert difference.p_value == pytest.approx(expected.pvalue, rel=0.15)
    assert difference.mean / difference.error == pytest.approx(expected.statistic, rel=4 / np.sqrt(2 * RESAMPLES))


def test_without_seed_noise_the_error_is_that_of_the_paired_class_bootstrap() -> None:
    generator = np.random.default_rng(4)
    of_a, of_b = COUNTS * generator.random(60), COUNTS * generator.random(60)
    found = contest({"a": np.stack([of_a] * 3), "b": np.stack([of_b] * 3)}, COUNTS)
    assert found is not None
    expected = stats.bootstrap(
        ((of_a - of_b) / COUNTS * 100,), np.mean, n_resamples=20000, rng=generator
    ).standard_error
    assert found.pairs["a", "b"].difference.error == pytest.approx(expected, rel=4 / np.sqrt(2 * RESAMPLES))
    assert found.pairs["a", "b"].difference.freedom == pytest.approx(len(COUNTS) - 1)


def test_repeats_of_the_two_losses_are_drawn_independently() -> None:
    """The same values on both sides cancel if the draws are the same."""
    values = np.random.default_rng(5).normal(0.5, 0.02, size=(8, 1))
    found = contest({"a": COUNTS * values, "b": COUNTS * values}, COUNTS)
    assert found is not None
    expected = np.sqrt(2) * stats.sem(100 * values[:, 0])
    assert found.pairs["a", "b"].difference.error == pytest.approx(expected, rel=4 / np.sqrt(2 * RESAMPLES))


def test_p_values_are_corrected_for_all_pairs_of_the_column() -> None:
    found = _simulate(6, difference=0.02, losses=5)
    names = [("a", "b"), ("a", "c"), ("a", "d"), ("a", "e"), ("b", "c"), ("b", "d"), ("b", "e"), ("c", "d"), ("c", "e")]
    pairs = [found.pairs[name] for name in (*names, ("d", "e"))]
    expected = multipletests([pair.difference.p_value for pair in pairs], method="holm")[1]
    np.testing.assert_allclose([pair.adjusted for pair in pairs], expected)


def test_losses_are_equivalent_when_they_surely_lie_within_the_margin() -> None:
    alike = _simulate(7, difference=0.0, losses=3, repeats=10, seed_noise=0.002)
    p_values = alike.equivalence(4.0)
    assert max(p_values.values()) <= 0.05
    assert min(alike.equivalence(0.01).values()) > 0.05
    apart = _simulate(8, difference=0.2, repeats=10)
    assert apart.equivalence(4.0)["a", "b"] > 0.99


def test_p_values_of_equivalence_are_corrected_for_all_pairs_and_the_same_in_both_orders() -> None:
    found = _simulate(9, difference=0.01, losses=4)
    names = [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]
    expected = multipletests([found.pairs[name].difference.equivalence(1.5) for name in names], method="holm")[1]
    p_values = found.equivalence(1.5)
    np.testing.assert_allclose([p_values[name] for name in names], expected)
    assert all(p_values[a, b] == p_values[b, a] for a, b in names)
    assert len(p_values) == 12


def test_a_pair_is_told_apart_by_the_p_value_that_is_corrected() -> None:
    sure = Difference(mean=-1.0, error=0.1, freedom=100)
    assert sure.p_value < 1e-6
    assert not Pair(difference=sure, probability=0.0, adjusted=0.051).told_apart
    assert not Pair(difference=sure, probability=0.0, adjusted=0.051).lost
    assert Pair(difference=sure, probability=0.0, adjusted=0.05).lost
    assert not Pair(difference=sure, probability=0.0, adjusted=0.05).mirrored().lost


def test_the_best_is_the_highest_mean_not_the_highest_repeat() -> None:
    """The lucky loss cannot be told apart from anything, so only what ties with the steady one may be best."""
    steady, middling = np.full((6, 1), 0.6), np.full((6, 1), 0.55)
    steady[::2] += 0.001
    middling[::2] += 0.001
    lucky = np.array([[0.2], [0.9], [0.3], [0.8], [0.4], [0.5]])
    found = contest({"steady": COUNTS * steady, "middling": COUNTS * middling, "lucky": COUNTS * lucky}, COUNTS)
    assert found is not None
    assert found.best == {"steady", "lucky"}


def test_the_probability_of_outperforming_counts_repeats_and_ties() -> None:
    a, b = np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.2])
    found = contest({"a": COUNTS * a[:, None], "b": COUNTS * b[:, None]}, COUNTS)
    assert found is not None
    assert found.pairs["a", "b"].probability == pytest.approx(0.5)
    assert found.pairs["b", "a"].probability == pytest.approx(0.5)


def test_one_repeat_or_one_class_compares_nothing() -> None:
    one, three = np.ones((1, 60)), np.ones((3, 60))
    assert contest({"a": one, "b": three}, COUNTS) is None
    assert contest({"a": three, "b": three}, COUNTS[:1]) is None
    beside = contest({"a": one, "b": three, "c": three}, COUNTS)
    assert beside is not None
    assert beside.losses == ("b", "c")
