"""Budget curves: the running best, the expected best of n, and from which budget on one loss beats another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlrc.results.boards.budget import budget_curves
from mlrc.results.boards.leaderboard import boards
from mlrc.results.records.evidence import Evidence, gather
from mlrc.results.records.record import FoldRecord
from mlrc.results.rendering.budget import BUDGET_COLUMNS, budget_tables, drawn_curves, told_of
from mlrc.results.rendering.plots import plots
from mlrc.results.statistics.budget import Budget, Overtaking, budgets, courses, expected_best, overtakings
from mlrc.results.statistics.search_luck import spread_of_best
from tests.examples import examples
from tests.results.searched import searched
from tests.results.studies import Made, make

SCORES = st.lists(st.floats(0, 100), min_size=1, max_size=7)


def _scored(made: Made, scores: Mapping[tuple[str, int], Sequence[float]]) -> Made:
    """Give every fold of a loss's trials, by (loss, search), the score of its trial plus the level of its fold."""
    for key, fold in list(made.records.folds.items()):
        if fold.stage == "search":
            score = scores[fold.loss, fold.search][fold.number] + fold.fold
            made.records.folds[key] = replace(fold, best_score=score, history=((0, 0.0), (8, score)))
    return made


def _evidence(made: Made, loss: str) -> Evidence:
    return next(one for one in gather(made.records) if one.loss == loss)


def _budgets(evidence: Evidence, *, independent: bool = False) -> list[Budget]:
    return budgets(evidence, independent=independent, metric="MAP@R", setting="concatenated")


@examples(40)
@given(SCORES, st.data())
def test_the_expected_best_is_the_mean_over_all_ways_to_draw(scores: list[float], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(scores)))
    bests = [max(drawn) for drawn in combinations(scores, n)]
    assert len(bests) == comb(len(scores), n)
    assert expected_best(scores, n) == pytest.approx((np.mean(bests), np.std(bests)), abs=1e-6)


def test_the_expected_best_is_unbiased_where_drawing_with_replacement_is_too_low() -> None:
    generator = np.random.default_rng(0)
    trials, n = 12, 8
    drawn = generator.random((3000, trials))
    found = np.mean([expected_best(scores.tolist(), n)[0] for scores in drawn])
    ordered = np.sort(drawn, axis=1)
    chances = (np.arange(1, trials + 1) / trials) ** n - (np.arange(trials) / trials) ** n
    assert found == pytest.approx(n / (n + 1), abs=0.004)  # of uniform numbers; standard error 0.002
    assert float((ordered @ chances).mean()) < n / (n + 1) - 0.01


def test_a_gaussian_process_has_the_running_best_in_its_order_and_no_expected_best() -> None:
    made = _scored(make({"triplet": 40.0}, trials=4), {("triplet", 0): (20.0, 19.0, 25.0, 24.0)})
    found = _budgets(_evidence(made, "triplet"))
    assert [(budget.trials, budget.best) for budget in found] == [(1, 21.5), (2, 21.5), (3, 26.5), (4, 26.5)]
    assert {budget.expected for budget in found} == {None}
    assert all(budget.spread is None and budget.test is None for budget in found)


def test_the_band_over_folds_does_not_count_that_one_fold_is_harder_than_another() -> None:
    made = _scored(make({"triplet": 40.0}, trials=3), {("triplet", 0): (20.0, 22.0, 21.0)})
    assert [budget.folds for budget in _budgets(_evidence(made, "triplet"))] == pytest.approx([0, 0, 0], abs=1e-9)
    key, fold = next(
        (key, fold)
        for key, fold in made.records.folds.items()
        if (fold.stage, fold.number, fold.fold) == ("search", 1, 0)
    )
    made.records.folds[key] = replace(fold, best_score=(fold.best_score or 0) + 3)
    halves = [budget.folds for budget in _budgets(_evidence(made, "triplet"))]
    # the level of fold 0 rises by a third of 3, so the first trial is 1 below it there, and the second 2 above
    of_trial = {0: [-1.0, 0, 0, 0], 1: [2.0, 0, 0, 0]}
    expected = [stats.t.ppf(0.975, 3) * stats.sem(of_trial[best]) for best in (0, 1, 1)]
    assert halves == pytest.approx(expected)


def test_several_searches_have_a_band_over_them_and_a_test_score_once_all_have_found_theirs() -> None:
    scores = {
        ("triplet", 0): (20.0, 22.0, 21.0),
        ("triplet", 1): (18.0, 17.0, 26.0),
        ("triplet", 2): (21.0, 20.0, 19.0),
    }
    made = _scored(searched({"triplet": 40.0}, 3, luck=2.0, trials=3), scores)
    evidence = _evidence(made, "triplet")
    found = _budgets(evidence)
    bests = [(20.0, 18.0, 21.0), (22.0, 18.0, 21.0), (22.0, 26.0, 21.0)]
    for budget, best in zip(found, bests, strict=True):
        low, high = stats.t.interval(0.95, 2, loc=np.mean(best), scale=stats.sem(best))
        assert budget.best == pytest.approx(np.mean(best) + 1.5)
        assert budget.spread == pytest.approx((low + 1.5, high + 1.5))
    assert [budget.test is None for budget in found] == [True, True, False]
    tests = [np.mean([run.concatenated["MAP@R"] for run in one.runs]) for one in evidence.by_search]
    assert found[-1].test == pytest.approx(np.mean(tests))
    assert found[-1].test_spread == pytest.approx(stats.t.interval(0.95, 2, loc=np.mean(tests), scale=stats.sem(tests)))


def _overtaking(first: list[list[float]], second: list[list[float]]) -> list[Overtaking]:
    def curve(searches: list[list[float]]) -> list[Budget]:
        means = [float(np.mean(at)) for at in zip(*searches, strict=True)]
        nothing = dict.fromkeys(("spread", "folds", "expected", "expected_sd", "test", "test_spread"))
        return [Budget(trials=n, best=best, **nothing) for n, best in enumerate(means, 1)]

    return overtakings({"a": curve(first), "b": curve(second)}, {"a": first, "b": second})


def test_one_loss_beats_another_from_the_budget_on_after_which_it_never_falls_back() -> None:
    (found,) = _overtaking([[1.0, 5.0, 5.0, 9.0, 9.0]], [[2.0, 2.0, 6.0, 6.0, 6.0]])
    assert found == Overtaking(first="a", second="b", from_trials=4, surely_from=None)
    (found,) = _overtaking([[1.0, 1.0]], [[2.0, 2.0]])
    assert found == Overtaking(first="b", second="a", from_trials=1, surely_from=None)
    assert _overtaking([[1.0, 2.0]], [[2.0, 2.0]]) == []


def test_one_loss_surely_beats_another_once_the_interval_over_searches_says_so() -> None:
    first = [[5.0, 9.0, 9.0], [1.0, 9.1, 9.1], [9.0, 9.0, 9.2]]
    second = [[4.0, 4.0, 4.0], [4.1, 4.1, 4.1], [4.2, 4.2, 4.2]]
    (found,) = _overtaking(first, second)
    assert (found.from_trials, found.surely_from) == (1, 2)
    assert stats.ttest_ind([row[1] for row in first], [row[1] for row in second], equal_var=False).pvalue < 0.05
    (level,) = _overtaking([[2.0], [2.0]], [[1.0], [1.0]])
    assert level.surely_from == 1


def test_the_tables_have_a_row_per_budget_and_per_pair_and_say_who_leads() -> None:
    made = _scored(
        make({"triplet": 40.0, "contrastive": 39.0, "untrained": 10.0}, trials=3),
        {("triplet", 0): (20.0, 22.0, 22.0), ("contrastive", 0): (21.0, 21.0, 21.0)},
    )
    found = boards(made.records, made.per_class)
    lines = [line.split(",") for line in budget_tables(found)["budget.csv"].splitlines()]
    assert tuple(lines[0]) == BUDGET_COLUMNS
    assert [line[3:6] for line in lines[1:]] == [
        [loss, str(n), f"{best + 1.5:.4f}"]
        for loss, bests in (("contrastive", (21, 21, 21)), ("triplet", (20, 22, 22)))
        for n, best in enumerate(bests, 1)
    ]
    assert budget_tables(found)["overtaking.csv"].splitlines()[1:] == [
        "glyphs,quick,d0d0d0d0d0d0,triplet,contrastive,2,"
    ]
    curves = budget_curves(found[0])
    assert curves.told == "triplet is ahead of all others from 2 trials on."
    assert told_of(curves).endswith("band: 95 % interval over the folds of the best trial")
    (plot,) = (plot for plot in plots(found[0]) if plot.name == "budget")
    assert plot.told.endswith("the best trial. triplet is ahead of all others from 2 trials on.")
    assert drawn_curves(curves)["triplet"].half is not None


def test_independent_trials_are_drawn_with_their_expected_best() -> None:
    made = _scored(
        make({"triplet": 40.0}, trials=3, fields={"sampler": "random"}), {("triplet", 0): (20.0, 22.0, 21.0)}
    )
    curves = budget_curves(boards(made.records, made.per_class)[0])
    assert drawn_curves(curves)["triplet"].y.tolist() == pytest.approx([22.5, 23.5 - 1 / 3, 23.5])
    assert "Expected best" in told_of(curves)
    assert {len(text.splitlines()) for text in budget_tables([]).values()} == {1}


def test_a_trial_that_diverged_scores_nothing() -> None:
    made = make({"triplet": 40.0}, trials=3, diverged=[("triplet", 0, 1), ("triplet", 2, 0)])
    found = _budgets(_evidence(made, "triplet"))
    assert [budget.best for budget in found] == [0, 26.5, 26.5]
    assert found[0].folds is None
    assert courses(_evidence(made, "triplet")) == [[0, 26.5, 26.5]]


@examples(20)
@given(st.lists(st.floats(0, 100), min_size=10, max_size=14))
def test_the_spread_of_the_best_is_that_of_drawing_as_many_with_replacement(scores: list[float]) -> None:
    generator = np.random.default_rng(1)
    bests = generator.choice(scores, size=(4000, len(scores))).max(axis=1)
    assert spread_of_best(scores) == pytest.approx(float(bests.std()), rel=0.25, abs=0.05 * np.ptp(scores) + 1e-9)
    assert spread_of_best(scores[:9]) is None


def test_records_of_folds_are_what_the_curves_are_made_of() -> None:
    evidence = _evidence(make({"triplet": 40.0}), "triplet")
    assert all(isinstance(record, FoldRecord) for record in evidence.search)
    assert _budgets(replace(evidence, search=())) == []
