"""The commands on images and embeddings: prepare, evaluate, doctor."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from mlrc.harness.cli.words.options import CONSOLE, Device, ProtocolName, Root, user_errors

app = typer.Typer()

LISTED = 100
"""Of what was left out, the lines that are printed."""

Embeddings = Annotated[
    Path,
    typer.Option(
        metavar="FILE", help=".npy, .npz, .safetensors, .pt, .parquet or .csv, (images, dim); may hold the labels, too."
    ),
]
Labels = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Labels, and other columns, where the embeddings' file has none.")
]


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="A name from `mlrc list datasets`, or folder:PATH.")],
    root: Root = Path("data"),
    protocol: ProtocolName = "reality_check",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Check only; build no decode-once cache.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch what has a stable public address.")] = False,
) -> None:
    """Find a dataset or unpack its archive, check counts and hashes, and build the decode-once cache.

    Example: mlrc prepare glyphs --root data
    """
    from mlrc.harness.images.prepare import prepare_dataset
    from mlrc.harness.study import rules
    from mlrc.harness.watch.steps import steps

    with user_errors(), steps() as on_progress:
        found = prepare_dataset(
            dataset,
            root,
            side=rules.found(protocol).resize,
            cache=None if no_cache else root / "cache",
            threads=os.cpu_count() or 1,
            may_download=download,
            on_progress=on_progress,
        )
    facts = found.images.facts
    typer.echo(f"{facts.title}: {len(found.images.labels)} images, {len(found.images.class_names)} classes")
    typer.echo(f"fingerprint {found.images.fingerprint}; {facts.licence}")
    for path in found.verified:
        typer.echo(f"verified {path}")
    for path in found.unpacked:
        typer.echo(f"unpacked {path}")
    for path_left, reason in found.images.left_out[:LISTED]:
        typer.echo(f"left out {path_left}: {reason}")
    if len(found.images.left_out) > LISTED:
        typer.echo(f"and {len(found.images.left_out) - LISTED} more. {found.images.without}")
    if found.cache:
        typer.echo(f"cache {found.cache[0]}, {found.cache[1] / 2**20:.0f} MiB")


@app.command()
def evaluate(
    embeddings: Embeddings,
    labels: Labels = None,
    gallery_embeddings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Searched instead of the queries themselves.")
    ] = None,
    gallery_labels: Annotated[Path | None, typer.Option(metavar="FILE", help="Labels of the gallery.")] = None,
    gallery_includes_queries: Annotated[
        bool,
        typer.Option(
            "--gallery-includes-queries",
            help="Leave a query that is in the gallery, too, out of its own ranking: known by path, or by row where "
            "both are one file.",
        ),
    ] = False,
    split: Annotated[
        Literal["test", "trainval", "all"] | None,
        typer.Option(help="The side to measure where there is a column split; test by default."),
    ] = None,
    cuts: Annotated[str, typer.Option("--k", help="The k of nDCG@k, R@k, MAP@k, P@k, separated by commas.")] = "1,10",
    similarity: Annotated[
        Literal["cosine", "euclidean"],
        typer.Option(help="What is near: cosine, or euclidean for the distance of embeddings as they are."),
    ] = "cosine",
    clustering: Annotated[bool, typer.Option("--clustering", help="Add NMI and AMI.")] = False,
    backend: Annotated[
        Literal["torch", "faiss"], typer.Option(help="torch or faiss; the numbers are the same.")
    ] = "torch",
    device: Device = "cpu",
    memory: Annotated[str | None, typer.Option(help="Cap on the memory of the search, such as 512M or 2G.")] = None,
    neighbours: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the neighbours of every query, as many as the largest k: .csv, .parquet or .npz.",
        ),
    ] = None,
    per_query: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the metrics of every query: .csv, .parquet or .npz.")
    ] = None,
    per_class: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the metrics of every class: .csv, .parquet or .npz.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON object.")] = False,
) -> None:
    """Measure anyone's embeddings: P@1, RP, MAP@R and the metrics at k, exactly.

    Columns of a split, of queries and cameras count; docs/data.md says which names mean what.

    Example: mlrc evaluate --embeddings E.npy --labels L.npy --k 1,2,4,8
    """
    from mlrc.harness.metrics import findings
    from mlrc.harness.metrics.evaluate import evaluate as evaluate_files
    from mlrc.harness.watch.steps import steps

    tables = [path for path in (neighbours, per_query, per_class) if path is not None]
    with user_errors(), steps() as on_progress:
        for path in tables:
            findings.require_table(path)
        read = [path for path in (embeddings, labels, gallery_embeddings, gallery_labels) if path is not None]
        if len({path.resolve() for path in [*tables, *dict.fromkeys(read)]}) < len(tables) + len(set(read)):
            raise ValueError(
                "--neighbours, --per-query and --per-class must be files of their own, but one is given for two, or is "
                "read; give each another name."
            )
        ks = _cuts(cuts)
        found = evaluate_files(
            embeddings,
            labels,
            gallery_embeddings=gallery_embeddings,
            gallery_labels=gallery_labels,
            gallery_includes_queries=gallery_includes_queries,
            split=split,
            cuts=ks,
            similarity=similarity,
            neighbours=0 if neighbours is None else max(ks),
            clustering=clustering,
            backend=backend,
            device=device,
            memory=memory,
            progress=lambda done, total: on_progress("searching", done, total),
        )
        if neighbours is not None and found.findings.neighbours is not None:
            findings.write_neighbours(neighbours, found.findings.neighbours)
        if per_query is not None:
            findings.write_table(per_query, found.findings.queries())
        if per_class is not None:
            findings.write_table(per_class, found.findings.classes())
    if as_json:
        typer.echo(found.to_json())
        return
    from rich.table import Table

    table = Table("metric", "percent", box=None, pad_edge=False)
    for metric, value in found.metrics.items():
        table.add_row(metric, f"{value:.4f}")
    CONSOLE.print(table)
    for note in [*found.notes(), *(f"Written: {path}" for path in tables)]:
        typer.echo(note)


@app.command()
def doctor() -> None:
    """Say what this installation has, devices and backends, and what is wrong with it; exit status 1 if anything is.

    Example: mlrc doctor
    """
    from rich.table import Table

    from mlrc.harness.guard.doctor import examine

    found = examine()
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in found.facts:
        table.add_row(name, value)
    CONSOLE.print(table)
    for problem in found.problems:
        typer.echo(f"Problem: {problem}", err=True)
    if found.problems:
        raise typer.Exit(1)


def _cuts(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--k takes whole numbers, separated by commas, such as 1,10, but got {text!r}.") from None
