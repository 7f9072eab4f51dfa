"""The files of a report, from a runs folder: reads the ledger and the per-class sums, writes what `render` gives."""

from pathlib import Path

import numpy as np

from results.leaderboard import PerClass, costs, leaderboard
from results.ledger import LEDGER, read
from results.render import cost_csv, leaderboard_csv, tables_markdown


def write_report(runs: Path, out: Path) -> list[Path]:
    """Write `leaderboard.csv`, `cost.csv` and `table.md` into `out` and give their paths.

    Raises:
        FileNotFoundError: there is no ledger in `runs`.
        ValueError: the ledger is broken, or holds no finished repeat.
        OSError: `out` cannot be written.
    """
    if not (runs / LEDGER).exists():
        raise FileNotFoundError(f"There is no {LEDGER} in {runs}; give the folder of a run with --runs.")
    records = read(runs / LEDGER)
    if not records.runs:
        raise ValueError(f"No repeat in {runs} is finished, so there is nothing to report; go on with mlrc run.")
    rows = leaderboard(records.folds.values(), records.runs.values(), _per_class(runs))
    out.mkdir(parents=True, exist_ok=True)
    files = {
        "leaderboard.csv": leaderboard_csv(rows),
        "cost.csv": cost_csv(costs(records.folds.values())),
        "table.md": tables_markdown(rows, records.protocols),
    }
    for name, content in files.items():
        (out / name).write_text(content, encoding="utf-8")
    return [out / name for name in files]


def _per_class(runs: Path) -> dict[str, PerClass]:
    found: dict[str, PerClass] = {}
    for path in (runs / "per_class").glob("*.npz"):
        with np.load(path) as content:
            found[path.stem] = dict(content)
    return found
