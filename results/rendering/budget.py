"""Budget curves as tables and as what a plot draws: `budget.csv` and `overtaking.csv`."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mlrc.results.boards.budget import BudgetCurves, budget_curves
from mlrc.results.boards.leaderboard import Board
from mlrc.results.statistics.budget import Budget, height
from mlrc.results.statistics.curves import Curve

BUDGET_COLUMNS = (
    "dataset",
    "protocol",
    "digest",
    "loss",
    "trials",
    "best",
    "low",
    "high",
    "folds",
    "expected",
    "expected_sd",
    "test",
    "test_low",
    "test_high",
)
"""Of `budget.csv`; see `Budget`. `low` to `high` is the interval of `best` over searches."""

OVERTAKING_COLUMNS = ("dataset", "protocol", "digest", "first", "second", "from_trials", "surely_from")
"""Of `overtaking.csv`; see `Overtaking`."""


def budget_tables(boards: Sequence[Board]) -> dict[str, str]:
    """Give both tables by their file names.

    `budget.csv` has a row per loss and number of trials, in percent with four decimals; `overtaking.csv` a row per two
    losses, the one that is ahead at the end first.
    """
    budgets: list[tuple[object, ...]] = []
    overtakings: list[tuple[object, ...]] = []
    for board in boards:
        found, place = budget_curves(board), (board.dataset, board.protocol, board.digest)
        budgets += [(*place, loss, *_cells(budget)) for loss, curve in found.curves.items() for budget in curve]
        overtakings += [(*place, one.first, one.second, one.from_trials, one.surely_from) for one in found.overtakings]
    ahead = pd.DataFrame(overtakings, columns=list(OVERTAKING_COLUMNS)).astype({"surely_from": "Int64"})
    return {
        "budget.csv": _csv(pd.DataFrame(budgets, columns=list(BUDGET_COLUMNS))),
        "overtaking.csv": _csv(ahead),
    }


def drawn_curves(found: BudgetCurves) -> Mapping[str, Curve]:
    """Give what is drawn of each loss: the expected or the running best, with the band that it has."""
    return {loss: _curve(curve) for loss, curve in found.curves.items()}


def told_of(found: BudgetCurves) -> str:
    """Say what a reader sees in the plot."""
    what, band = (
        f"Best mean validation {found.metric} after each trial",
        "95 % interval over the folds of the best trial",
    )
    if found.independent:
        what = f"Expected best mean validation {found.metric} of so many random trials"
        band = "standard deviation of the best of as many"
    elif found.searches > 1:
        what, band = f"{what}, mean over searches", "95 % interval over searches"
    return f"{what}: how much of the budget a loss needed; band: {band}"


def _curve(curve: Sequence[Budget]) -> Curve:
    halves = [_half(budget) for budget in curve]
    known = [half for half in halves if half is not None]
    return Curve(
        np.array([budget.trials for budget in curve], dtype=np.float64),
        np.array([height(budget) for budget in curve]),
        np.array(known) if known and len(known) == len(halves) else None,
    )


def _half(budget: Budget) -> float | None:
    if budget.expected_sd is not None:
        return budget.expected_sd
    return (budget.spread.high - budget.spread.low) / 2 if budget.spread else budget.folds


def _cells(budget: Budget) -> tuple[float | int | None, ...]:
    low, high = budget.spread or (None, None)
    test_low, test_high = budget.test_spread or (None, None)
    of_trials = (budget.folds, budget.expected, budget.expected_sd)
    return budget.trials, budget.best, low, high, *of_trials, budget.test, test_low, test_high


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
