"""The search as a pure function of space, history and seed."""

import math
import subprocess
import sys
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlrc.harness.plan.search import Trial, best, propose, random_point, sobol_point
from mlrc.results.records.evidence import DIVERGED_SCORE
from tests.examples import examples

SPACE: dict[str, BaseDistribution] = {
    "margin": FloatDistribution(-0.2, 2.0),
    "loss_lr": FloatDistribution(1e-6, 1.0, log=True),
    "bins": IntDistribution(2, 32),
    "steps": FloatDistribution(0.0, 1.0, step=0.25),
    "scale": IntDistribution(1, 1000, log=True),
    "kind": CategoricalDistribution(["mean", "max"]),
}


def _search(trials: int, seed: int = 5) -> list[Trial]:
    """A search for margin = 1 at the highest learning rate."""
    history: list[Trial] = []
    for _ in range(trials):
        params = propose(SPACE, history, seed=seed, startup=5)
        score = -abs(float(params["margin"]) - 1) + 0.1 * math.log10(float(params["loss_lr"]))
        history.append(Trial(params, 50 + score))
    return history


def test_the_same_history_gives_the_same_proposal() -> None:
    history = _search(7)
    assert propose(SPACE, history, seed=5, startup=5) == propose(SPACE, history, seed=5, startup=5)
    assert propose(SPACE, history, seed=5, startup=5) != propose(SPACE, history, seed=6, startup=5)


def test_a_search_replayed_in_another_process_with_other_threads_proposes_the_same() -> None:
    script = (
        "import torch; torch.set_num_threads(2)\n"
        "from tests.harness.plan.test_search import _search\n"
        "print(_search(7)[-1].params)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(_search(7)[-1].params)


def test_start_up_trials_are_sobol_points_and_the_next_is_the_sampler_s(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    sampler = optuna.samplers.GPSampler

    def noted(**options: Any) -> optuna.samplers.GPSampler:
        asked.append(options)
        return sampler(**options)

    monkeypatch.setattr(optuna.samplers, "GPSampler", noted)
    space = {"margin": SPACE["margin"]}
    verbosity = optuna.logging.get_verbosity()
    history = [Trial(sobol_point(space, number, seed=5), float(number)) for number in range(4)]
    assert propose(space, history[:2], seed=5, startup=3) == history[2].params
    assert not asked
    for number, seed in ((3, 5), (4, 5), (3, 6)):
        propose(space, history[:number], seed=seed, startup=3)
    assert len({options["seed"] for options in asked}) == 3
    for options in asked:
        assert (options["n_startup_trials"], options["deterministic_objective"]) == (0, False)
    assert optuna.logging.get_verbosity() == verbosity


def test_no_trial_repeats_another() -> None:
    tried = [tuple(trial.params.values()) for trial in _search(9)]
    assert len(set(tried)) == len(tried)


def test_the_search_finds_better_trials_than_its_startup() -> None:
    history = _search(14)
    assert best(history).score > best(history[:5]).score


def test_scores_that_are_all_equal_do_not_stop_the_search() -> None:
    history = [Trial(sobol_point(SPACE, number, seed=1), 0.0) for number in range(5)]
    params = propose(SPACE, history, seed=1, startup=5)
    assert params.keys() == SPACE.keys()


def test_a_space_without_parameters_gives_none() -> None:
    assert propose({}, [], seed=1, startup=5) == {}


@examples(60)
@given(st.integers(0, 40), st.integers(0, 2**63 - 1))
def test_sobol_points_lie_in_the_space(index: int, seed: int) -> None:
    for name, value in sobol_point(SPACE, index, seed=seed).items():
        assert SPACE[name]._contains(SPACE[name].to_internal_repr(value)), (name, value)


def test_sobol_points_depend_on_the_seed_and_not_on_the_order_of_the_space() -> None:
    assert sobol_point(SPACE, 0, seed=1) != sobol_point(SPACE, 0, seed=2)
    assert sobol_point(SPACE, 0, seed=1) == sobol_point(dict(reversed(SPACE.items())), 0, seed=1)


def test_sobol_points_fill_every_half_of_every_axis_evenly() -> None:
    points = [sobol_point({"a": FloatDistribution(0, 1), "b": FloatDistribution(0, 1)}, i, seed=3) for i in range(16)]
    for name in ("a", "b"):
        assert sum(float(point[name]) < 0.5 for point in points) == 8


def test_log_axes_are_filled_on_the_log_scale() -> None:
    points = [sobol_point({"a": FloatDistribution(1e-6, 1, log=True)}, index, seed=3) for index in range(16)]
    assert sum(float(point["a"]) < 1e-3 for point in points) == 8


def test_integer_stepped_and_categorical_axes_reach_every_value() -> None:
    space: dict[str, BaseDistribution] = {
        "bins": IntDistribution(2, 5),
        "even": IntDistribution(2, 8, step=2),
        "quarters": FloatDistribution(0, 1, step=0.25),
        "kind": CategoricalDistribution(["a", "b", "c"]),
    }
    points = [sobol_point(space, index, seed=9) for index in range(32)]
    assert {point["bins"] for point in points} == {2, 3, 4, 5}
    assert {point["even"] for point in points} == {2, 4, 6, 8}
    assert {point["quarters"] for point in points} == {0, 0.25, 0.5, 0.75, 1}
    assert {point["kind"] for point in points} == {"a", "b", "c"}


def test_a_trial_that_diverged_is_no_better_than_any_that_came_to_its_end() -> None:
    diverged, barely, worst = Trial({"a": 1}, DIVERGED_SCORE), Trial({"a": 2}, 1e-3), Trial({"a": 3}, 0.0)
    assert best([diverged, barely]) is barely
    assert best([worst, diverged]) is worst


def test_of_equally_good_trials_the_first_is_best() -> None:
    trials = [Trial({"a": 1}, 3.0), Trial({"a": 2}, 7.0), Trial({"a": 3}, 7.0)]
    assert best(trials) is trials[1]


def test_a_distribution_of_another_kind_is_refused() -> None:
    class Other(BaseDistribution):
        def to_internal_repr(self, param_value_in_external_repr: object) -> float:
            return 0.0

        def single(self) -> bool:
            return False

        def _contains(self, param_value_in_internal_repr: float) -> bool:
            return True

    with pytest.raises(TypeError, match="float, int and categorical"):
        sobol_point({"a": Other()}, 0, seed=1)


def test_random_trials_depend_on_seed_and_number_alone_and_are_evenly_spread() -> None:
    history = _search(3)
    proposed = propose(SPACE, history, seed=5, startup=5, sampler="random")
    assert proposed == random_point(SPACE, 3, seed=5)
    assert proposed == propose(SPACE, history[::-1], seed=5, startup=0, sampler="random")
    assert proposed == propose(SPACE, history[:1], seed=5, startup=5, sampler="random", pending=[{}, {}])
    units = [
        random_point({"a": FloatDistribution(0, 1)}, index, seed=seed)["a"] for seed in (5, 6) for index in range(400)
    ]
    assert len(set(units)) == 800
    quarters = [sum(low <= float(unit) < low + 0.25 for unit in units) for low in (0, 0.25, 0.5, 0.75)]
    assert min(quarters) > 160  # 200 of each, standard deviation 12


def test_a_pending_trial_moves_the_next_one_away_from_it_and_stays_out_of_the_scores() -> None:
    space = {"margin": SPACE["margin"]}
    history = [Trial({"margin": margin}, 50 - abs(margin - 1)) for margin in (-0.2, 0.4, 1.6, 2.0)]
    alone = propose(space, history, seed=5, startup=2)
    # the same trial number, so the same seed: what differs is what is pending
    beside = propose(space, history, seed=5, startup=2, pending=[alone])
    assert beside != alone
    assert abs(float(beside["margin"]) - float(alone["margin"])) > 0.05
    assert beside == propose(space, history, seed=5, startup=2, pending=[alone])
