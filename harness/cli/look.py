"""The commands that look at what there is: list."""

from typing import Annotated

import typer
from rich.table import Table

from harness.cli.options import CONSOLE, user_errors

app = typer.Typer()


@app.command("list")
def list_(what: Annotated[str, typer.Argument(help="losses, datasets, protocols or trunks")]) -> None:
    """List what there is, ours and what installed plug-ins add.

    Example: mlrc list losses
    """
    from harness import listing

    with user_errors():
        columns, rows = listing.of(what)
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    CONSOLE.print(table)
