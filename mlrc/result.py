"""What came of a comparison, as pandas frames and as the table of its report."""

from functools import cached_property
from html import escape
from pathlib import Path

import pandas as pd

from mlrc.harness.plan.parameters import ranges
from mlrc.harness.report.reporting import write_full_report
from mlrc.results.boards.leaderboard import Board, costs
from mlrc.results.boards.parameters import parameters
from mlrc.results.rendering.caption import caption
from mlrc.results.rendering.page_tables import scores
from mlrc.results.rendering.report import read_boards, require_margin
from mlrc.results.rendering.spreadsheet import comparisons_frame, cost_frame, leaderboard_frame, parameters_frame
from mlrc.results.rendering.table import markdown
from mlrc.results.statistics.levels import MARGIN


class Result:
    """The finished repeats of a runs folder, as they were when it was read.

    Attributes:
        runs: the folder.
        margin: percent points within which a difference of two losses is of no interest.

    Raises:
        FileNotFoundError: there is no ledger in it.
        ValueError: the ledger is broken, holds no finished repeat, or its numbers contradict each other; or the margin
            is not positive.
    """

    def __init__(self, runs: str | Path, *, margin: float = MARGIN) -> None:
        require_margin(margin)
        self.runs = Path(runs)
        self.margin = margin
        self._boards = read_boards(self.runs)

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """A row per dataset, protocol, loss, setting and metric, in percent: the columns of `leaderboard.csv`."""
        return leaderboard_frame([row for board in self._boards for row in board.rows])

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """A row per two losses, setting and metric: the columns of `comparisons.csv`."""
        return comparisons_frame(self._boards, self.margin)

    @cached_property
    def cost(self) -> pd.DataFrame:
        """A row per loss with its trainings and device hours: the columns of `cost.csv`."""
        return cost_frame([row for board in self._boards for row in costs(board)])

    @cached_property
    def parameters(self) -> pd.DataFrame:
        """A row per parameter of a loss: its value, whether a search found it, and the search's range where known."""
        known = ranges({one.loss for board in self._boards for one in board.evidence})
        return parameters_frame([row for board in self._boards for row in parameters(board, known)])

    def report(self, out: str | Path | None = None, *, root: str | Path | None = None) -> list[Path]:
        """Write the report that `mlrc report` writes, and give the paths of its files.

        Args:
            out: folder to write to; the runs folder by default.
            root: folder that holds the datasets; with it, losses whose models were kept get a gallery.

        Raises what `mlrc.harness.report.reporting.write_full_report` raises.
        """
        place = self.runs if out is None else Path(out)
        return write_full_report(self.runs, place, root=None if root is None else Path(root), margin=self.margin)

    def __repr__(self) -> str:
        return self._repr_markdown_()

    def _repr_markdown_(self) -> str:
        """Give the table as Markdown."""
        return "\n".join(markdown(board) for board in self._boards if board.rows)

    def _repr_html_(self) -> str:
        """Give the table as HTML, which notebooks show."""
        return "\n".join(_html(board) for board in self._boards if board.rows)


def _html(board: Board) -> str:
    told = "".join(f"<li>{escape(sentence)}</li>" for sentence in [*board.notes, *caption(board)])
    return (
        f"<h4>{escape(board.dataset)}, {escape(board.protocol)}</h4>{scores(board, ())}"
        f"<details><summary>What the numbers cover</summary><ul>{told}</ul></details>"
    )
