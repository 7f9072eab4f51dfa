"""The files of a report, from a runs folder: reads the ledger and per-class sums, writes what is rendered."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from results.leaderboard import Board, boards, costs
from results.ledger import LEDGER, read
from results.per_class import PerClassFiles
from results.spreadsheet import cost_csv, leaderboard_csv
from results.table import Reference, latex, markdown


def write_report(runs: Path, out: Path) -> list[Path]:
    """Write `leaderboard.csv`, `cost.csv`, `table.md` and `table.tex` into `out` and give their paths.

    Raises:
        FileNotFoundError: there is no ledger in `runs`.
        ValueError: the ledger is broken, holds no finished repeat, or its numbers contradict each other.
        OSError: `out` cannot be written.
    """
    files = tables(read_boards(runs))
    out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_text(content, encoding="utf-8")
    return [out / name for name in files]


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
