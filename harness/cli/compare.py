"""The commands that do the protocol: plan, run, search, final."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from harness.cli.options import (
    CONSOLE,
    Changes,
    Dataset,
    Device,
    Losses,
    NoCache,
    Out,
    ProtocolName,
    Root,
    Runs,
    Trunk,
    Weights,
    Workers,
    user_errors,
)
from harness.cli.report import write
from protocols import catalogue

if TYPE_CHECKING:
    from harness.comparison import Comparison
    from harness.drive import Until

app = typer.Typer()


@app.command()
def plan(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    trunk: Trunk = None,
    weights: Weights = None,
    no_cache: NoCache = False,
    root: Root = Path("data"),
    device: Device = "auto",
    workers: Workers = 1,
) -> None:
    """Say which trainings a run would do and what they cost at most; runs none of them.

    Example: mlrc plan --dataset glyphs --losses contrastive,proxy_anchor --protocol quick
    """
    from harness.estimate import estimate

    comparison = _prepare(dataset, losses, protocol, changes, trunk, weights, no_cache, root, device)
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
    trunk: Trunk = None,
    weights: Weights = None,
    no_cache: NoCache = False,
    root: Root = Path("data"),
    runs: Runs = Path("runs"),
    workers: Workers = 1,
    device: Device = "auto",
    out: Out = None,
) -> None:
    """Do the whole protocol: search, final repeats, table. Goes on with whatever it finds in --runs.

    Example: mlrc run --dataset glyphs --losses contrastive,proxy_anchor --protocol quick --workers 2
    """
    _run(_prepare(dataset, losses, protocol, changes, trunk, weights, no_cache, root, device), runs, workers, "final")
    write(runs, out)


@app.command()
def search(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    trunk: Trunk = None,
    weights: Weights = None,
    no_cache: NoCache = False,
    root: Root = Path("data"),
    runs: Runs = Path("runs"),
    workers: Workers = 1,
    device: Device = "auto",
) -> None:
    """Do the search alone: no test image is embedded.

    Example: mlrc search --dataset glyphs --losses contrastive --protocol quick
    """
    _run(_prepare(dataset, losses, protocol, changes, trunk, weights, no_cache, root, device), runs, workers, "search")


@app.command()
def final(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    trunk: Trunk = None,
    weights: Weights = None,
    no_cache: NoCache = False,
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
    comparison = _prepare(dataset, losses, protocol, chosen, trunk, weights, no_cache, root, device)
    with user_errors():
        require_searched(comparison, runs)
    _run(comparison, runs, workers, "final")
    write(runs, out)


def _prepare(
    dataset: str,
    losses: str,
    protocol: str,
    changes: list[str] | None,
    trunk: str | None,
    weights: str | None,
    no_cache: bool,
    root: Path,
    device: str,
) -> "Comparison":
    with user_errors():
        chosen = catalogue.find(protocol)
        from harness.comparison import prepare
        from harness.trunks.catalogue import find_trunk, with_trunk
        from harness.trunks.weights import find_weights

        file = find_weights(find_trunk(trunk or chosen.trunk), weights) if weights else None
        if trunk or file:
            chosen = with_trunk(chosen, trunk or chosen.trunk, file)
        return prepare(
            dataset=dataset,
            losses=[name.strip() for name in losses.split(",") if name.strip()],
            protocol=chosen.set(changes or []),
            root=root,
            device=device,
            weights=file,
            cache=None if no_cache else root / "cache",
        )


def _run(comparison: "Comparison", runs: Path, workers: int, until: "Until", stop_after: str | None = None) -> None:
    from harness.conduct import Means, conduct
    from harness.stopping import INTERRUPTED, Stop, seconds
    from results.ledger import Ledger

    with user_errors():
        stop = Stop(seconds(stop_after) if stop_after else None)
        ledger = Ledger(runs)
    means = Means(workers=workers, devices=(comparison.workplace.device,), stop=stop)
    with ledger:
        try:
            left = conduct(comparison, ledger, means, until)
        except KeyboardInterrupt:
            typer.echo("Stopped at once; what is recorded stays recorded.", err=True)
            raise typer.Exit(INTERRUPTED) from None
    if left:
        typer.echo(f"Stopped ({stop.reason}) with {left} trainings left; the same command goes on.", err=True)
        raise typer.Exit(stop.status)
