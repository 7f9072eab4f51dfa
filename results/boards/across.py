"""Boards of the same rules on several data sets, taken together."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.records.record import BASELINES, UNTRAINED
from mlrc.results.statistics.across import Standings, Stratum, standings

FEWEST = 2
"""Data sets, losses and repeats from which there is something to take together."""


@dataclass(frozen=True, kw_only=True)
class Across:
    """Several data sets under one protocol, in the setting that comes first in their tables.

    Attributes:
        setting: with the metric by which tables are ranked.
        losses: those that all of them have, the best mean rank first.
        means: (dataset, loss) to the mean over repeats, percent; of the untrained trunk as well.
    """

    protocol: str
    digest: str
    setting: str
    datasets: tuple[str, ...]
    losses: tuple[str, ...]
    means: dict[tuple[str, str], float]
    standings: Standings


def across(boards: Sequence[Board]) -> list[Across]:
    """Give what two or more data sets under one protocol say together; nothing where there are none."""
    groups = groupby(sorted(boards, key=lambda board: (board.digest, board.dataset)), key=lambda board: board.digest)
    found = (_across([board for board in group if board.rows]) for _, group in groups)
    return [one for one in found if one]


def _across(boards: Sequence[Board]) -> Across | None:
    if len(boards) < FEWEST or len({board.settings for board in boards}) > 1:
        return None
    setting = boards[0].settings[0]
    strata = [_stratum(board, setting) for board in boards]
    common = set.intersection(*(set(stratum.sums) if stratum else set() for stratum in strata))
    whole = [stratum for stratum in strata if stratum]
    if len(common) < FEWEST or len(whole) < len(boards):
        return None
    found = standings(whole)
    rows = [row for board in boards for row in board.rows if (row.setting, row.metric) == (setting, RANKED_BY)]
    return Across(
        protocol=boards[0].protocol,
        digest=boards[0].digest,
        setting=setting,
        datasets=tuple(board.dataset for board in boards),
        losses=tuple(sorted(found.losses, key=lambda loss: (found.losses[loss].rank.value, loss))),
        means={(row.dataset, row.loss): row.mean for row in rows if row.loss in {*common, UNTRAINED}},
        standings=found,
    )


def _stratum(board: Board, setting: str) -> Stratum | None:
    sums = board.ranked.get(setting, {})
    searches = {one.loss: [run.search for run in one.runs] for one in board.evidence}
    nested = any(len(set(of_loss)) > 1 for of_loss in searches.values())
    units = {loss: len(set(searches[loss])) if nested else len(of_loss) for loss, of_loss in sums.items()}
    several = {loss: of_loss for loss, of_loss in sums.items() if loss not in BASELINES and units[loss] >= FEWEST}
    if not several or board.counts is None or len(board.counts) < FEWEST:
        return None
    return Stratum(sums=several, searches=searches, untrained=sums.get(UNTRAINED), counts=board.counts)
