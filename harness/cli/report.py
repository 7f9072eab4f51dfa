"""The commands on what happened: report."""

from pathlib import Path
from typing import Annotated

import typer

from mlrc.harness.cli.words.options import CONSOLE, Against, Device, LossFiles, Out, Published, Runs, user_errors, words
from mlrc.results.publishing.place import PUBLISHED
from mlrc.results.statistics.levels import MARGIN

app = typer.Typer()

GalleryRoot = Annotated[
    Path | None,
    typer.Option(
        "--root",
        help="Folder that holds the dataset: shows what losses retrieved whose models --save-models kept.",
    ),
]
Margin = Annotated[float, typer.Option(help="Percent points within which two losses count as equivalent.")]


@app.command()
def report(
    runs: Runs = Path("runs"),
    out: Out = None,
    root: GalleryRoot = None,
    losses: LossFiles = None,
    device: Device = "auto",
    margin: Margin = MARGIN,
    against: Against = None,
    published: Published = PUBLISHED,
) -> None:
    """Write tables (CSV, Markdown, LaTeX), plots and report.html from a runs folder.

    Example: mlrc report --runs runs --out report --root data
    """
    if losses:
        from mlrc.harness.study.comparison import found_losses

        with user_errors():
            found_losses(words(losses))
    write(runs, out, root=root, device=device, margin=margin, against=against, published=published)


def write(
    runs: Path,
    out: Path | None,
    *,
    root: Path | None = None,
    device: str = "cpu",
    margin: float = MARGIN,
    against: str | None = None,
    published: Path = PUBLISHED,
) -> None:
    """Write the report of a runs folder and print its table."""
    with user_errors():
        from mlrc.harness.machine.environment import resolve_devices
        from mlrc.harness.report.reporting import write_full_report
        from mlrc.harness.watch.steps import steps
        from mlrc.protocols.protocol import completed
        from mlrc.results.publishing.against import open_stored
        from mlrc.results.records.ledger import require
        from mlrc.results.rendering.report import require_margin

        require_margin(margin)
        require(runs)
        stored = open_stored(against, published, completed) if against is not None else None
        with steps() as on_progress:
            paths = write_full_report(
                runs,
                out or runs,
                root=root,
                device=str(resolve_devices(device)[0]),
                margin=margin,
                on_progress=on_progress,
                against=stored,
            )
    table = next(path for path in paths if path.name == "table.md").read_text(encoding="utf-8")
    CONSOLE.show(table)
    typer.echo("Written: " + ", ".join(str(path) for path in paths))
