"""Two losses are told apart when they differ by more than the noise of repeats and classes, and only then."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mlrc.results.statistics.intervals import Difference
from mlrc.results.statistics.levels import ALPHA
from mlrc.results.statistics.outperforming import Outperforming, outperforming
from mlrc.results.statistics.pairs import Contest, Pair, contest
from mlrc.results.statistics.ranks import Ranks
from tests.results.statistics.simulated import Table, drawn, judged

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
    assert {loss: str(ranks) for loss, ranks in found.ranks.items()} == {"a": "1", "b": "2–4", "c": "2–4", "d": "2–4"}
    assert found.best == {"a"}
    assert found.pairs["a", "b"].outperforming.probability > 0.999
    assert found.pairs["a", "b"].outperforming.meaningful
    assert found.pairs["b", "a"].outperforming.meaningful
    assert found.pairs["a", "b"].difference.mean == pytest.approx(20, abs=2)


def test_losses_that_cannot_be_told_apart_may_have_every_rank_and_are_all_best() -> None:
    found = _simulate(1, difference=0.0, losses=3)
    assert set(found.ranks.values()) == {Ranks(1, 3)}
    assert found.best == {"a", "b", "c"}
    assert not any(pair.outperforming.meaningful for pair in found.pairs.values())


def test_the_two_orders_of_a_pair_mirror_each_other() -> None:
    found = _simulate(2, difference=0.01, losses=3)
    for (a, b), pair in found.pairs.items():
        other = found.pairs[b, a]
        assert pair.difference.mean == -other.difference.mean
        assert pair.outperforming.probability == pytest.approx(1 - other.outperforming.probability)
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
    wrong = [
        any(pair.told_apart for pair in _simulate(seed, difference=0.0, losses=4, classes=30).pairs.values())
        for seed in range(120)
    ]
    assert sum(wrong) <= stats.binom.ppf(0.99, len(wrong), 0.05)


def test_without_class_noise_the_test_is_welchs() -> None:
    generator = np.random.default_rng(3)
    a, b = generator.normal(0.52, 0.02, size=(6, 1)), generator.normal(0.5, 0.01, size=(4, 1))
    found = contest({"a": COUNTS * a, "b": COUNTS * b}, COUNTS)
    assert found is not None
    expected = stats.ttest_ind(100 * a[:, 0], 100 * b[:, 0], equal_var=False)
    difference = found.pairs["a", "b"].difference
    assert difference.p_value == pytest.approx(expected.pvalue, rel=1e-5)
    assert tuple(difference.interval()) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-5)


def test_without_seed_noise_the_error_is_that_of_paired_classes() -> None:
    generator = np.random.default_rng(4)
    of_a, of_b = COUNTS * generator.random(60), COUNTS * generator.random(60)
    found = contest({"a": np.stack([of_a] * 3), "b": np.stack([of_b] * 3)}, COUNTS)
    assert found is not None
    expected = stats.ttest_rel(of_a / COUNTS * 100, of_b / COUNTS * 100)
    difference = found.pairs["a", "b"].difference
    assert difference.p_value == pytest.approx(expected.pvalue, rel=1e-5)
    assert difference.freedom == len(COUNTS) - 1


def test_the_components_are_those_of_an_analysis_of_variance_in_slow_loops() -> None:
    generator = np.random.default_rng(11)
    counts = generator.integers(2, 30, size=9)
    scores = {loss: generator.random((4, 9)) for loss in "ab"}
    found = contest({loss: of_loss * counts for loss, of_loss in scores.items()}, counts)
    assert found is not None
    noise = found.noises["a", "b"]
    influences, interactions, seeds = {}, [], []
    for loss, of_loss in scores.items():
        means = [sum(row * counts) / sum(counts) for row in of_loss]
        influence = np.array(
            [
                [100 * 9 * n * (x - mean) / sum(counts) for x, n in zip(row, counts, strict=True)]
                for row, mean in zip(of_loss, means, strict=True)
            ]
        )
        middle = influence.mean(axis=0)
        influences[loss] = middle
        interactions.append(((influence - middle) ** 2).sum() / (3 * 8) / (4 * 9))
        seeds.append(np.var(means, ddof=1) * 100**2 / 4)
    together = ((influences["a"] - influences["b"]) ** 2).sum() / 8 / 9
    assert noise.classes == pytest.approx(max(together - sum(interactions), 0), rel=1e-5)
    for one, seed, interaction in zip(noise.units, seeds, interactions, strict=True):
        assert one.variance == pytest.approx(max(seed, interaction), rel=1e-5)


def test_where_there_are_several_searches_they_are_what_is_independent() -> None:
    """Four equal repeats of each search say nothing more than one: the same error as that of one repeat per search."""
    generator = np.random.default_rng(5)
    once = {loss: COUNTS * generator.normal(0.5, 0.02, size=(3, 60)) for loss in "ab"}
    four_times = {loss: np.repeat(of_loss, 4, axis=0) for loss, of_loss in once.items()}
    searches = dict.fromkeys("ab", np.repeat([0, 1, 2], 4).tolist())
    single, nested = contest(once, COUNTS), contest(four_times, COUNTS, searches)
    blind = contest(four_times, COUNTS)
    assert single is not None
    assert nested is not None
    assert blind is not None
    expected, found = single.pairs["a", "b"].difference, nested.pairs["a", "b"].difference
    assert (found.mean, found.error, found.freedom) == pytest.approx(
        (expected.mean, expected.error, expected.freedom), rel=1e-6
    )
    assert blind.pairs["a", "b"].difference.p_value < found.p_value


def test_a_loss_of_one_search_takes_no_part_where_others_have_several() -> None:
    three = COUNTS * np.random.default_rng(6).normal(0.5, 0.02, size=(6, 60))
    searches = {"a": [0, 0, 1, 1, 2, 2], "b": [0, 0, 0, 1, 1, 1], "c": [0] * 6}
    found = contest(dict.fromkeys("abc", three), COUNTS, searches)
    assert found is not None
    assert found.losses == ("a", "b")


def test_a_difference_that_the_table_can_see_is_found_in_four_tables_of_five() -> None:
    plain = Table(classes=41, repeats=4, losses=8, unequal="no")
    seen = judged(plain, np.random.default_rng(0)).detectable()
    truth = replace(plain, truth=[seen])
    generator = np.random.default_rng(1)
    found = [judged(truth, generator).pairs["loss00", "loss01"].told_apart for _ in range(150)]
    assert 0.7 <= np.mean(found) <= 0.92


def test_more_repeats_see_smaller_differences_and_what_is_needed_grows_as_the_difference_shrinks() -> None:
    found = judged(Table(classes=300, repeats=4, losses=8, truth=[8.0, 1.0, 0.5]), np.random.default_rng(2))
    assert found.detectable(3) > found.detectable(4) > found.detectable(20)
    far, near = found.pairs["loss00", "loss03"], found.pairs["loss01", "loss02"]
    assert far.needed is not None
    assert far.needed <= 4
    assert near.needed is None or near.needed > 4


def test_the_smallest_margin_is_one_at_which_the_pair_is_shown_to_be_equivalent() -> None:
    found = _simulate(9, difference=0.01, losses=4)
    for name, pair in found.pairs.items():
        assert found.equivalence(pair.within * 1.0001)[name] <= ALPHA


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
    found = _simulate(0, difference=0.2).pairs["a", "b"]
    assert sure.p_value < 1e-6
    assert not Pair(difference=sure, noise=found.noise, tests=1, adjusted=0.051).told_apart
    assert not Pair(difference=sure, noise=found.noise, tests=1, adjusted=0.051).lost
    assert Pair(difference=sure, noise=found.noise, tests=1, adjusted=0.05).lost
    assert not Pair(difference=sure, noise=found.noise, tests=1, adjusted=0.05).mirrored().lost


def test_a_loss_whose_repeats_scatter_could_be_the_best_and_one_that_is_surely_worse_could_not() -> None:
    steady, middling = np.full((6, 1), 0.6), np.full((6, 1), 0.55)
    steady[::2] += 0.001
    middling[::2] += 0.001
    lucky = np.array([[0.2], [0.9], [0.3], [0.8], [0.4], [0.5]])
    found = contest({"steady": COUNTS * steady, "middling": COUNTS * middling, "lucky": COUNTS * lucky}, COUNTS)
    assert found is not None
    assert found.best == {"steady", "lucky"}


def test_the_probability_of_outperforming_is_that_of_single_repeats_on_other_classes() -> None:
    truth = Table(classes=40, repeats=10, losses=2, truth=[1.0], seeds=1.0, both=0.5, unequal="no")
    generator = np.random.default_rng(12)
    wins = []
    for _ in range(3000):
        sums, _ = drawn(replace(truth, repeats=1), generator)
        wins.append((sums["loss00"] - sums["loss01"]).sum() > 0)
    found = [judged(truth, generator).pairs["loss00", "loss01"].outperforming for _ in range(300)]
    assert np.median([one.probability for one in found]) == pytest.approx(np.mean(wins), abs=0.04)
    assert 0.92 <= np.mean([one.low <= np.mean(wins) <= one.high for one in found]) <= 0.985


def test_the_interval_of_the_probability_holds_one_half_just_where_that_of_the_difference_holds_nothing() -> None:
    table = Table(classes=41, repeats=3, losses=12, truth=[3.0 * number for number in range(12)])
    found = judged(table, np.random.default_rng(3))
    told = [(pair.outperforming, pair.difference.interval()) for pair in found.pairs.values()]
    assert {(odds.low <= 0.5 <= odds.high) == (low <= 0 <= high) for odds, (low, high) in told} == {True}
    assert 0 < sum(low <= 0 <= high for _, (low, high) in told) < len(told)


@pytest.mark.parametrize(("seen", "freedom"), [(1.5, 3.0), (30.0, 2.7), (-12.0, 60.5), (199.9, 5.0), (200.1, 5.0)])
def test_the_ends_of_the_probability_are_those_of_a_noncentral_t(seen: float, freedom: float) -> None:
    found = outperforming(Difference(mean=seen / 50, error=1 / 50, freedom=freedom), 1.0)
    for share, end in ((0.975, found.low), (0.025, found.high)):
        centre = stats.norm.ppf(min(end, 1 - 1e-15)) * 50
        if 1e-9 < end < 1 - 1e-9:
            assert stats.nct.cdf(seen, freedom, centre) == pytest.approx(share, abs=2e-3)


def test_equal_losses_of_three_repeats_have_no_certain_winner() -> None:
    equal = Table(classes=659, repeats=3, losses=6)
    found = [judged(equal, np.random.default_rng(seed)) for seed in range(20)]
    ends = [pair.outperforming for one in found for pair in one.pairs.values()]
    assert np.mean([one.low <= 0.5 <= one.high for one in ends]) >= 0.92
    assert np.mean([0.05 <= one.probability <= 0.95 for one in ends]) >= 0.97


def test_without_any_noise_the_higher_mean_always_wins_and_equal_ones_tie() -> None:
    same = np.full((3, 60), 4.0)
    found = contest({"a": same, "b": same, "c": same + 1}, COUNTS)
    assert found is not None
    assert found.pairs["a", "b"].outperforming == Outperforming(0.5, 0.5, 0.5)
    assert found.pairs["c", "b"].outperforming == Outperforming(1.0, 1.0, 1.0)


def test_one_repeat_or_one_class_compares_nothing() -> None:
    one, three = np.ones((1, 60)), np.ones((3, 60))
    assert contest({"a": one, "b": three}, COUNTS) is None
    assert contest({"a": three, "b": three}, COUNTS[:1]) is None
    beside = contest({"a": one, "b": three, "c": three}, COUNTS)
    assert beside is not None
    assert beside.losses == ("b", "c")
