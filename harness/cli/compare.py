"""The commands that do the protocol: plan, run, search, final."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from harness.cli.options import (
    CONSOLE,
    USAGE_ERROR,
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
    needs,
    user_errors,
)
from harness.cli.report import write
from protocols import catalogue
from protocols.protocol import Protocol

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
    table = Table("loss", "search trainings", "final trainings", "iterations at most", "hours at most", box=None)
    with user_errors():
        places = number_of_workers(workers, per_device, len(comparison.devices))
    for line in estimate(comparison, places):
        table.add_row(*line)
    CONSOLE.print(table)


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
    _run(
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
    _run(
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
    _run(
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


def choose_protocol(
    name: str, changes: list[str] | None, trunk: str | None, weights: str | None
) -> tuple[Protocol, Path | None]:
    """Give the protocol that the options mean, and the file of its trunk's weights if one was given.

    Raises what `protocols.catalogue.find`, `harness.trunks` and `Protocol.set` raise.
    """
    chosen = catalogue.find(name)
    from harness.trunks.catalogue import find_trunk, with_trunk
    from harness.trunks.weights import find_weights

    file = find_weights(find_trunk(trunk or chosen.trunk), weights) if weights else None
    if trunk or file:
        chosen = with_trunk(chosen, trunk or chosen.trunk, file)
    return chosen.set(changes or []), file


def _run(
    comparison: "Comparison",
    runs: Path,
    workers: int | None,
    until: "Until",
    *,
    per_device: int | None = None,
    stop_after: str | None = None,
    storage: str | None = None,
    save_models: bool = False,
    ray: str | None = None,
    device: str = "auto",
    tensorboard: bool = False,
) -> None:
    from harness.atomic import is_full
    from harness.conduct import Listener, Means, conduct, number_of_workers
    from harness.disk import shortage
    from harness.execute import UnfitError
    from harness.optuna_export import Mirror, open_storage
    from harness.stopping import DISK_FULL, INTERRUPTED, Stop, seconds
    from results.ledger import Ledger

    with ExitStack() as stack:
        with user_errors():
            mirror = Mirror(stack.enter_context(open_storage(storage))) if storage else None
            listeners: list[Listener] = [mirror] if mirror else []
            if tensorboard:
                with needs("tensorboard", "--tensorboard"):
                    from harness.scalars import Scalars
                listeners.append(stack.enter_context(Scalars(runs)))
            elsewhere = None
            if ray:
                with needs("ray", "--ray"):
                    from harness.ray_cluster import connected, on_cluster
                elsewhere = partial(
                    on_cluster, stack.enter_context(connected(ray, device, per_device=per_device, workers=workers))
                )
            means = Means(
                workers=workers or 1 if ray else number_of_workers(workers, per_device, len(comparison.devices)),
                elsewhere=elsewhere,
                stop=Stop(seconds(stop_after) if stop_after else None),
                save_models=save_models,
                listeners=tuple(listeners),
            )
            ledger = stack.enter_context(Ledger(runs))
        try:
            left = conduct(comparison, ledger, means, until)
        except KeyboardInterrupt:
            typer.echo("Stopped at once; what is recorded stays recorded.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except UnfitError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(USAGE_ERROR) from None
        except OSError as error:
            if not is_full(error):
                raise
            typer.echo(f"Error: {shortage(comparison, runs, means.workers, models=save_models)}", err=True)
            raise typer.Exit(DISK_FULL) from None
    if mirror and mirror.failure:
        typer.echo(f"The storage broke ({mirror.failure}); catch up with: mlrc export-optuna --runs {runs}", err=True)
    if left:
        typer.echo(f"Stopped ({means.stop.reason}) with {left} trainings left; the same command goes on.", err=True)
        raise typer.Exit(means.stop.status)
