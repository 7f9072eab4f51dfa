"""The commands on a run in its folder: status, retry, export-optuna."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from mlrc.harness.cli.words.options import CONSOLE, LossFiles, Runs, user_errors, words

app = typer.Typer()


@app.command()
def status(
    runs: Runs = Path("runs"), as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Say what is done, at work, left and failed in a run, its rate and the time left; from any terminal.

    Example: mlrc status --runs runs
    """
    from rich.table import Table

    from mlrc.harness.watch.status import status as find

    with user_errors():
        found = find(runs)
    if as_json:
        studies = [study._asdict() for study in found.studies]
        left = None if found.time_left is None else round(found.time_left.total_seconds())
        content = {**found._asdict(), "studies": studies, "time_left": left}
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    table = Table("study", "done", "diverged", "failed", "at work", "left", box=None, pad_edge=False)
    for study in found.studies:
        numbers = (study.done, study.diverged, study.failed, study.at_work, study.left)
        table.add_row(study.label, *map(str, numbers))
    CONSOLE.print(table)
    for job in found.at_work:
        fold = "" if job["fold"] is None else f", fold {job['fold']}"
        where = f"{job['label']}, {job['stage']} {job['number']}{fold}"
        course = f"epoch {job['epoch']}" if "epoch" in job else "begun"
        if job.get("score") is not None:
            course += f", {job['score']:.2f}"
        CONSOLE.print(f"{job['place']}: {where}: {course}, attempt {job['attempt']}, since {job['since']}")
    rate = ""
    if found.per_hour is not None and found.time_left is not None:
        time_left = timedelta(seconds=round(found.time_left.total_seconds()))
        rate = f", {found.per_hour:.1f} trainings an hour, {time_left} left"
    if found.locks:
        CONSOLE.print(f"At work: {found.writer}{rate}." if found.writer else "No driver is at work.")
    else:
        CONSOLE.print(f"Whether a driver is at work cannot be told: the file system of {runs} has no locks here.")


@app.command()
def retry(runs: Runs = Path("runs")) -> None:
    """Plan the failed trainings of a run again: a line in the ledger says that their records count no more.

    The run then goes on as if they had never failed; nor does anything count that an older run had built on them.

    Example: mlrc retry --runs runs
    """
    from mlrc.harness.watch import status as statuses
    from mlrc.results.records.ledger import Ledger, require

    with user_errors():
        require(runs)
        with Ledger(runs) as ledger:
            failed = statuses.failed(ledger.records)
            if failed:
                ledger.append([statuses.retry(ledger.records)])
    for record in failed:
        where = f"search {record.search}, " if record.search else ""
        what = f"{record.dataset} {record.loss}, {where}{record.stage} {record.number}, fold {record.fold}"
        typer.echo(f"{what}: {record.message}")
    typer.echo(f"{len(failed)} trainings are planned again; the command that began the run does them.")


@app.command("export-optuna")
def export_optuna(
    storage: Annotated[
        str, typer.Option(metavar="URL", help="sqlite:///FILE, postgresql+psycopg://…, mysql+pymysql://…, or a path.")
    ],
    runs: Runs = Path("runs"),
    losses: LossFiles = None,
) -> None:
    """Write every search of a run as an Optuna study, for optuna-dashboard; a path alone is a journal file.

    Example: mlrc export-optuna --runs runs --storage sqlite:///searches.db
    """
    from mlrc.harness.study.comparison import found_losses
    from mlrc.harness.watch.optuna_export import export, open_storage
    from mlrc.results.records.ledger import read, require

    with user_errors():
        if losses:
            found_losses(words(losses))
        path = require(runs)
        with open_storage(storage) as opened:
            written = export(read(path), opened)
    for name, trials in written.items():
        typer.echo(f"{name}: {trials} trials written")
