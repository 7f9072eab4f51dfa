"""The search as a pure function: from a space and what was tried so far to what is tried next.

Sobol points first, then a Gaussian process with expected improvement; or, as the control, points drawn independently.
The Optuna study is built anew from the history and its sampler seeded from (seed, trial number): with a study that is
kept, results depend on when it was resumed.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, NamedTuple

import greenlet  # noqa: F401 without it Optuna silently searches its acquisition function another way, for other points
import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from scipy.stats import qmc
from threadpoolctl import threadpool_limits

from mlrc.harness.plan.job import Params, Value, digest

_VERBOSITY = RLock()


class Trial(NamedTuple):
    """A finished trial: its parameters, and the mean over the folds of the best validation score, percent."""

    params: Params
    score: float


def propose(
    space: Mapping[str, BaseDistribution],
    history: Sequence[Trial],
    *,
    seed: int,
    startup: int,
    sampler: str = "gp",
    pending: Sequence[Params] = (),
) -> dict[str, Value]:
    """Give the parameters of the trial that follows those finished and those pending.

    Args:
        space: parameter name to distribution; an empty one gives no parameters.
        history: the finished trials, in order.
        seed: of the study.
        startup: how many trials are quasi-random before a Gaussian process is asked.
        sampler: `gp` or `random`, see `Protocol`.
        pending: the parameters of the trials after those, whose scores are not to be known yet. The Gaussian process
            takes the expectation over what they may score (Monte Carlo over its posterior, `qLogEI` of Optuna).
    """
    if not space:
        return {}
    number = len(history) + len(pending)
    if sampler == "random":
        return random_point(space, number, seed=seed)
    if number < startup:
        return sobol_point(space, number, seed=seed)
    sampler_seed = int(digest(seed, number)[:8], 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        process = optuna.samplers.GPSampler(
            seed=sampler_seed,
            independent_sampler=optuna.samplers.RandomSampler(seed=sampler_seed),
            n_startup_trials=0,
            deterministic_objective=False,
        )
    with silent_optuna(), threadpool_limits(1):  # on these small matrices threads wait for each other ten times as long
        study = optuna_study(space, history, process)
        for params in pending:
            running = optuna.trial.TrialState.RUNNING
            study.add_trial(optuna.trial.create_trial(state=running, params=dict(params), distributions=dict(space)))
        proposed: dict[str, Value] = study.ask(dict(space)).params
    return proposed


@contextmanager
def silent_optuna() -> Iterator[None]:
    """Let Optuna say nothing below an error, in one thread at a time: its verbosity is the process's."""
    with _VERBOSITY:
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(verbosity)


def optuna_study(
    space: Mapping[str, BaseDistribution], history: Sequence[Trial], sampler: BaseSampler | None = None
) -> optuna.Study:
    """Give a study in memory that holds finished trials; all of them have the parameters of the space."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in history:
        study.add_trial(
            optuna.trial.create_trial(params=dict(trial.params), distributions=dict(space), value=trial.score)
        )
    return study


def best(history: Sequence[Trial]) -> Trial:
    """Give the trial with the highest score, the earliest of equals."""
    return max(history, key=lambda trial: trial.score)


def random_point(space: Mapping[str, BaseDistribution], index: int, *, seed: int) -> dict[str, Value]:
    """Give a point of the space drawn evenly on each parameter's own scale, independently of those of other indices."""
    units = np.random.default_rng(int(digest(seed, index)[:16], 16)).random(len(space))
    return {name: _at(space[name], float(unit)) for name, unit in zip(sorted(space), units, strict=True)}


def sobol_point(space: Mapping[str, BaseDistribution], index: int, *, seed: int) -> dict[str, Value]:
    """Give point `index` of a scrambled Sobol sequence over the space.

    Optuna's `QMCSampler` counts its points in the study's attributes, and so would repeat one in a rebuilt study.
    """
    sequence = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    point = sequence.random_base2((index + 1).bit_length())[index]
    return {name: _at(space[name], float(unit)) for name, unit in zip(sorted(space), point, strict=True)}


def _at(distribution: BaseDistribution, unit: float) -> Any:
    """Map [0, 1) onto a distribution, evenly on its own scale."""
    match distribution:
        case FloatDistribution(low=low, high=high, log=log, step=step):
            if log:
                return float(np.clip(np.exp(np.log(low) + unit * (np.log(high) - np.log(low))), low, high))
            if step is None:
                return low + unit * (high - low)
            return low + step * int(unit * (round((high - low) / step) + 1))
        case IntDistribution(low=low, high=high, log=log, step=step):
            if log:
                edge_low, edge_high = np.log(low - 0.5), np.log(high + 0.5)
                return int(np.clip(np.rint(np.exp(edge_low + unit * (edge_high - edge_low))), low, high))
            return low + step * int(unit * ((high - low) // step + 1))
        case CategoricalDistribution(choices=choices):
            return choices[int(unit * len(choices))]
    raise TypeError(f"A space holds Optuna's float, int and categorical distributions, but got {distribution!r}.")
