"""What drift is measured against: runs, tables and accepted references, and why each reference was accepted."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from mlrc.results.boards.leaderboard import boards
from mlrc.results.publishing.drift import Side
from mlrc.results.publishing.place import EVIDENCE, REFERENCES
from mlrc.results.publishing.published import check_name, counting
from mlrc.results.records.ledger import LEDGER, read, require
from mlrc.results.records.lines import to_line
from mlrc.results.records.per_class import PerClassFiles
from mlrc.results.records.record import ProtocolRecord, RunRecord
from mlrc.results.rendering.spreadsheet import read_leaderboard_csv

ACCEPTED = "accepted.csv"
_COLUMNS = ("reason", "commit", "versions")
Completed = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From the fields that a protocol's record has to all that it stands for; a ValueError where that cannot be told."""


def open_side(place: str, published: Path, completed: Completed) -> Side:
    """Read one side of a drift check.

    Args:
        place: a `leaderboard.csv`, a folder that holds a ledger or a `leaderboard.csv`, or the name of published
            evidence or of an accepted reference.
        published: folder of the published leaderboard.
        completed: gives a stored protocol the fields that came later.

    Raises:
        FileNotFoundError: there is no such thing.
        ValueError: it is broken, holds no row, or its rules cannot be told.
    """
    named = [published / kind / place for kind in (REFERENCES, EVIDENCE)]
    for path in (Path(place), *named):
        if (path / LEDGER).is_file():
            return _of_ledger(place, path, completed)
        table = path if path.is_file() else path / "leaderboard.csv"
        if table.is_file():
            try:
                side = Side(name=place, rows=read_leaderboard_csv(table.read_text(encoding="utf-8")))
            except (ValueError, UnicodeDecodeError) as error:
                raise ValueError(f"{table} must be a leaderboard, but {error}.") from None
            return _with_rows(side)
    there = sorted(path.parent.name for path in published.glob(f"*/*/{LEDGER}"))
    raise FileNotFoundError(
        f"There is no leaderboard.csv, runs folder, published evidence or reference {place!r}; published are "
        f"{', '.join(there) or 'none'}."
    )


def accept(published: Path, name: str, runs: Path, reason: str, completed: Completed) -> Path:
    """Make the repeats of a runs folder the reference of that name, and write down why; gives its folder.

    Raises:
        FileNotFoundError: there is no ledger in `runs`.
        ValueError: there is no reason, no finished repeat, no telling its rules, or the name cannot be a folder's.
    """
    if not reason.strip():
        raise ValueError("A new reference must have a reason, for those who ask later why a number moved.")
    ledger = require(runs)
    check_name(name)
    _of_ledger(str(runs), runs, completed)
    records = counting(read(ledger))
    repeats = sorted(records.runs.values(), key=lambda run: (run.dataset, run.digest, run.loss, run.search, run.number))
    digests = sorted({run.digest for run in repeats} & set(records.protocols))
    environments = [run.environment for run in repeats]
    folder = published / REFERENCES / name
    folder.mkdir(parents=True, exist_ok=True)
    kept: tuple[ProtocolRecord | RunRecord, ...] = (
        *(records.protocols[digest] for digest in digests),
        *(replace(run, environment=replace(run.environment, host="")) for run in repeats),
    )
    (folder / LEDGER).write_text("".join(to_line(record) + "\n" for record in kept), encoding="utf-8")
    versions = {f"{package} {version}" for one in environments for package, version in one.versions.items()}
    add_reason(
        folder / ACCEPTED,
        reason=reason,
        commit=" ".join(sorted({one.commit for one in environments})),
        versions=", ".join(sorted(versions)),
    )
    return folder


def add_reason(path: Path, *, reason: str, commit: str, versions: str) -> None:
    """Write down below the earlier ones why a reference was accepted."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    if not path.exists():
        rows.writerow(_COLUMNS)
    rows.writerow((" ".join(reason.split()), commit, versions))
    with path.open("a", encoding="utf-8") as file:
        file.write(text.getvalue())


def _of_ledger(name: str, path: Path, completed: Completed) -> Side:
    records = read(path / LEDGER)
    protocols = {}
    for digest in sorted({run.digest for run in records.runs.values()}):
        try:
            record = records.protocols[digest]
            protocols[digest] = replace(record, fields=completed(record.fields))
        except (KeyError, ValueError) as error:
            why = error if isinstance(error, ValueError) else f"the ledger has none of digest {digest}"
            raise ValueError(
                f"{name} must tell the rules of its repeats by their protocol, but {why}; do the run again with this "
                "version, or accept another reference."
            ) from None
    found = boards(records, PerClassFiles(path))
    rows = [row for board in found for row in board.rows]
    images = {
        (board.dataset, board.digest): frozenset((run.fingerprint, run.cut) for run in board.runs) for board in found
    }
    return _with_rows(Side(name=name, rows=rows, protocols=protocols, images=images))


def _with_rows(side: Side) -> Side:
    if not side.rows:
        raise ValueError(f"{side.name} must hold a finished repeat, but there is none; nothing can be compared.")
    return side
