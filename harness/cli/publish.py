"""The commands on the published leaderboard: leaderboard, leaderboard add, accept."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from mlrc.harness.cli.words.options import Published, user_errors
from mlrc.results.publishing.place import PUBLISHED, RENDERED, came_with_a_wheel, require_own

app = typer.Typer()
leaderboard = typer.Typer(invoke_without_command=True)
app.add_typer(leaderboard, name="leaderboard")

DIFFERENCES = 1


@leaderboard.callback()
def regenerate(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail on any difference or fault.")] = False,
    published: Published = PUBLISHED,
) -> None:
    """Render the published leaderboard from its evidence, or check it; exit status 1 when something is wrong.

    Example: mlrc leaderboard --check
    """
    if context.invoked_subcommand:
        return
    with user_errors():
        if not check:
            require_own(published)
        from mlrc.harness.plan.parameters import ranges_of_ours
        from mlrc.harness.plan.schedule import schedule_of
        from mlrc.protocols.protocol import digest_of
        from mlrc.results.publishing import published as leaderboards

        if not check:
            paths = leaderboards.regenerate(published, _importances(), ranges_of_ours)
            typer.echo(f"Written: {len(paths)} files in {published / RENDERED}")
            return
        faults = leaderboards.check(published, _importances(), digest_of, schedule_of, ranges_of_ours)
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(DIFFERENCES)
    if came_with_a_wheel(published):
        typer.echo("The published evidence holds; its tables stay in the repository and are not compared.")
    else:
        typer.echo("The published leaderboard is what its evidence gives, and the evidence holds.")


@leaderboard.command()
def add(
    runs: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    name: Annotated[str, typer.Option(help="Name of the evidence; the folder's by default.")] = "",
    published: Published = PUBLISHED,
) -> None:
    """Check a finished run, take its evidence in, and render the leaderboard anew.

    Example: mlrc leaderboard add runs/omniglot --name omniglot
    """
    with user_errors():
        require_own(published)
        from mlrc.harness.plan.parameters import ranges_of_ours
        from mlrc.harness.plan.schedule import schedule_of
        from mlrc.protocols.protocol import digest_of
        from mlrc.results.publishing import published as leaderboards

        target = leaderboards.add(published, runs, name or runs.resolve().name, digest_of, schedule_of)
        leaderboards.regenerate(published, _importances(), ranges_of_ours)
    typer.echo(f"Published: {target}")


@app.command()
def accept(
    name: Annotated[str, typer.Argument(help="Name of the reference, such as canary.")],
    runs: Annotated[Path, typer.Argument(help="Folder of the run that is to be the reference from now on.")],
    reason: Annotated[str, typer.Option(help="Why its numbers are right; stored beside them.")],
    published: Published = PUBLISHED,
) -> None:
    """Make a run the reference that `mlrc drift` measures against, and store the reason.

    Example: mlrc accept canary runs/canary --reason "torch 2.16 rounds convolutions differently"
    """
    with user_errors():
        require_own(published)
        from mlrc.protocols.protocol import completed
        from mlrc.results.publishing import references

        folder = references.accept(published, name, runs, reason, completed)
    typer.echo(f"Accepted: {folder}")


def _importances() -> Callable[..., Mapping[tuple[str, str], Mapping[str, Mapping[str, float]]]]:
    from mlrc.harness.report.importance import importances

    return importances
