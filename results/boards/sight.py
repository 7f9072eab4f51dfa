"""What a comparison of the kind of a finished one could tell apart, and how many repeats that takes."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.statistics.pairs import Contest
from mlrc.results.statistics.power import MOST, fewest


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What one setting of a board tells of the metric that it is ranked by.

    Attributes:
        units: repeats of each loss; where it was searched several times, searches of as many repeats as there.
        searched: whether they are searches.
        now: the smallest difference that so many tell apart in four tables of five, percent points.
        needed: how many tell the difference apart that is asked for; `None` where no number does.
        least: what the most units of all would tell apart: the classes' noise stays.
    """

    board: str
    setting: str
    units: int
    searched: bool
    now: float
    needed: int | None
    least: float

    def __str__(self) -> str:
        what = "searches" if self.searched else "repeats"
        takes = f"takes {self.needed} {what} of each loss"
        if not self.needed:
            takes = f"takes more classes, as any number of {what} tells {self.least:.2f} at best"
        return f"{self.board}, {self.setting}: {takes}; its {self.units} {what} tell {self.now:.2f}."


def sights(board: Board, difference: float, losses: int) -> Iterator[Sight]:
    """Say for each setting what it takes to see a difference.

    Args:
        board: of a finished comparison.
        difference: percent points between two typical losses.
        losses: how many are to be compared; the more, the more pairs may err.
    """
    tests = max(losses * (losses - 1) // 2, 1)
    for setting in board.settings:
        contest = board.contests.get((setting, RANKED_BY))
        if contest is None:
            continue

        def enough(units: int, contest: Contest = contest) -> bool:
            return contest.detectable(units, tests) <= difference

        units = round(min(one.count for noise in contest.noises.values() for one in noise.units))
        yield Sight(
            board=f"{board.dataset}, {board.protocol}",
            setting=setting,
            units=units,
            searched=any(row.searches > 1 for row in board.rows),
            now=contest.detectable(units, tests),
            needed=fewest(enough),
            least=contest.detectable(MOST, tests),
        )
