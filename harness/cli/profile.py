"""The command that measures what a step of a loss costs: profile."""

from typing import Annotated

import typer

from mlrc.harness.cli.words.completion import names_of
from mlrc.harness.cli.words.options import CONSOLE, Changes, Params, ProtocolName, user_errors

app = typer.Typer()

COLUMNS = ("loss", "classes", "loss ms", "step ms", "loss MiB", "gradient of trunk", "of head", "of proxies")


@app.command()
def profile(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="LOSS...",
            help="Names from `mlrc list losses`, or files FILE.py[:NAME].",
            autocompletion=names_of("mlrc.losses"),
        ),
    ],
    classes: Annotated[str, typer.Option(metavar="N,N,…", help="Numbers of classes.")] = "100,1000,10000",
    protocol: ProtocolName = "quick",
    changes: Changes = None,
    params: Params = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON array.")] = False,
) -> None:
    """Measure a step of losses against the number of classes: time, memory, and the norms of its gradients, on noise.

    The loss alone and a whole step, in milliseconds of one processor thread; the most that the loss holds at once;
    the gradients of the first step.

    Example: mlrc profile proxy_anchor mean_field_contrastive --classes 100,1000
    """
    with user_errors():
        numbers = _numbers(classes)
        from mlrc.harness.plan import parameters
        from mlrc.harness.study import rules
        from mlrc.harness.study.comparison import found_losses
        from mlrc.harness.study.profile import profiles

        specs = found_losses(names)
        chosen = parameters.read(params or [], specs)
        found = rules.found(protocol).set(changes or [])
        measured = [one for spec in specs for one in profiles(spec, found, numbers, chosen[spec.name])]
    if as_json:
        import json

        typer.echo(json.dumps([_finite(one._asdict()) for one in measured], indent=2))
        return
    from rich.table import Table

    table = Table(*COLUMNS, box=None, pad_edge=False)
    for one in measured:
        table.add_row(
            one.loss,
            str(one.classes),
            f"{one.loss_ms:.2f}",
            f"{one.step_ms:.2f}",
            f"{one.loss_mib:.1f}",
            *(f"{norm:.3g}" for norm in (one.trunk, one.head, one.proxies)),
        )
    CONSOLE.print(table)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--classes takes whole numbers, separated by commas, but got {text!r}.") from None


def _finite(told: dict[str, object]) -> dict[str, object]:
    """Write what is not a number as null."""
    return {name: None if value != value else value for name, value in told.items()}  # noqa: PLR0124
