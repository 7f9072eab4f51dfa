"""The files of a report, from a runs folder: reads the ledger and per-class sums, writes what is rendered."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from results.gallery import Gallery
from results.leaderboard import Board, boards, costs
from results.ledger import LEDGER, read
from results.page import anchor, page
from results.per_class import PerClassFiles
from results.plots import Importances, plots
from results.spreadsheet import cost_csv, leaderboard_csv
from results.table import Reference, latex, markdown


def write_report(
    runs: Path,
    out: Path,
    *,
    importances: Mapping[tuple[str, str], Importances] | None = None,
    galleries: Sequence[Gallery] = (),
) -> list[Path]:
    """Write `leaderboard.csv`, `cost.csv`, `table.md`, `table.tex`, `report.html` and `plots/`, and give their paths.

    Args:
        runs: folder of a ledger.
        out: folder to write to.
        importances: (dataset, digest) to what the search found to matter.
        galleries: pictures of what was retrieved.

    Raises:
        FileNotFoundError: there is no ledger in `runs`.
        ValueError: the ledger is broken, holds no finished repeat, or its numbers contradict each other.
        OSError: `out` cannot be written.
    """
    files = rendered_report(read_boards(runs), importances or {}, galleries=galleries)
    out.mkdir(parents=True, exist_ok=True)
    (out / "plots").mkdir(exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
    return [out / name for name in files]


def rendered_report(
    found: Sequence[Board],
    importances: Mapping[tuple[str, str], Importances],
    *,
    galleries: Sequence[Gallery] = (),
    references: Mapping[tuple[str, str], Sequence[Reference]] | None = None,
) -> dict[str, bytes]:
    """Give path to content of every file of a report; see `write_report`.

    Args:
        found: the boards.
        importances: (dataset, digest) to what the search found to matter.
        galleries: pictures of what was retrieved.
        references: (dataset, protocol) to the rows of papers beside ours.
    """
    printed = [board for board in found if board.rows]
    drawn = {anchor(board): plots(board, importances.get((board.dataset, board.digest))) for board in printed}
    files = {name: text.encode() for name, text in tables(found, references).items()}
    files["report.html"] = page(printed, drawn, galleries, references).encode()
    for name, of_board in drawn.items():
        for plot in of_board:
            files |= {f"plots/{name}-{plot.name}.svg": plot.svg, f"plots/{name}-{plot.name}.png": plot.png}
    return files


def read_boards(runs: Path) -> list[Board]:
    """Read a runs folder; of what has no finished repeat only the notes and costs remain.

    Raises what `write_report` raises before it writes.
    """
    if not (runs / LEDGER).exists():
        raise FileNotFoundError(f"There is no {LEDGER} in {runs}; give the folder of a run with --runs.")
    records = read(runs / LEDGER)
    if not records.runs:
        raise ValueError(f"No repeat in {runs} is finished, so there is nothing to report; go on with mlrc run.")
    return boards(records, PerClassFiles(runs))


def tables(
    found: Sequence[Board], references: Mapping[tuple[str, str], Sequence[Reference]] | None = None
) -> dict[str, str]:
    """Give file name to content of all that is text.

    Args:
        found: the boards.
        references: (dataset, protocol) to the rows of papers beside ours.
    """
    beside = references or {}
    printed = [(board, beside.get((board.dataset, board.protocol), ())) for board in found if board.rows]
    return {
        "leaderboard.csv": leaderboard_csv([row for board in found for row in board.rows]),
        "cost.csv": cost_csv([row for board in found for row in costs(board)]),
        "table.md": "\n".join(markdown(board, rows) for board, rows in printed),
        "table.tex": "\n".join(latex(board, rows) for board, rows in printed),
    }
