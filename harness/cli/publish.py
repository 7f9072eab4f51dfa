"""The commands on the published leaderboard: leaderboard, leaderboard add, split and verify, accept."""

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlrc.harness.cli.words.options import (
    Changes,
    Dataset,
    Device,
    LossFiles,
    ProtocolName,
    Published,
    Root,
    Workers,
    user_errors,
    words,
)
from mlrc.harness.machine.stopping import FAILED
from mlrc.results.publishing.place import PUBLISHED, RENDERED, came_with_a_wheel, require_own

if TYPE_CHECKING:
    from mlrc.results.publishing.verification import Verified
    from mlrc.results.records.record import FoldRecord

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
        from mlrc.harness.plan.parameters import ranges_of_ours, titles_of_ours
        from mlrc.harness.plan.schedule import schedule_of
        from mlrc.protocols.protocol import digest_of
        from mlrc.results.publishing import published as leaderboards

        if not check:
            paths = leaderboards.regenerate(published, _importances(), ranges_of_ours, titles_of_ours)
            typer.echo(f"Written: {len(paths)} files in {published / RENDERED}")
            return
        faults = leaderboards.check(
            published, _importances(), digest_of, schedule_of, ranges_of_ours, find_titles=titles_of_ours
        )
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
        from mlrc.harness.plan.parameters import ranges_of_ours, titles_of_ours
        from mlrc.harness.plan.schedule import schedule_of
        from mlrc.protocols.protocol import digest_of
        from mlrc.results.publishing import published as leaderboards

        target = leaderboards.add(published, runs, name or runs.resolve().name, digest_of, schedule_of)
        leaderboards.regenerate(published, _importances(), ranges_of_ours, titles_of_ours)
    typer.echo(f"Published: {target}")


@leaderboard.command()
def split(
    dataset: Dataset,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    root: Root = Path("data"),
    published: Published = PUBLISHED,
) -> None:
    """Enter the split of a data set in splits.csv, told from its images; begins a leaderboard where there is none.

    Example: mlrc leaderboard split --dataset glyphs --protocol quick --published board
    """
    with user_errors():
        require_own(published)
        from mlrc.harness.study.known_split import known_split
        from mlrc.harness.study.rules import chosen
        from mlrc.results.publishing.audit import enter_split

        line = known_split(dataset, root, chosen(protocol, changes=changes or []).protocol)
        new = enter_split(published / "splits.csv", line)
    told = f"{line.dataset},{line.fingerprint},{line.cut},{line.test_classes},{line.test_images}"
    typer.echo(f"{'Entered' if new else 'There already'}: {told}")


@leaderboard.command()
def verify(
    retrain: Annotated[int, typer.Option(metavar="K", help="How many recorded trainings to do again.")],
    name: Annotated[str, typer.Option(help="Of the evidence to draw from; all of it by default.")] = "",
    root: Root = Path("data"),
    weights: Annotated[Path | None, typer.Option(help="File of the trunk's weights.")] = None,
    losses: LossFiles = None,
    seed: Annotated[int | None, typer.Option(help="Of the draw; at random by default, and printed.")] = None,
    by: Annotated[str, typer.Option(help="Who verifies; the name in git's configuration by default.")] = "",
    device: Device = "cpu",
    workers: Workers = 1,
    published: Published = PUBLISHED,
) -> None:
    """Train K recorded trainings again, drawn at random, and write down beside the evidence what came of it.

    Scores must be equal bit by bit on the same kind of processor with the same torch, elsewhere within the tolerance of
    mlrc goldens; exit status 1 when one is not, 70 when a training fails here, which tells nothing of the record.

    Example: mlrc leaderboard verify --retrain 4 --name omniglot --root data
    """
    with user_errors():
        require_own(published)
        from mlrc.harness.guard import verify as verification
        from mlrc.results.publishing.published import open_evidence

        if losses:
            from mlrc.harness.study.comparison import found_losses

            found_losses(words(losses))
        drawn_by = secrets.randbelow(2**31) if seed is None else seed
        who = verification.somebody(by)
        chosen = verification.choose(open_evidence(published, name), retrain, drawn_by)
        tasks = [
            verification.prepared(one, root, device=device, weights=weights, cache=root / "cache") for one in chosen
        ]
        typer.echo(f"Drawn with --seed {drawn_by}: {', '.join(r.key for one in chosen for r in one.trainings)}")
        moved = 0
        for one, of_one in zip(chosen, tasks, strict=True):
            keep = partial(_keep, one.folder)
            try:
                lines = verification.retrained(one, of_one, by=who, workers=workers or 1, on_line=keep)
            except RuntimeError as error:
                typer.echo(f"Error: {error}", err=True)
                raise typer.Exit(FAILED) from None
            moved += sum(line.verdict == "moved" for line in lines)
    typer.echo("Written beside the evidence; render the tables anew with mlrc leaderboard.")
    if moved:
        raise typer.Exit(DIFFERENCES)


def _keep(folder: Path, record: "FoldRecord", line: "Verified") -> None:
    """Write a verdict down at once, so that none is lost or left out where the others are given up."""
    from mlrc.results.publishing.verification import append

    append(folder, [line])
    apart = f" (at most {line.difference} percent points apart)" if line.difference not in ("", "0") else ""
    where = f"{record.stage} {record.number}, fold {record.fold}"
    typer.echo(f"{record.key}: {record.loss} on {record.dataset}, {where}: {line.verdict}{apart}")


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
