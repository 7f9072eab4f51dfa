"""The files of a sweep, from a runs folder: `sweep.csv`, `sweep.md`, `cost.csv` and its plots."""

from collections.abc import Sequence
from pathlib import Path

from mlrc.results.boards.leaderboard import boards, costs
from mlrc.results.boards.papers import Printed
from mlrc.results.boards.sweep import sweep_tables
from mlrc.results.records.ledger import read, require
from mlrc.results.rendering.spreadsheet import cost_csv
from mlrc.results.rendering.sweep_plots import sweep_plot
from mlrc.results.rendering.sweep_table import sweep_csv, sweep_markdown


def write_sweeps(runs: Path, out: Path, papers: Sequence[Printed] = ()) -> list[Path]:
    """Write the tables and plots of every sweep in a ledger, and give their paths; none where there is no sweep.

    Args:
        runs: folder of the ledger.
        out: folder to write to.
        papers: what papers print, to stand beside ours.

    Raises:
        FileNotFoundError: there is no ledger in `runs`.
        ValueError: the ledger is broken.
        OSError: `out` cannot be written.
    """
    records = read(require(runs))
    tables = sweep_tables(records, papers)
    if not tables:
        return []
    files = {
        "sweep.csv": sweep_csv(tables).encode(),
        "sweep.md": "\n".join(sweep_markdown(table) for table in tables).encode(),
        "cost.csv": cost_csv([row for board in boards(records, {}) for row in costs(board)]).encode(),
    }
    for table in tables:
        if plot := sweep_plot(table):
            name = f"plots/sweep-{table.record.dataset.replace(':', '-')}-{plot.name}-{table.record.key[:8]}"
            files |= {f"{name}.svg": plot.svg, f"{name}.png": plot.png}
    (out / "plots").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (out / name).write_bytes(content)
    return [out / name for name in files]
