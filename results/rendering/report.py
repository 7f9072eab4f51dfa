"""The files of a report, from a runs folder: reads the ledger and per-class sums, writes what is rendered."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlrc.results.boards.across import Across, across
from mlrc.results.boards.leaderboard import Board, boards, costs
from mlrc.results.boards.papers import Reference
from mlrc.results.boards.parameters import Ranges
from mlrc.results.records.ledger import read, require
from mlrc.results.records.per_class import PerClassFiles
from mlrc.results.rendering.across import across_plot, across_tables
from mlrc.results.rendering.budget import budget_tables
from mlrc.results.rendering.gallery import Gallery
from mlrc.results.rendering.page import page
from mlrc.results.rendering.plots import Importances, anchor, plots
from mlrc.results.rendering.search_tables import parameters_csv, trials_csv
from mlrc.results.rendering.spreadsheet import comparisons_csv, convergence_csv, cost_csv, leaderboard_csv
from mlrc.results.rendering.steps import steps_plots, steps_tables
from mlrc.results.rendering.table import latex, markdown
from mlrc.results.rendering.titles import Titles
from mlrc.results.statistics.levels import MARGIN


def write_report(
    runs: Path,
    out: Path,
    *,
    importances: Mapping[tuple[str, str], Importances] | None = None,
    galleries: Sequence[Gallery] = (),
    margin: float = MARGIN,
    ranges: Ranges | None = None,
    found: Sequence[Board] | None = None,
    titles: Titles | None = None,
) -> list[Path]:
    """Write all tables (see `tables`), `report.html` and `plots/`, and give their paths.

    Args:
        runs: folder of a ledger.
        out: folder to write to.
        importances: (dataset, digest) to what the search found to matter.
        galleries: pictures of what was retrieved.
        margin: percent points within which a difference is of no interest.
        ranges: loss to the ranges of its search.
        found: the boards, where they are not those of `runs` alone.
        titles: loss to what a reader calls it, as far as that is known.

    Raises:
        FileNotFoundError: there is no ledger in `runs`.
        ValueError: the ledger is broken, holds no finished repeat, its numbers contradict each other, or the margin is
            not positive.
        OSError: `out` cannot be written.
    """
    require_margin(margin)
    shown = read_boards(runs) if found is None else found
    files = rendered_report(shown, importances or {}, galleries=galleries, margin=margin, ranges=ranges, titles=titles)
    out.mkdir(parents=True, exist_ok=True)
    (out / "plots").mkdir(exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
    return [out / name for name in files]


def require_margin(margin: float) -> None:
    """Raise `ValueError` unless a margin is one."""
    if not 0 < margin <= 100:
        raise ValueError(f"The margin must be positive and at most 100, in percent points, but got {margin}.")


def rendered_report(
    found: Sequence[Board],
    importances: Mapping[tuple[str, str], Importances],
    *,
    galleries: Sequence[Gallery] = (),
    references: Mapping[tuple[str, str], Sequence[Reference]] | None = None,
    margin: float = MARGIN,
    ranges: Ranges | None = None,
    titles: Titles | None = None,
) -> dict[str, bytes]:
    """Give path to content of every file of a report; see `write_report`.

    Args:
        found: the boards.
        importances: (dataset, digest) to what the search found to matter.
        galleries: pictures of what was retrieved.
        references: (dataset, protocol) to the rows of papers beside ours.
        margin: percent points within which a difference is of no interest.
        ranges: loss to the ranges of its search, as far as they are known.
        titles: loss to what a reader calls it, as far as that is known.
    """
    printed = [board for board in found if board.rows]
    drawn = {
        anchor(board): [*plots(board, importances.get((board.dataset, board.digest)), titles), *steps_plots(board)]
        for board in printed
    }
    together = across(printed)
    files = {
        name: text.encode()
        for name, text in tables(
            found, references, margin=margin, ranges=ranges, titles=titles, together=together
        ).items()
    }
    files["report.html"] = page(
        printed, drawn, galleries, references, margin=margin, ranges=ranges, together=together, titles=titles
    ).encode()
    for one in together:
        plot = across_plot(one)
        files |= {f"plots/across-{one.digest}.svg": plot.svg, f"plots/across-{one.digest}.png": plot.png}
    for name, of_board in drawn.items():
        for plot in of_board:
            files |= {f"plots/{name}-{plot.name}.svg": plot.svg, f"plots/{name}-{plot.name}.png": plot.png}
    return files


def read_boards(runs: Path) -> list[Board]:
    """Read a runs folder; of what has no finished repeat only the notes and costs remain.

    Raises what `write_report` raises before it writes.
    """
    records = read(require(runs))
    if not records.runs:
        raise ValueError(f"No repeat in {runs} is finished, so there is nothing to report; go on with mlrc run.")
    return boards(records, PerClassFiles(runs))


def tables(
    found: Sequence[Board],
    references: Mapping[tuple[str, str], Sequence[Reference]] | None = None,
    *,
    margin: float = MARGIN,
    ranges: Ranges | None = None,
    titles: Titles | None = None,
    together: Sequence[Across] = (),
) -> dict[str, str]:
    """Give file name to content of all tables, in CSV, Markdown and LaTeX.

    Args:
        found: the boards.
        references: (dataset, protocol) to the rows of papers beside ours.
        margin: percent points within which a difference is of no interest.
        ranges: loss to the ranges of its search, as far as they are known.
        titles: loss to what a reader calls it, as far as that is known.
        together: what several data sets under the same rules say.
    """
    beside = references or {}
    printed = [(board, beside.get((board.dataset, board.protocol), ())) for board in found if board.rows]
    return {
        "leaderboard.csv": leaderboard_csv([row for board in found for row in board.rows]),
        "comparisons.csv": comparisons_csv(found, margin),
        "convergence.csv": convergence_csv(found),
        **steps_tables(found),
        **budget_tables(found),
        "parameters.csv": parameters_csv(found, ranges or {}),
        "trials.csv": trials_csv(found),
        "cost.csv": cost_csv([row for board in found for row in costs(board)]),
        "table.md": "\n".join(markdown(board, rows) for board, rows in printed),
        "table.tex": "\n".join(latex(board, rows, titles) for board, rows in printed),
        **across_tables(together),
    }
