"""How a command's words become work: the protocol that options mean, and a comparison carried out to its end."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mlrc.harness.cli.words.commands import USAGE_ERROR
from mlrc.harness.cli.words.option_groups import Effort, Subject
from mlrc.harness.cli.words.options import user_errors
from mlrc.harness.machine.stopping import DISK_FULL, FAILED, Stop

if TYPE_CHECKING:
    from mlrc.harness.plan.state import Until
    from mlrc.harness.study.comparison import Comparison
    from mlrc.harness.study.conduct import Ending
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
    from mlrc.harness.machine.file_errors import sentence
    from mlrc.harness.study.carry_out import ready

    stop = Stop.of_this_command()
    with ExitStack() as stack:
        with user_errors():
            work = stack.enter_context(
                ready(comparison, runs, **vars(effort), storage=storage, save_models=save_models, stop=stop)
            )
        try:
            ending = work.do(until)
        except KeyboardInterrupt:
            typer.echo(f"Stopped at once ({stop.reason}); what is recorded stays recorded.", err=True)
            raise typer.Exit(stop.status) from None
        except UnfitError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(USAGE_ERROR) from None
        except OSError as error:
            typer.echo(f"Error: {sentence(error)}", err=True)
            raise typer.Exit(DISK_FULL) from None
    if work.warning:
        typer.echo(work.warning, err=True)
    _conclude(ending, stop, runs, report)


def _conclude(ending: "Ending", stop: Stop, runs: Path, report: Callable[[], None]) -> None:
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
