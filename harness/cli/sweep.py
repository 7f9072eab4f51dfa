"""The command that compares a loss with itself: sweep."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlrc.harness.cli.carry_out import carry_out, choose_rules
from mlrc.harness.cli.words.option_groups import Accepted, Effort, Subject, spelled_out
from mlrc.harness.cli.words.options import CONSOLE, Out, Params, Runs, user_errors
from mlrc.results.publishing.place import PUBLISHED

if TYPE_CHECKING:
    from mlrc.protocols.sweeps import Sweep

app = typer.Typer()


@app.command()
@spelled_out
def sweep(
    *,
    name: Annotated[str, typer.Argument(help="A name from `mlrc list sweeps`, or none with --vary.")] = "",
    loss: Annotated[
        str, typer.Option(help="Names from `mlrc list losses`, with commas; a named sweep has its own.")
    ] = "",
    protocol: Annotated[
        str, typer.Option(help="A name from `mlrc list protocols`; a named sweep has its own, else quick.")
    ] = "",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,VALUE,…",
            help="A parameter of the loss or a field of the protocol, and its values; once or twice. Several at once: "
            "NAME=LABEL:P=1,Q=2;LABEL:P=3.",
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Repeats of every point.")] = 3,
    subject: Subject,
    params: Params = None,
    runs: Runs = Path("runs/sweep"),
    accepted: Accepted,
    effort: Effort,
    out: Out = None,
) -> None:
    """Train a loss with every combination of some values, and write a table and a plot. Goes on like mlrc run.

    Example: mlrc sweep --loss multi_proxy_anchor --dataset glyphs --vary proxies_per_class=1,4,8 --repeats 3
    """
    with user_errors():
        asked = _asked(name, loss, protocol, vary or [])
        rules = choose_rules(asked.protocol, subject)
        from mlrc.harness.study.sweep import planned_sweep
        from mlrc.results.records.ledger import Ledger

        planned = planned_sweep(
            asked,
            dataset=subject.dataset,
            protocol=rules.protocol,
            repeats=repeats,
            root=subject.root,
            device=effort.device_here,
            weights=rules.weights,
            cache=subject.cache,
            params=params or [],
            runs=runs,
            unchecked=subject.unchecked,
            accepted=accepted.kinds,
        )
        if planned.comparison.images.without:
            typer.echo(f"{planned.comparison.images.without} mlrc prepare lists it.", err=True)
        with Ledger(runs) as ledger:
            if planned.record.key not in ledger.records.sweeps:
                ledger.append([planned.record])
    carry_out(planned.comparison, runs, effort, "final", report=lambda: _write(runs, out or runs))


def _asked(name: str, loss: str, protocol: str, vary: list[str]) -> "Sweep":
    from mlrc.protocols import sweeps

    if bool(name) == bool(vary):
        raise ValueError("A sweep needs a name from mlrc list sweeps, or --vary NAME=VALUE,VALUE,… , and not both.")
    if name:
        found = sweeps.find(name)
        if loss and any(factor.name == sweeps.LOSS for factor in found.factors):
            raise ValueError(f"The sweep {name} names its losses itself; leave --loss out.")
        return replace(found, loss=loss or found.loss, protocol=protocol or found.protocol)
    if not loss:
        raise ValueError("A sweep of one's own needs a loss; give its name with --loss.")
    several = [_own_name(one.strip()) for one in loss.split(",")]
    factors = tuple(sweeps.factor(text) for text in vary)
    if len(several) > 1:
        loss, factors = several[0], (*factors, sweeps.losses(*several))
    names = " and ".join(factor.name for factor in factors)
    return sweeps.Sweep(
        name="_".join(factor.name.replace(".", "_") for factor in factors),
        title=f"{' and '.join(several)}: {names}",
        source="",
        loss=loss,
        protocol=protocol or "quick",
        factors=factors,
    )


def _own_name(loss: str) -> str:
    from mlrc.harness.plugins import LOSSES

    return LOSSES.find(loss).name


def _write(runs: Path, out: Path) -> None:
    from mlrc.results.boards.papers import read_papers
    from mlrc.results.rendering.sweep_report import write_sweeps

    printed = PUBLISHED / "papers.csv"
    with user_errors():
        papers = read_papers(printed.read_text(encoding="utf-8")) if printed.exists() else []
        paths = write_sweeps(runs, out, papers)
    text = next(path for path in paths if path.suffix == ".md").read_text(encoding="utf-8")
    CONSOLE.show(text)
    typer.echo(f"Written: {', '.join(map(str, paths))}")
