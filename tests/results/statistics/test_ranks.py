"""What a table says of an order is never turned round, and the best is among those that could be."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from mlrc.results.statistics.pairs import contest
from mlrc.results.statistics.ranks import Ranks, rank_intervals
from mlrc.results.statistics.step_down import all_pairs
from tests.examples import examples
from tests.results.statistics.simulated import Table, judged, names

TABLES = st.builds(
    lambda seed, noises, levels: (seed, noises, levels[: len(noises)]),
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from([0.05, 0.5, 4.0]), min_size=2, max_size=8),
    st.lists(st.floats(20, 60), min_size=8, max_size=8),
)


@examples(60)
@given(TABLES)
def test_every_row_has_its_own_place_in_the_order_of_means_within_its_ranks(
    table: tuple[int, list[float], list[float]],
) -> None:
    """So no table has an inversion: of two rows the upper one is never said to be wholly below the other."""
    seed, noises, levels = table
    generator = np.random.default_rng(seed)
    counts = np.full(15, 10)
    sums = {
        str(number): counts * np.clip(generator.normal(level, noise, size=(3, 15)) / 100, 0, 1)
        for number, (level, noise) in enumerate(zip(levels, noises, strict=True))
    }
    found = contest(sums, counts)
    assert found is not None
    order = sorted(sums, key=lambda loss: -float(sums[loss].sum()))
    for place, loss in enumerate(order, start=1):
        assert found.ranks[loss].low <= place <= found.ranks[loss].high
    for upper, lower in combinations(order, 2):
        assert found.ranks[upper].low <= found.ranks[lower].high
    assert order[0] in found.best


def test_ranks_count_the_surely_better_and_the_surely_worse() -> None:
    order = {"a": 3, "b": 2, "c": 2, "d": 1}
    found = rank_intervals(list(order), lambda one, other: order[one] < order[other])
    assert found == {"a": Ranks(1, 1), "b": Ranks(2, 3), "c": Ranks(2, 3), "d": Ranks(4, 4)}
    assert [str(ranks) for ranks in found.values()] == ["1", "2–3", "2–3", "4"]


@pytest.mark.parametrize("repeats", [3, 4])
def test_ranks_and_the_set_of_the_best_hold_the_truth(repeats: int) -> None:
    table = Table(classes=41, repeats=repeats, losses=10, truth=[4.0 - number / 2 for number in range(10)])
    generator = np.random.default_rng(repeats)
    right = []
    for _ in range(80):
        found = judged(table, generator)
        places = all(found.ranks[loss].low <= i <= found.ranks[loss].high for i, loss in enumerate(names(table), 1))
        right.append((places, "loss00" in found.best))
    ranks, best = np.mean(right, axis=0)
    assert ranks >= 0.9
    assert best >= 0.9


def test_more_repeats_leave_fewer_losses_that_could_be_the_best() -> None:
    table = Table(classes=300, repeats=3, losses=10, truth=[1.5])
    sizes = [
        np.mean([len(judged(replace(table, repeats=repeats), np.random.default_rng(seed)).best) for seed in range(10)])
        for repeats in (3, 20)
    ]
    assert sizes[1] < sizes[0]


def _pairs(p_values: Mapping[tuple[str, str], float]) -> np.ndarray:
    return np.array(list(p_values.values()))


@examples(10)  # statsmodels takes its time
@given(st.lists(st.floats(1e-12, 1), min_size=10, max_size=10))
def test_all_pairs_are_corrected_by_no_more_than_holms_method_and_the_smallest_as_by_bonferronis(
    values: list[float],
) -> None:
    p_values = dict(zip(combinations("abcde", 2), values, strict=True))
    found, holm = _pairs(all_pairs(p_values)), multipletests(values, method="holm")[1]
    assert (found <= holm * (1 + 1e-12)).all()
    assert (found >= np.array(values)).all()
    assert min(found) == pytest.approx(min(1, 10 * min(values)))


def test_after_a_loss_is_told_apart_from_all_others_only_their_pairs_are_left() -> None:
    """Three losses: once a ≠ b and a ≠ c are known, b = c is the one equality left; after a ≠ b one of two is."""
    p_values = {("a", "b"): 0.01, ("a", "c"): 0.03, ("b", "c"): 0.04}
    assert all_pairs(p_values) == {("a", "b"): 0.03, ("a", "c"): 0.03, ("b", "c"): 0.04}


@examples(30)
@given(st.integers(0, 2**32 - 1))
def test_no_more_equalities_are_taken_for_possible_than_every_partition_of_the_names_allows(seed: int) -> None:
    """Against all partitions of five names: the step's correction never falls below the most equalities at once."""
    generator = np.random.default_rng(seed)
    pairs = list(combinations("abcde", 2))
    p_values = dict(zip(pairs, generator.uniform(1e-6, 1e-3, size=10), strict=True))
    found, floor = all_pairs(p_values), 0.0
    rejected: set[tuple[str, str]] = set()
    for pair in sorted(pairs, key=p_values.__getitem__):
        most = max(_equalities(groups, rejected) for groups in _partitions("abcde"))
        floor = max(floor, min(1.0, most * p_values[pair]))
        assert found[pair] >= floor - 1e-15
        rejected.add(pair)


def _partitions(letters: str) -> list[list[str]]:
    if not letters:
        return [[]]
    first, rest = letters[0], _partitions(letters[1:])
    joined = [[*groups[:i], first + groups[i], *groups[i + 1 :]] for groups in rest for i in range(len(groups))]
    return [[first, *groups] for groups in rest] + joined


def _equalities(groups: list[str], rejected: set[tuple[str, str]]) -> int:
    equal = [pair for group in groups for pair in combinations(sorted(group), 2)]
    return 0 if rejected & set(equal) else len(equal)
