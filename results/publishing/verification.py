"""Recorded trainings that someone trained again: who, when, with which versions, and what came of it.

`verified.csv` lies beside a ledger and is only appended to. What tables say of it follows from its content alone.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from io import StringIO
from pathlib import Path
from typing import Literal

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.ledger import Records
from mlrc.results.records.record import FoldRecord

VERIFIED = "verified.csv"
SMALL = 0.01
"""Percent; scores below it are compared by their absolute difference."""
Verdict = Literal["identical", "within tolerance", "moved"]
_VERDICTS: tuple[Verdict, ...] = ("identical", "within tolerance", "moved")


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A line of `verified.csv`: a recorded training that was trained again.

    Attributes:
        key: of the training.
        record: `fingerprint_of` what was recorded, so that the line speaks of that record and of no later one.
        verdict: `identical` bit by bit, `within tolerance` of another kind of processor, or `moved`.
        difference: the greatest of two validation scores, percent points; empty where they have not the same epochs.
        by: who; `on`: the day; `device`, `processor`, `commit` and `versions`: with what.
    """

    key: str
    record: str
    verdict: str
    difference: str
    by: str
    on: str
    device: str
    processor: str
    commit: str
    versions: str


COLUMNS = tuple(one.name for one in fields(Verified))


def can_be_verified(record: FoldRecord) -> bool:
    """Say whether a training left scores to compare: without validation classes there are none."""
    return record.outcome == "done" and len(record.history) > 1


def fingerprint_of(record: FoldRecord) -> str:
    """Give 16 hexadecimal digits over what came of a training."""
    told = json.dumps([record.key, record.outcome, record.history])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def judge(recorded: FoldRecord, again: FoldRecord, tolerance: float) -> tuple[Verdict, float | None]:
    """Compare a training with what was recorded of it: bit by bit between equal surroundings, else within bounds.

    Args:
        recorded: what was published.
        again: what came of training it again.
        tolerance: relative to the recorded score, between kinds of processors or versions.

    Returns:
        The verdict, and the greatest difference of two scores in percent points; `None` where they cannot be paired.
    """
    if [epoch for epoch, _ in recorded.history] != [epoch for epoch, _ in again.history]:
        return "moved", None
    pairs = [(old, new) for (_, old), (_, new) in zip(recorded.history, again.history, strict=True)]
    difference = max((abs(new - old) for old, new in pairs), default=0.0)
    if (recorded.outcome, recorded.best_epoch, recorded.history) == (again.outcome, again.best_epoch, again.history):
        return "identical", difference
    near = all(abs(new - old) <= tolerance * max(SMALL, abs(old)) for old, new in pairs)
    return ("within tolerance" if near and not same_surroundings(recorded, again) else "moved"), difference


def same_surroundings(one: FoldRecord, other: FoldRecord) -> bool:
    """Say whether two trainings must have the same bits: on one kind of processor, with the same torch and settings.

    Records of before the kind of processor was told are of no known one.
    """
    a, b = one.environment, other.environment
    kinds = (a.device, a.processor, a.settings, a.versions.get("torch"))
    return bool(a.processor) and kinds == (b.device, b.processor, b.settings, b.versions.get("torch"))


def read_verified(folder: Path) -> list[Verified]:
    """Read the lines beside a ledger; none where there is no such file.

    Raises:
        ValueError: the file lacks a column.
    """
    path = folder / VERIFIED
    if not path.is_file():
        return []
    rows = list(csv.DictReader(StringIO(path.read_text(encoding="utf-8"))))
    for row in rows:
        if missing := [name for name in COLUMNS if row.get(name) is None]:
            raise ValueError(f"{path} must have the columns {', '.join(COLUMNS)}, but a line lacks {missing[0]}.")
    return [Verified(**{name: row[name] for name in COLUMNS}) for row in rows]


def append(folder: Path, lines: Sequence[Verified]) -> Path:
    """Write lines below the earlier ones and give the path."""
    path = folder / VERIFIED
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not path.exists():
        writer.writerow(COLUMNS)
    writer.writerows(astuple(line) for line in lines)
    with path.open("a", encoding="utf-8") as file:
        file.write(text.getvalue())
    return path


def faults(lines: Iterable[Verified], records: Records) -> list[str]:
    """Say in sentences which lines speak of no record that is there."""
    found = []
    for line in lines:
        record = records.folds.get(line.key)
        if record is None:
            found.append(f"{VERIFIED} speaks of training {line.key}, which is not recorded")
        elif line.record != fingerprint_of(record):
            found.append(f"{VERIFIED} speaks of another result of training {line.key} than its record has")
        if line.verdict not in _VERDICTS:
            found.append(f"{VERIFIED} has the verdict {line.verdict!r}, which must be one of {', '.join(_VERDICTS)}")
    return found


def told(lines: Sequence[Verified], folds: Iterable[FoldRecord]) -> Mapping[tuple[str, str, str], str]:
    """Give (dataset, digest, loss) to what its row says, such as `3 of 24`; of one training the last line counts."""
    verdicts = {line.key: line.verdict for line in lines}
    counts: dict[tuple[str, str, str], list[int]] = {}
    for record in folds:
        if not can_be_verified(record):
            continue
        count = counts.setdefault((record.dataset, record.digest, record.loss), [0, 0, 0])
        count[0] += 1
        count[1] += verdicts.get(record.key) in ("identical", "within tolerance")
        count[2] += verdicts.get(record.key) == "moved"
    return {
        place: f"{good} of {all_of} folds" + f", {moved} moved" * bool(moved)
        for place, (all_of, good, moved) in counts.items()
    }


def with_verified(found: Iterable[Board], lines: Sequence[Verified], records: Records) -> list[Board]:
    """Give boards that tell what of them was trained again; one of which nothing was says nothing of it."""
    rows = told(lines, records.folds.values())
    done = {(one.dataset, one.digest) for line in lines if (one := records.folds.get(line.key))}
    shown = []
    for board in found:
        names = {run.dataset for run in board.runs}
        mine = {loss: text for (name, digest, loss), text in rows.items() if name in names and digest == board.digest}
        verified = mine if any((name, board.digest) in done for name in names) else {}
        shown.append(replace(board, verified=verified))
    return shown
