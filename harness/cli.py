"""The command `mlrc`. Each command checks its words, hands them on, and prints what came of it.

Heavy packages are imported inside the commands that need them, so that `mlrc --help` answers at once.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from protocols import catalogue
from protocols.protocol import Protocol
from results.report import write_report

if TYPE_CHECKING:
    from harness.comparison import Comparison
    from harness.drive import Until

USAGE_ERROR = 2
CONSOLE = Console(highlight=False, width=None if sys.stdout.isatty() else 400)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Compare deep metric learning losses by the Metric Learning Reality Check protocol.",
)

Dataset = Annotated[str, typer.Option(help="A name from `mlrc list datasets`.")]
Losses = Annotated[str, typer.Option(help="Names from `mlrc list losses`, separated by commas.")]
ProtocolName = Annotated[str, typer.Option("--protocol", help="A name from `mlrc list protocols`.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Derive a variant of the protocol; may be given several times."),
]
Root = Annotated[Path, typer.Option(help="Folder that holds the dataset; glyphs is made there.")]
Runs = Annotated[Path, typer.Option(help="Folder of the ledger; what it records is not done again.")]
Workers = Annotated[int, typer.Option(min=1, help="Number of worker processes; no result depends on it.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the report; the runs folder by default.")]


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a user can get wrong into one sentence and exit status 2."""
    try:
        yield
    except (LookupError, ValueError, OSError, ImportError, TypeError) as error:
        sentence = error.args[0] if isinstance(error, LookupError) and error.args else error
        typer.echo(f"Error: {sentence}", err=True)
        raise typer.Exit(USAGE_ERROR) from None


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


@app.command()
def plan(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    root: Root = Path("data"),
    device: Device = "auto",
    workers: Workers = 1,
) -> None:
    """Say which trainings a run would do and what they cost at most; runs none of them.

    Example: mlrc plan --dataset glyphs --losses contrastive,proxy_anchor --protocol quick
    """
    from harness.estimate import estimate

    comparison = _prepare(dataset, losses, protocol, changes, root, device)
    table = Table("loss", "search trainings", "final trainings", "iterations at most", "hours at most", box=None)
    for line in estimate(comparison, workers):
        table.add_row(*line)
    CONSOLE.print(table)


@app.command()
def run(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    root: Root = Path("data"),
    runs: Runs = Path("runs"),
    workers: Workers = 1,
    device: Device = "auto",
    out: Out = None,
) -> None:
    """Do the whole protocol: search, final repeats, table. Goes on with whatever it finds in --runs.

    Example: mlrc run --dataset glyphs --losses contrastive,proxy_anchor --protocol quick --workers 2
    """
    _run(_prepare(dataset, losses, protocol, changes, root, device), runs, workers, "final")
    _report(runs, out)


@app.command()
def search(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    root: Root = Path("data"),
    runs: Runs = Path("runs"),
    workers: Workers = 1,
    device: Device = "auto",
) -> None:
    """Do the search alone: no test image is embedded.

    Example: mlrc search --dataset glyphs --losses contrastive --protocol quick
    """
    _run(_prepare(dataset, losses, protocol, changes, root, device), runs, workers, "search")


@app.command()
def final(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    root: Root = Path("data"),
    runs: Runs = Path("runs"),
    workers: Workers = 1,
    device: Device = "auto",
    out: Out = None,
    published: Annotated[
        bool, typer.Option("--published", help="Take the parameters that the losses' papers report; no search.")
    ] = False,
) -> None:
    """Do the final repeats with the best parameters of a finished search, or with published ones.

    Example: mlrc final --dataset glyphs --losses contrastive --protocol quick
    """
    from harness.comparison import require_searched

    chosen = [*(changes or []), "trials=0"] if published else changes
    comparison = _prepare(dataset, losses, protocol, chosen, root, device)
    with user_errors():
        require_searched(comparison, runs)
    _run(comparison, runs, workers, "final")
    _report(runs, out)


@app.command()
def report(runs: Runs = Path("runs"), out: Out = None) -> None:
    """Write leaderboard.csv, cost.csv and table.md from a runs folder.

    Example: mlrc report --runs runs --out report
    """
    _report(runs, out)


def main() -> None:
    """Run the command line; the console script `mlrc`."""
    app()


def _protocol(name: str, changes: list[str] | None) -> Protocol:
    return catalogue.find(name).set(changes or [])


def _prepare(
    dataset: str, losses: str, protocol: str, changes: list[str] | None, root: Path, device: str
) -> "Comparison":
    with user_errors():
        chosen = _protocol(protocol, changes)
        from harness.comparison import prepare

        names = [name.strip() for name in losses.split(",") if name.strip()]
        return prepare(dataset=dataset, losses=names, protocol=chosen, root=root, device=device)


def _run(comparison: "Comparison", runs: Path, workers: int, until: "Until") -> None:
    from harness import comparison as comparisons
    from results.ledger import Ledger

    with user_errors():
        ledger = Ledger(runs)
    with ledger:
        comparisons.run(comparison, ledger, workers=workers, until=until)


def _report(runs: Path, out: Path | None) -> None:
    with user_errors():
        paths = write_report(runs, out or runs)
    table = next(path for path in paths if path.name == "table.md").read_text(encoding="utf-8")
    CONSOLE.print(Markdown(table) if CONSOLE.is_terminal else table, soft_wrap=not CONSOLE.is_terminal)
    typer.echo("Written: " + ", ".join(str(path) for path in paths), file=sys.stdout)


if __name__ == "__main__":
    main()
