"""The command that makes vectors of images: embed."""

from pathlib import Path
from typing import Annotated

import typer

from mlrc.harness.cli.words.completion import names_of
from mlrc.harness.cli.words.options import Changes, Device, ProtocolName, Root, Trunk, Weights, user_errors

app = typer.Typer()

Threads = Annotated[int | None, typer.Option(help="That work side by side; one per core by default.")]


@app.command()
def embed(
    images: Annotated[
        str,
        typer.Argument(
            help="A name from `mlrc list datasets`, or a folder (of classes, or of images), a manifest, an image.",
            autocompletion=names_of("mlrc.datasets"),
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Where to: .npz, .safetensors, .pt, .parquet, .csv, or .npy with a .csv beside it."
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A model of `mlrc run --save-models`, its card beside it.")
    ] = None,
    trunk: Trunk = None,
    weights: Weights = None,
    protocol: ProtocolName = "reality_check",
    changes: Changes = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="The sub-folders are no classes: all images without labels.")
    ] = False,
    root: Root = Path("data"),
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Embed images by a kept model, or by a trunk with its weights: vectors, labels and paths for `mlrc evaluate`.

    A model brings its own preprocessing; a trunk takes the protocol's (--set resize=… and crop=…) and gives its pooled
    features, without any head. Columns split, query and camera go along where the images have them.

    Example: mlrc embed glyphs --root data --model runs/models/0123456789abcdef.safetensors --out E.npz
    """
    from mlrc.harness.study import embedding
    from mlrc.harness.vectors.writing import require_writable
    from mlrc.harness.watch.steps import steps

    with user_errors(), steps() as on_progress:
        if model is not None and (trunk or weights or changes or protocol != "reality_check"):
            raise ValueError(
                "A model brings trunk, weights and protocol, so --model must stand alone; leave the others out."
            )
        if model is None and not (trunk or weights):
            raise ValueError("What embeds must be told, but nothing was; give --model FILE, or --trunk and --weights.")
        if threads is not None and not 1 <= threads <= embedding.MOST_THREADS:
            raise ValueError(f"threads must lie in [1, {embedding.MOST_THREADS}], but got {threads}.")
        require_writable(out)
        network = (
            embedding.of_trunk(protocol, device, trunk=trunk, weights=weights, changes=changes or ())
            if model is None
            else embedding.of_model(model, device)
        )
        done = embedding.embed_images(
            images, out, network, root=root, with_classes=not no_labels, threads=threads, on_progress=on_progress
        )
    rows, dim = done.vectors.embeddings.shape
    for remark in done.remarks:
        typer.echo(remark)
    for file in done.files:
        typer.echo(f"Written: {file}")
    beside = f" --labels {done.files[1]}" if len(done.files) > 1 else ""
    then = f" Next: mlrc evaluate --embeddings {done.files[0]}{beside}" if done.vectors.labels is not None else ""
    typer.echo(f"{rows} images, {dim} dimensions.{then}")
