"""The commands that do the protocol: plan, run, search, final."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from harness.cli.carry_out import carry_out, choose_protocol
from harness.cli.options import (
    CONSOLE,
    Changes,
    Dataset,
    Device,
    Losses,
    NoCache,
    Out,
    Params,
    PerDevice,
    ProtocolName,
    Ray,
    Root,
    Runs,
    SaveModels,
    StopAfter,
    Storage,
    TensorBoard,
    Trunk,
    Weights,
    Workers,
    user_errors,
)
from harness.cli.report import write

if TYPE_CHECKING:
    from harness.comparison import Comparison

app = typer.Typer()


@app.command()
def plan(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    params: Params = None,
    trunk: Trunk = None,
    weights: Weights = None,
    no_cache: NoCache = False,
    root: Root = Path("data"),
    device: Device = "auto",
    workers: Workers = None,
    per_device: PerDevice = None,
) -> None:
    """Say which trainings a run would do and what they cost at most; runs none of them.

    Example: mlrc plan --dataset glyphs --losses contrastive,proxy_anchor --protocol quick
    """
    from harness.conduct import number_of_workers
    from harness.estimate import estimate

    comparison = _prepare(dataset, losses, protocol, changes, params, trunk, weights, no_cache, root, device)
    with user_errors():
        places = number_of_workers(workers, per_device, len(comparison.devices))
    found = estimate(comparison, places)
    columns = ("loss", "search trainings", "final trainings", "iterations at most", "s each", "hours of one at most")
    table = Table(*columns, box=None)
    for line in found.rows:
        table.add_row(*line)
    CONSOLE.print(table)
    CONSOLE.print(str(found))


@app.command()
def run(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    params: Params = None,
    trunk: Trunk = None,
    weights: Weights = None,
    no_cache: NoCache = False,
    root: Root = Path("data"),
    runs: Runs = Path("runs"),
    workers: Workers = None,
    per_device: PerDevice = None,
    device: Device = "auto",
    stop_after: StopAfter = None,
    storage: Storage = None,
    ray: Ray = None,
    tensorboard: TensorBoard = False,
    save_models: SaveModels = False,
    out: Out = None,
) -> None:
    """Do the whole protocol: search, final repeats, table. Goes on with whatever it finds in --runs.

    Example: mlrc run --dataset glyphs --losses contrastive,proxy_anchor --protocol quick --workers 2
    """
    here = "cpu" if ray else device  # with Ray the driver trains nothing itself
    comparison = _prepare(dataset, losses, protocol, changes, params, trunk, weights, no_cache, root, here)
    carry_out(
        comparison,
        runs,
        workers,
        "final",
        per_device=per_device,
        stop_after=stop_after,
        storage=storage,
        save_models=save_models,
        ray=ray,
        device=device,
        tensorboard=tensorboard,
    )
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
    workers: Workers = None,
    per_device: PerDevice = None,
    device: Device = "auto",
    stop_after: StopAfter = None,
    storage: Storage = None,
    ray: Ray = None,
    tensorboard: TensorBoard = False,
) -> None:
    """Do the search alone: no test image is embedded.

    Example: mlrc search --dataset glyphs --losses contrastive --protocol quick
    """
    here = "cpu" if ray else device  # with Ray the driver trains nothing itself
    comparison = _prepare(dataset, losses, protocol, changes, None, trunk, weights, no_cache, root, here)
    carry_out(
        comparison,
        runs,
        workers,
        "search",
        per_device=per_device,
        stop_after=stop_after,
        storage=storage,
        ray=ray,
        device=device,
        tensorboard=tensorboard,
    )


@app.command()
def final(
    dataset: Dataset,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    params: Params = None,
    trunk: Trunk = None,
    weights: Weights = None,
    no_cache: NoCache = False,
    root: Root = Path("data"),
    runs: Runs = Path("runs"),
    workers: Workers = None,
    per_device: PerDevice = None,
    device: Device = "auto",
    stop_after: StopAfter = None,
    storage: Storage = None,
    ray: Ray = None,
    tensorboard: TensorBoard = False,
    save_models: SaveModels = False,
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
    here = "cpu" if ray else device  # with Ray the driver trains nothing itself
    comparison = _prepare(dataset, losses, protocol, chosen, params, trunk, weights, no_cache, root, here)
    with user_errors():
        require_searched(comparison, runs)
    carry_out(
        comparison,
        runs,
        workers,
        "final",
        per_device=per_device,
        stop_after=stop_after,
        storage=storage,
        save_models=save_models,
        ray=ray,
        device=device,
        tensorboard=tensorboard,
    )
    write(runs, out)


def _prepare(
    dataset: str,
    losses: str,
    protocol: str,
    changes: list[str] | None,
    params: list[str] | None,
    trunk: str | None,
    weights: str | None,
    no_cache: bool,
    root: Path,
    device: str,
) -> "Comparison":
    with user_errors():
        chosen, file = choose_protocol(protocol, changes, trunk, weights)
        from harness.comparison import prepare

        return prepare(
            dataset=dataset,
            losses=[name.strip() for name in losses.split(",") if name.strip()],
            protocol=chosen,
            root=root,
            device=device,
            weights=file,
            cache=None if no_cache else root / "cache",
            params=params or [],
        )
