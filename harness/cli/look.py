"""The commands that look at what there is, and that bring something new in: list, check, new-loss."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from mlrc.harness.cli.words.completion import names_of
from mlrc.harness.cli.words.options import CONSOLE, user_errors

BROKEN = 1

app = typer.Typer()


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="losses, datasets, protocols, sweeps, trunks, left-out, or coverage (of papers).")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON array.")] = False,
) -> None:
    """List what there is, ours and what installed plug-ins add.

    Example: mlrc list losses
    """
    from mlrc.harness.cli import listing

    with user_errors():
        found = listing.of(what)
    if as_json:
        typer.echo(json.dumps(found.entries, indent=2, ensure_ascii=False))
    else:
        from rich.table import Table

        table = Table(*found.columns, box=None, pad_edge=False)
        for row in found.rows:
            table.add_row(*row)
        CONSOLE.print(table)
    for sentence in found.failures:
        typer.echo(f"Error: {sentence}", err=True)


@app.command()
def check(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="LOSS...",
            help="Names from `mlrc list losses`, or files FILE.py[:NAME].",
            autocompletion=names_of("mlrc.losses"),
        ),
    ],
) -> None:
    """Hold losses against the contract that every loss keeps, ours and a stranger's; exit status 1 if one breaks it.

    Example: mlrc check contrastive multi_proxy_anchor
    """
    from mlrc.harness.study.comparison import found_losses
    from mlrc.losses.contract import promises as contract
    from mlrc.losses.contract.lengths import LENGTHS, depends_on_lengths

    with user_errors():
        specs = found_losses(names)
    broken = 0
    for spec in specs:
        findings = contract.check(spec)
        for finding in findings:
            CONSOLE.print(f"{'ok    ' if finding.ok else 'BROKEN'} {spec.name}: {finding.check}")
            if not finding.ok:
                CONSOLE.print(f"       {finding.sentence}")
        if depends_on_lengths(spec):
            CONSOLE.print(f"note   {spec.name}: {LENGTHS}")
        broken += sum(not finding.ok for finding in findings)
    CONSOLE.print(f"{len(specs)} losses, {broken} broken promises")
    if broken:
        raise typer.Exit(BROKEN)


@app.command("new-loss")
def new_loss(
    name: Annotated[str, typer.Argument(help="lower_case_with_underscores")],
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path(),
    kind: Annotated[
        Literal["proxy", "pair", "miner"], typer.Option(help="With proxies, over pairs, or with a miner.")
    ] = "proxy",
    file: Annotated[bool, typer.Option("--file", help="One file, used by its path; no package.")] = False,
) -> None:
    """Write a loss of your own, which keeps the contract as it stands: a small installable package, or one file.

    Example: mlrc new-loss my_loss --file --kind pair
    """
    from mlrc.harness.cli.new_loss.writing import write_file, write_package

    with user_errors():
        written = write_file(name, out, kind) if file else write_package(name, out, kind)
    if file:
        typer.echo(f"Written: {written}. Next: mlrc check {written}, then: mlrc run --losses {written},contrastive …")
    else:
        typer.echo(f"Written: {written}. Next: pip install --editable {written}, then: mlrc check {name}")
