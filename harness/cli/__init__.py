"""The command `mlrc`. Each command checks its words, hands them on, and prints what came of it.

Heavy packages are imported inside the commands that need them, so that `mlrc --help` answers at once.
"""

import os
import sys

import typer

from mlrc.harness.cli import compare, drift, embed, look, measure, profile, publish, report, runs, sweep
from mlrc.harness.cli.words.commands import sound
from mlrc.harness.cli.words.options import TRACEBACK
from mlrc.harness.machine.file_errors import sentence
from mlrc.harness.machine.stopping import DISK_FULL, Stop
from mlrc.harness.machine.streams import (
    drop_output,
    forgiving,
    nothing_written_is_lost_in_silence,
    open_closed_streams,
    replace_what_cannot_be_shown,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Compare deep metric learning losses by the Metric Learning Reality Check protocol.",
)
for group in (look, measure, embed, profile, compare, sweep, runs, report, publish, drift):
    app.add_typer(group.app)
sound(app)


def main() -> None:
    """Run the command line; the console script `mlrc`.

    Whatever ends it is a sentence and a status: a signal before there is work to save, and streams that are closed or
    full, too.
    """
    open_closed_streams()
    replace_what_cannot_be_shown()
    sys.stderr = forgiving(sys.stderr)  # what cannot be told there must not cost any work
    stop = Stop()
    try:
        with stop.from_the_start(), nothing_written_is_lost_in_silence():
            app()
    except KeyboardInterrupt:
        sys.exit(_stopped(stop))
    except OSError as error:
        if os.environ.get(TRACEBACK):
            raise
        drop_output()
        sys.stderr.write(f"Error: {sentence(error)}\n")
        sys.exit(DISK_FULL)
    except SystemExit as ending:
        sys.exit(_stopped(stop) if stop.early else ending.code)


def _stopped(stop: Stop) -> int:
    sys.stderr.write(f"Stopped ({stop.reason}) before there was work to save; the same command goes on.\n")
    return stop.status
