"""The commands that do the protocol: plan, run, search, final."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlrc.harness.cli.carry_out import carry_out, choose_rules
from mlrc.harness.cli.report import write
from mlrc.harness.cli.words.option_groups import Accepted, Effort, Subject, spelled_out
from mlrc.harness.cli.words.options import (
    CONSOLE,
    Against,
    Device,
    Losses,
    Out,
    Params,
    PerDevice,
    ProtocolName,
    Published,
    Runs,
    SaveModels,
    Storage,
    Workers,
    user_errors,
    words,
)
from mlrc.harness.machine.given import require_means
from mlrc.results.publishing.place import PUBLISHED

if TYPE_CHECKING:
    from mlrc.harness.study.comparison import Comparison

app = typer.Typer()


@app.command()
@spelled_out
def plan(
    *,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    subject: Subject,
    params: Params = None,
    device: Device = "auto",
    workers: Workers = None,
    per_device: PerDevice = None,
    detect: Annotated[
        float | None, typer.Option(help="Say how many repeats it takes to see a difference of so many points.")
    ] = None,
    like: Annotated[
        str | None, typer.Option(help="A runs folder or a published name, whose noise tells it, with --detect.")
    ] = None,
    published: Published = PUBLISHED,
) -> None:
    """Say which trainings a run would do and what they cost at most; runs none of them.

    On a GPU it tries for some seconds each how many trainings should share it.

    Example: mlrc plan --dataset glyphs --losses contrastive,proxy_anchor --protocol quick
    """
    from rich.table import Table

    from mlrc.harness.study.conduct import number_of_workers
    from mlrc.harness.study.estimate import estimate
    from mlrc.harness.study.foresight import foresight, require_difference

    with user_errors():
        require_means(workers=workers, per_device=per_device)
        require_difference(detect, like)
        told = foresight(detect, like, len(words(losses)), published) if detect and like else []
    comparison = _prepare(subject, losses, protocol, params, device)
    with user_errors():
        found = estimate(comparison, number_of_workers(workers, per_device, len(comparison.devices)))
    columns = ("loss", "search trainings", "final trainings", "iterations at most", "s each", "hours of one at most")
    table = Table(*columns, box=None)
    for line in found.rows:
        table.add_row(*line)
    CONSOLE.print(table)
    CONSOLE.print(str(found))
    for sentence in told:
        typer.echo(sentence)
    if workers is None and per_device is None and comparison.devices[0].startswith("cuda"):
        from mlrc.harness.study.sharing import advice, measured

        CONSOLE.print(advice(measured(comparison)))


@app.command()
@spelled_out
def run(
    *,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    subject: Subject,
    params: Params = None,
    runs: Runs = Path("runs"),
    accepted: Accepted,
    effort: Effort,
    storage: Storage = None,
    save_models: SaveModels = False,
    out: Out = None,
    against: Against = None,
    published: Published = PUBLISHED,
) -> None:
    """Do the whole protocol: search, final repeats, table. Goes on with whatever it finds in --runs.

    Example: mlrc run --dataset glyphs --losses contrastive,proxy_anchor --protocol quick --workers 2
    """
    comparison = _prepare(subject, losses, protocol, params, effort.device_here, runs, accepted)
    if against is not None:
        from mlrc.harness.study.subject import subject_of
        from mlrc.protocols.protocol import completed
        from mlrc.results.publishing.against import joined, open_stored, require_comparable
        from mlrc.results.records.ledger import LEDGER, read

        with user_errors():
            stored = open_stored(against, published, completed)
            require_comparable(subject_of(comparison), stored)
            joined(read(runs / LEDGER), stored)  # what is there already, whose rows the report will have, too
    report = partial(write, runs, out, against=against, published=published)
    carry_out(comparison, runs, effort, "final", storage=storage, save_models=save_models, report=report)


@app.command()
@spelled_out
def search(
    *,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    subject: Subject,
    runs: Runs = Path("runs"),
    accepted: Accepted,
    effort: Effort,
    storage: Storage = None,
) -> None:
    """Do the search alone: no test image is embedded.

    Example: mlrc search --dataset glyphs --losses contrastive --protocol quick
    """
    comparison = _prepare(subject, losses, protocol, None, effort.device_here, runs, accepted)
    carry_out(comparison, runs, effort, "search", storage=storage)


@app.command()
@spelled_out
def final(
    *,
    losses: Losses,
    protocol: ProtocolName = "reality_check",
    subject: Subject,
    params: Params = None,
    runs: Runs = Path("runs"),
    accepted: Accepted,
    effort: Effort,
    storage: Storage = None,
    save_models: SaveModels = False,
    out: Out = None,
    published: Annotated[
        bool, typer.Option("--published", help="Take the parameters that the losses' papers report; no search.")
    ] = False,
) -> None:
    """Do the final repeats with the best parameters of a finished search, or with published ones.

    Example: mlrc final --dataset glyphs --losses contrastive --protocol quick
    """
    from mlrc.harness.study.comparison import require_searched

    if published:
        subject = replace(subject, changes=[*(subject.changes or []), "trials=0"])
    comparison = _prepare(subject, losses, protocol, params, effort.device_here, runs, accepted)
    with user_errors():
        require_searched(comparison, runs)
    report = partial(write, runs, out)
    carry_out(comparison, runs, effort, "final", storage=storage, save_models=save_models, report=report)


def _prepare(
    subject: Subject,
    losses: str,
    protocol: str,
    params: list[str] | None,
    device: str,
    runs: Path | None = None,
    accepted: Accepted | None = None,
) -> "Comparison":
    """Prepare a comparison, and check what the runs folder holds of it."""
    with user_errors():
        rules = choose_rules(protocol, subject)
        from mlrc.harness.study.comparison import checked_comparison, require_same_space

        prepared = checked_comparison(
            dataset=subject.dataset,
            losses=words(losses),
            protocol=rules.protocol,
            root=subject.root,
            device=device,
            weights=rules.weights,
            cache=subject.cache,
            params=params or [],
            runs=runs,
            unchecked=subject.unchecked,
            accepted=accepted.kinds if accepted else (),
        )
        if prepared.images.without:
            typer.echo(f"{prepared.images.without} mlrc prepare lists it.", err=True)
        if runs:
            require_same_space(prepared, runs)
        return prepared
