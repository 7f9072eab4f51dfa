"""Time and memory of a report over a long ledger.

    python -m tests.benchmarks.bench_report                 100,000 lines, about a minute
    python -m tests.benchmarks.bench_report --lines 10000   fewer
    python -m tests.benchmarks.bench_report --whole         with pages and plots, whose cost grows with the tables

Claim: the tables over 100,000 ledger lines (405 searches of 50 trials with 10 repeats each, in 27 tables of 15 losses)
take under a minute of processor time and less than 1 GiB; the exit status says whether it holds. Linux only.
"""

import argparse
import platform
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from mlrc.results.records.ledger import LEDGER, read
from mlrc.results.rendering.report import read_boards, tables, write_report
from tests.results.studies import Made, make

LOSSES, TRIALS, REPEATS, FOLDS = 15, 50, 10, 4
LINES_PER_LOSS = TRIALS * FOLDS + REPEATS * FOLDS + REPEATS
MOST_SECONDS, MOST_MIB = 60.0, 1024


def write_runs(folder: Path, lines: int) -> int:
    """Write the records of as many studies as it takes and give the number of ledger lines."""
    (folder / "per_class").mkdir(parents=True)
    written = 0
    for number in range(-(-lines // (LINES_PER_LOSS * LOSSES))):
        means = {f"loss_{loss}": 30.0 + 2 * loss for loss in range(LOSSES)}
        made: Made = make(
            means, trials=TRIALS, repeats=REPEATS, protocol=f"quick+seed={number}", digest=f"{number:012d}"
        )
        part = made.write(folder / f"part{number}")
        with (folder / LEDGER).open("ab") as ledger:
            text = (part / LEDGER).read_bytes()
            written += text.count(b"\n")
            ledger.write(text)
        for path in (part / "per_class").iterdir():
            path.rename(folder / "per_class" / path.name)
    return written


def main() -> int:
    """Measure, print, and give 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--whole", action="store_true", help="measure pages and plots too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        runs = Path(home) / "runs"
        lines = write_runs(runs, arguments.lines)
        before, started = _peak(), time.process_time()
        read(runs / LEDGER)
        seconds = {"reading the ledger alone": time.process_time() - started}
        started = time.process_time()
        files = tables(read_boards(runs))
        taken = seconds["reading and all tables"] = time.process_time() - started
        grown = _peak() - before
        if arguments.whole:
            started = time.process_time()
            write_report(runs, Path(home) / "out")
            seconds["with pages and plots"] = time.process_time() - started
    rows = files["leaderboard.csv"].count("\n") - 1
    _say(f"{lines} lines, {rows} rows, python {platform.python_version()}, numpy {version('numpy')}")
    for what, value in seconds.items():
        _say(f"{what:25} {value:6.1f} s of processor time")
    _say(f"{grown:.0f} MiB above the start at the peak of the tables")
    return int(taken > MOST_SECONDS or grown > MOST_MIB)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
