"""What the commands share: their options, the console, and how a user's mistake is told."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlrc.harness.cli.words.commands import USAGE_ERROR
from mlrc.harness.cli.words.completion import names_of
from mlrc.harness.machine.atomic import is_full
from mlrc.harness.machine.given import MOST_WORKERS
from mlrc.harness.machine.stopping import DISK_FULL

if TYPE_CHECKING:
    from rich.console import Console

TRACEBACK = "MLRC_TRACEBACK"


class _Console:
    """Rich's console, made at the first print: importing it takes as long as help takes to answer."""

    @cached_property
    def _made(self) -> "Console":
        from rich.console import Console

        return Console(highlight=False, markup=False, width=None if sys.stdout and sys.stdout.isatty() else 400)

    def print(self, *shown: Any, **options: Any) -> None:
        """Print as `rich.console.Console.print` does."""
        self._made.print(*shown, **options)

    def show(self, markdown: str) -> None:
        """Print Markdown, laid out where a person reads it and as it is elsewhere."""
        if self._made.is_terminal:
            from rich.markdown import Markdown

            self._made.print(Markdown(markdown))
        else:
            self._made.print(markdown, soft_wrap=True)


CONSOLE = _Console()

Dataset = Annotated[
    str, typer.Option(help="A name from `mlrc list datasets`.", autocompletion=names_of("mlrc.datasets"))
]
Losses = Annotated[
    str,
    typer.Option(
        help="Names from `mlrc list losses` or files FILE.py[:NAME], separated by commas.",
        autocompletion=names_of("mlrc.losses"),
    ),
]
LossFiles = Annotated[
    str | None,
    typer.Option("--losses", metavar="FILES", help="Files of losses that no package registers, separated by commas."),
]
ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        help="A name from `mlrc list protocols`, or a file: FILE.toml, FILE.py[:NAME].",
        autocompletion=names_of("mlrc.protocols"),
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Derive a variant of the protocol; may be given several times."),
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        metavar="[LOSS.]NAME=VALUE",
        help="Give a parameter of the losses, which are then not searched; the others are the published ones.",
    ),
]
Trunk = Annotated[
    str | None,
    typer.Option(
        help="Another trunk for the protocol: a name from `mlrc list trunks`, or timm:NAME.",
        autocompletion=names_of("mlrc.trunks"),
    ),
]
Weights = Annotated[
    str | None, typer.Option(metavar="FILE", help="The trunk's weights: a file, or a name that the trunk publishes.")
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Decode images at every access; a cache is kept in ROOT/cache otherwise.")
]
Unchecked = Annotated[
    bool,
    typer.Option(
        "--unchecked",
        help="Run losses that break what resume, seeds and devices rest on (see mlrc check); their rows say so.",
    ),
]
AcceptLoss = Annotated[
    bool,
    typer.Option("--accept-changed-loss", help="Go on in --runs although a loss was changed since; the tables say so."),
]
AcceptDataset = Annotated[
    bool,
    typer.Option("--accept-changed-dataset", help="Likewise, although the dataset's plug-in was changed."),
]
AcceptTrunk = Annotated[
    bool, typer.Option("--accept-changed-trunk", help="Likewise, although the trunk's plug-in was changed.")
]
Root = Annotated[Path, typer.Option(help="Folder that holds the dataset; glyphs is made there.")]
Runs = Annotated[Path, typer.Option(help="Folder of the ledger; what it records is not done again.")]
Workers = Annotated[
    int | None,
    typer.Option(help=f"Number of worker processes, 1 to {MOST_WORKERS}, over the devices; no result depends on it."),
]
Mps = Annotated[
    bool,
    typer.Option("--mps", help="Let trainings that share a GPU run at once: NVIDIA's MPS is started for the run."),
]
PerDevice = Annotated[
    int | None,
    typer.Option(metavar="K", help="In place of --workers: K worker processes on each device."),
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda (all of them) or devices such as cuda:0,cuda:2, separated by commas.")
]
StopAfter = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Stop after 90s, 30m, 3h, 1d or 2h30m: trainings save where they are, and the exit status is 75 if any "
        "are left, as after SIGTERM.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Train on a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT; --per-device trainings share a GPU, "
        "--workers is the most at once.",
    ),
]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write curves for TensorBoard to RUNS/tensorboard.")]
Storage = Annotated[
    str | None, typer.Option(metavar="URL", help="Mirror the searches there live, see `mlrc export-optuna --help`.")
]
SaveModels = Annotated[
    bool, typer.Option("--save-models", help="Keep the models of the final repeats in RUNS/models, with their cards.")
]
Against = Annotated[
    str | None,
    typer.Option(help="Rank with stored losses, not trained again: published evidence by its name, or a runs folder."),
]
Published = Annotated[Path, typer.Option("--published", help="Folder of the published leaderboard.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the report; the runs folder by default.")]


def words(text: str) -> list[str]:
    """Give what commas separate."""
    return [word.strip() for word in text.split(",") if word.strip()]


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a user can get wrong into one sentence and exit status 2, and a full disk into one and status 74.

    A missing key or index is a fault of this program and keeps its traceback. So does everything where the environment
    variable `MLRC_TRACEBACK` is set, to see where a sentence comes from.
    """
    try:
        yield
    except (KeyError, IndexError):
        raise
    except (LookupError, ValueError, OSError, ImportError, TypeError) as error:
        if os.environ.get(TRACEBACK):
            raise
        if is_full(error):
            sentence = f"The disk must have room to write, but is full ({error}); make room and give the same command."
            typer.echo(f"Error: {sentence}", err=True)
            raise typer.Exit(DISK_FULL) from None
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(USAGE_ERROR) from None
