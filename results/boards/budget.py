"""The budget curves of a board: what each loss reached after how many trials, and from when on one beats another."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.statistics.budget import Budget, Overtaking, budgets, courses, overtakings


@dataclass(frozen=True, kw_only=True)
class BudgetCurves:
    """The curves of one board.

    Attributes:
        curves: loss to what it reached after 1, 2, … trials, of the losses that were searched.
        overtakings: of every two of them.
        searches: the most searches that one of them has.
        independent: whether trials were drawn independently, so that the expected best is known.
        metric: of the validation score, by which trials are judged.
        tested: setting and metric of the test score.
    """

    curves: dict[str, list[Budget]]
    overtakings: Sequence[Overtaking]
    searches: int
    independent: bool
    metric: str
    tested: tuple[str, str]

    @property
    def told(self) -> str:
        """Say from which budget on the loss that is best at the end is ahead of all others; empty for one loss."""
        ahead = {one.first for one in self.overtakings} - {one.second for one in self.overtakings}
        of_best = [one for one in self.overtakings if one.first in ahead]
        if len(ahead) != 1 or len(of_best) != len(self.curves) - 1:
            return ""
        since = max(one.from_trials for one in of_best)
        (loss,) = ahead
        return f"{loss} is ahead of all others from {since} trial{'s' * (since > 1)} on."


def budget_curves(board: Board) -> BudgetCurves:
    """Give the curves of a board; none where nothing was searched."""
    fields = board.record.fields if board.record else {}
    independent = fields.get("sampler") == "random"
    tested = (board.settings[0], RANKED_BY)
    searched = [one for one in board.evidence if one.search]
    curves = {one.loss: budgets(one, independent=independent, setting=tested[0], metric=tested[1]) for one in searched}
    running = {one.loss: courses(one) for one in searched}
    return BudgetCurves(
        curves=curves,
        overtakings=overtakings(curves, running),
        searches=max(map(len, running.values()), default=0),
        independent=independent,
        metric=str(fields.get("selection_metric", RANKED_BY)),
        tested=tested,
    )
