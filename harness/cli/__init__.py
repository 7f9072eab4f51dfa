"""The command `mlrc`. Each command checks its words, hands them on, and prints what came of it.

Heavy packages are imported inside the commands that need them, so that `mlrc --help` answers at once.
"""

import typer

from mlrc.harness.cli import compare, drift, look, measure, publish, report, runs, sweep
from mlrc.harness.cli.commands import sound

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Compare deep metric learning losses by the Metric Learning Reality Check protocol.",
)
for group in (look, measure, compare, sweep, runs, report, publish, drift):
    app.add_typer(group.app)
sound(app)


def main() -> None:
    """Run the command line; the console script `mlrc`."""
    app()
