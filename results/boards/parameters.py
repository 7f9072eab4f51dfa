"""Which parameters each loss of a board was tested with, and where they lie in the range that a search had for them."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.evidence import Evidence

Value = float | int | str | bool


@dataclass(frozen=True, kw_only=True)
class Range:
    """What a search may choose from.

    Attributes:
        low: the lowest number, with the highest one, `high`; `None` where there are `choices`.
        log: whether the numbers between are searched on a logarithmic scale.
        choices: the values to choose from; empty where there are bounds.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()

    def holds(self, value: Value) -> bool:
        """Say whether a value lies in the range."""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and (self.low or 0) <= value <= (self.high or 0)


@dataclass(frozen=True, kw_only=True)
class ParameterRow:
    """A parameter of a loss on a dataset under a protocol.

    Attributes:
        search: whose repeats have it; 0 where the loss has one search, or none.
        value: in all repeats of that search that count.
        searched: whether a search found it; otherwise it was given.
        range: of the search; `None` where it is not known here, or does not hold the value.
    """

    dataset: str
    protocol: str
    digest: str
    loss: str
    search: int
    parameter: str
    value: Value
    searched: bool
    range: Range | None


Ranges = Mapping[str, Mapping[str, Range]]
"""Loss to parameter to the range of its search, as far as they are known."""


def parameters(board: Board, ranges: Ranges) -> list[ParameterRow]:
    """Give the parameters of every loss of a board that has rows, by search and name.

    Args:
        board: with the losses.
        ranges: of today; the records hold values and no bounds.
    """
    searches = [one for of_loss in board.evidence for one in of_loss.by_search if one.runs]
    return [row for one in searches for row in _of_search(one, ranges.get(one.loss, {}))]


def _of_search(evidence: Evidence, ranges: Mapping[str, Range]) -> list[ParameterRow]:
    rows = []
    for name, value in sorted(evidence.runs[-1].params.items()):
        known = ranges.get(name)
        rows.append(
            ParameterRow(
                dataset=evidence.dataset,
                protocol=evidence.protocol,
                digest=evidence.digest,
                loss=evidence.loss,
                search=evidence.runs[-1].search,
                parameter=name,
                value=value,
                searched=bool(evidence.search),
                range=known if known is not None and known.holds(value) else None,
            )
        )
    return rows
