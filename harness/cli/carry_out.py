"""How a command's words become work: the protocol that options mean, and a comparison carried out to its end."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mlrc.harness.cli.commands import USAGE_ERROR
from mlrc.harness.cli.option_groups import Effort, Subject
from mlrc.harness.cli.options import user_errors

if TYPE_CHECKING:
    from mlrc.harness.plan.state import Until
    from mlrc.harness.study.comparison import Comparison
    from mlrc.harness.study.rules import Rules


def choose_rules(protocol: str, subject: Subject) -> "Rules":
    """Give the protocol that the options mean; raises what `mlrc.harness.study.rules.chosen` raises."""
    from mlrc.harness.study import rules

    return rules.chosen(protocol, trunk=subject.trunk, weights=subject.weights, changes=subject.changes or [])


def carry_out(
    comparison: "Comparison",
    runs: Path,
    effort: Effort,
    until: "Until",
    *,
    storage: str | None = None,
    save_models: bool = False,
) -> None:
    """Do what the ledger in `runs` does not record yet, or exit with the status that says why not all is done.

    Args:
        comparison: checked, and ready to run.
        runs: folder of the ledger.
        effort: where, and for how long.
        until: the last stage to do.
        storage: where the searches are mirrored.
        save_models: keep the models of the final stage.
    """
    from mlrc.harness.engine.execute import UnfitError
    from mlrc.harness.machine.atomic import is_full
    from mlrc.harness.machine.stopping import DISK_FULL, INTERRUPTED
    from mlrc.harness.study.carry_out import ready

    with ExitStack() as stack:
        with user_errors():
            work = stack.enter_context(
                ready(comparison, runs, **vars(effort), storage=storage, save_models=save_models)
            )
        try:
            left = work.do(until)
        except KeyboardInterrupt:
            typer.echo("Stopped at once; what is recorded stays recorded.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except UnfitError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(USAGE_ERROR) from None
        except OSError as error:
            if not is_full(error):
                raise
            typer.echo(f"Error: {error.strerror}", err=True)
            raise typer.Exit(DISK_FULL) from None
    if work.warning:
        typer.echo(work.warning, err=True)
    if left:
        stop = work.means.stop
        typer.echo(f"Stopped ({stop.reason}) with {left} trainings left; the same command goes on.", err=True)
        raise typer.Exit(stop.status)
