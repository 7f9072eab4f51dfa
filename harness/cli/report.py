"""The commands on what happened: report."""

from pathlib import Path

import typer
from rich.markdown import Markdown

from harness.cli.options import CONSOLE, Out, Runs, user_errors
from results.report import write_report

app = typer.Typer()


@app.command()
def report(runs: Runs = Path("runs"), out: Out = None) -> None:
    """Write leaderboard.csv, cost.csv and table.md from a runs folder.

    Example: mlrc report --runs runs --out report
    """
    write(runs, out)


def write(runs: Path, out: Path | None) -> None:
    """Write the report of a runs folder and print its table."""
    with user_errors():
        paths = write_report(runs, out or runs)
    table = next(path for path in paths if path.name == "table.md").read_text(encoding="utf-8")
    CONSOLE.print(Markdown(table) if CONSOLE.is_terminal else table, soft_wrap=not CONSOLE.is_terminal)
    typer.echo("Written: " + ", ".join(str(path) for path in paths))
