"""How a command's words become work: the protocol that options mean, and a comparison carried out to its end."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mlrc.harness.cli.option_groups import Effort, Subject
from mlrc.harness.cli.options import USAGE_ERROR, needs, user_errors
from mlrc.harness.machine.stopping import DISK_FULL, FAILED, Stop, seconds
from mlrc.protocols import catalogue
from mlrc.protocols.protocol import Protocol

if TYPE_CHECKING:
    from mlrc.harness.plan.state import Until
    from mlrc.harness.study.comparison import Comparison
    from mlrc.harness.study.conduct import Ending


def choose_protocol(name: str, subject: Subject) -> tuple[Protocol, Path | None]:
    """Give the protocol that the options mean, and the file of its trunk's weights if one was given.

    Raises what `mlrc.protocols.catalogue.find`, `mlrc.harness.trunks` and `Protocol.set` raise.
    """
    chosen = catalogue.find(name)
    from mlrc.harness.trunks.catalogue import find_trunk, with_trunk
    from mlrc.harness.trunks.weights import find_weights

    trunk = subject.trunk or chosen.trunk
    file = find_weights(find_trunk(trunk), subject.weights) if subject.weights else None
    if subject.trunk or file:
        chosen = with_trunk(chosen, trunk, file)
    return chosen.set(subject.changes or []), file


def carry_out(
    comparison: "Comparison",
    runs: Path,
    effort: Effort,
    until: "Until",
    *,
    storage: str | None = None,
    save_models: bool = False,
    report: Callable[[], None] = lambda: None,
) -> None:
    """Do what the ledger in `runs` does not record yet, or exit with the status that says why not all is done.

    Args:
        comparison: checked, and ready to run.
        runs: folder of the ledger.
        effort: where, and for how long.
        until: the last stage to do.
        storage: where the searches are mirrored.
        save_models: keep the models of the final stage.
        report: writes the report, also where some losses failed and others have rows.
    """
    from mlrc.harness.engine.attempts import UnfitError
    from mlrc.harness.machine.atomic import is_full
    from mlrc.harness.machine.file_errors import sentence
    from mlrc.harness.study.conduct import Listener, Means, conduct, number_of_workers
    from mlrc.harness.study.disk import shortage
    from mlrc.harness.watch.optuna_export import Mirror, open_storage
    from mlrc.results.records.ledger import Ledger

    stop = Stop.of_this_command()
    with ExitStack() as stack:
        with user_errors():
            stop.limit(seconds(effort.stop_after) if effort.stop_after else None)
            mirror = Mirror(stack.enter_context(open_storage(storage))) if storage else None
            listeners: list[Listener] = [mirror] if mirror else []
            if effort.tensorboard:
                with needs("tensorboard", "--tensorboard"):
                    from mlrc.harness.watch.scalars import Scalars
                listeners.append(stack.enter_context(Scalars(runs, comparison.studies)))
            elsewhere = None
            if effort.ray:
                with needs("ray", "--ray"):
                    from mlrc.harness.engine.ray_cluster import connected
                    from mlrc.harness.engine.ray_jobs import on_cluster
                elsewhere = partial(
                    on_cluster,
                    stack.enter_context(
                        connected(effort.ray, effort.device, per_device=effort.per_device, workers=effort.workers)
                    ),
                )
            means = Means(
                workers=effort.workers or 1
                if effort.ray
                else number_of_workers(effort.workers, effort.per_device, len(comparison.devices)),
                elsewhere=elsewhere,
                stop=stop,
                save_models=save_models,
                listeners=tuple(listeners),
            )
            ledger = stack.enter_context(Ledger(runs))
        try:
            ending = conduct(comparison, ledger, means, until)
        except KeyboardInterrupt:
            typer.echo(f"Stopped at once ({stop.reason}); what is recorded stays recorded.", err=True)
            raise typer.Exit(stop.status) from None
        except UnfitError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(USAGE_ERROR) from None
        except OSError as error:
            full = is_full(error) and runs.is_dir()
            told = shortage(comparison, runs, means.workers, models_kept=save_models) if full else sentence(error)
            typer.echo(f"Error: {told}", err=True)
            raise typer.Exit(DISK_FULL) from None
    if mirror and mirror.failure:
        typer.echo(f"The storage broke ({mirror.failure}); catch up with: mlrc export-optuna --runs {runs}", err=True)
    _conclude(ending, stop, runs, report)


def _conclude(ending: "Ending", stop: "Stop", runs: Path, report: Callable[[], None]) -> None:
    """Write the report, or exit with the status that says why not all is done."""
    for label, which, why in ending.failures:
        typer.echo(f"{label}: {which} failed: {why}", err=True)
    if ending.left and stop():
        typer.echo(f"Stopped ({stop.reason}) with {ending.left} trainings left; the same command goes on.", err=True)
        raise typer.Exit(stop.status)
    if not ending.failures and not ending.left:
        report()
        return
    with suppress(typer.Exit):  # where no loss has a row there is none
        report()
    left = f"{ending.left} are left, as too much failed in a row at every place. " if ending.left else ""
    typer.echo(
        f"Error: Every training must come to an end, but some failed, and their losses stand still. {left}See to the "
        f"causes; then: mlrc retry --runs {runs}, and the same command.",
        err=True,
    )
    raise typer.Exit(FAILED)
