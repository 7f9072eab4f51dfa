"""The commands that notice drift: goldens for formulas, canary for training, drift for any two results."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from mlrc.harness.cli.words.options import CONSOLE, Device, Published, Root, Runs, Workers, user_errors
from mlrc.results.publishing.place import PUBLISHED, REFERENCES, require_own
from mlrc.results.publishing.verdict import FailOn
from mlrc.results.statistics.levels import ALPHA, MARGIN

if TYPE_CHECKING:
    from mlrc.results.publishing.verdict import Verdicts

app = typer.Typer()

Junit = Annotated[Path | None, typer.Option(help="Write the findings as JUnit XML.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the findings as JSON.")]
Summary = Annotated[Path | None, typer.Option("--markdown", help="Append the findings, for a CI summary.")]


@app.command()
def drift(
    reference: Annotated[str, typer.Argument(help="A leaderboard.csv, a runs folder or a published name.")],
    candidate: Annotated[str, typer.Argument(help="Likewise.")],
    margin: Annotated[float, typer.Option(help="Percent points within which a difference counts as none.")] = MARGIN,
    alpha: Annotated[float, typer.Option(help="Chance of calling anything moved when nothing did.")] = ALPHA,
    fail_on: Annotated[
        FailOn, typer.Option(help="moved: exit status 0 also where nothing can be told; unsure: 3 there.")
    ] = "unsure",
    commits: Annotated[
        bool, typer.Option("--commits", help="Both are commits of this repository: train and compare their canaries.")
    ] = False,
    root: Root = Path("data"),
    workers: Workers = 1,
    device: Device = "cpu",
    junit: Junit = None,
    json: Json = None,
    markdown: Summary = None,
    published: Published = PUBLISHED,
) -> None:
    """Say of every row whether it moved: exit status 0 same, 1 moved, 3 cannot tell, 4 not compared, 2 wrong use.

    Example: mlrc drift canary runs/canary --junit drift.xml
    """
    from mlrc.protocols.protocol import completed
    from mlrc.results.publishing import drift as drifts
    from mlrc.results.publishing.references import open_side

    with user_errors():
        drifts.require_levels(margin, alpha)
        with ExitStack() as stack:
            places = [reference, candidate]
            if commits:
                places = _canaries(places, stack, root=root, workers=workers or 1, device=device)
            sides = [open_side(place, published, completed) for place in places]
        before, after = (replace(side, name=name) for side, name in zip(sides, (reference, candidate), strict=True))
        found = drifts.drift(before, after, margin=margin, alpha=alpha)
        _tell(found, junit, json, markdown)
    raise typer.Exit(found.status_where(fail_on))


def _canaries(names: list[str], stack: ExitStack, *, root: Path, workers: int, device: str) -> list[str]:
    """Train the canaries of two commits and give their runs folders, which last as long as the stack."""
    from mlrc.harness.guard.commits import canary_of

    runs = []
    for name in names:
        work = Path(stack.enter_context(TemporaryDirectory(prefix="mlrc-drift-")))
        here = Path(__file__).resolve().parent
        done = canary_of(here, name, work / "runs", root=root, workers=workers, device=device, work=work)
        runs.append(str(done))
    return runs


@app.command()
def goldens(
    accept: Annotated[str, typer.Option(metavar="REASON", help="Store the values found as right, and why.")] = "",
    device: Device = "cpu",
    junit: Junit = None,
    json: Json = None,
    markdown: Summary = None,
    published: Published = PUBLISHED,
) -> None:
    """Compute every loss, metric, split and first training steps and compare with the values of this kind of device.

    Example: mlrc goldens --junit goldens.xml
    """
    folder = published / REFERENCES / "goldens"
    with user_errors():
        if accept:
            require_own(published)
        from mlrc.harness.guard import goldens as golden
        from mlrc.harness.machine import environment
        from mlrc.harness.machine.determinism import deterministic_device
        from mlrc.results.publishing.references import ACCEPTED, add_reason

        where = environment.resolve_device("cpu") if device == "cpu" else deterministic_device(device)
        values = golden.goldens() if where.type == "cpu" else golden.goldens(where)
        stored = golden.stored_in(folder, where)
        if accept:
            here = environment.current(where)  # before the values make the checkout dirty
            folder.mkdir(parents=True, exist_ok=True)
            stored.write_text(golden.to_text(values), encoding="utf-8")
            versions = ", ".join(f"{name} {version}" for name, version in sorted(here.versions.items()))
            told = accept if where.type == "cpu" else f"{where.type}: {accept}"
            add_reason(folder / ACCEPTED, reason=told, commit=here.commit, versions=versions)
        found = golden.judge(stored, values)
        _tell(found, junit, json, markdown)
    raise typer.Exit(found.status)


@app.command()
def canary(
    runs: Runs = Path("runs/canary"), root: Root = Path("data"), workers: Workers = 1, device: Device = "cpu"
) -> None:
    """Do the short training whose scores `mlrc drift canary RUNS` compares with the reference.

    Example: mlrc canary --runs runs/canary --workers 2
    """
    from mlrc.harness.cli.carry_out import carry_out
    from mlrc.harness.cli.words.option_groups import Effort
    from mlrc.harness.guard.canary import canary as prepare_canary

    with user_errors():
        effort = Effort(workers=workers)
        comparison = prepare_canary(root, device=device, runs=runs)
    carry_out(comparison, runs, effort, "final")


def _tell(found: "Verdicts", junit: Path | None, json: Path | None, summary: Path | None) -> None:
    from mlrc.results.publishing import verdict as verdicts

    text = verdicts.markdown(found)
    for path, content in ((junit, verdicts.junit([found])), (json, verdicts.to_json(found))):
        if path:
            path.write_text(content, encoding="utf-8")
    if summary:
        with summary.open("a", encoding="utf-8") as file:
            file.write(text)
    CONSOLE.show(text)
