"""A newcomer's losses ranked with stored ones that are not trained again: only where all that must agree agrees."""

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mlrc.results.boards.leaderboard import Board, boards
from mlrc.results.publishing.place import EVIDENCE
from mlrc.results.records.evidence import PerClass
from mlrc.results.records.ledger import LEDGER, Records, read, require
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.records.per_class import PerClassFiles
from mlrc.results.records.record import BASELINES, UNTRAINED, Environment, FoldRecord, RunRecord

_FIRST = ("trunk", "weights")
"""Fields of a protocol that are named before others where two differ in them."""
_NO_RULES = frozenset({"name", "searches"})
"""Fields in which protocols of one digest may differ."""
_VISIBLE = 0.01
"""Percent points in which the untrained trunk may differ between two machines without a word."""


Completed = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Results that were made before, of published evidence or of a runs folder.

    Attributes:
        name: by which they were asked for.
        per_class: run key to its per-class sums.
    """

    name: str
    records: Records
    per_class: Mapping[str, PerClass]


class Subject(NamedTuple):
    """What rows stand on, all of which must agree between those of one table.

    Attributes:
        digest: of the protocol with these `fields`, which are empty where they are not known.
        split: cut, number of test classes, of test images, of those that ask, of cameras; the latter two `None` where
            all images ask, or where no camera is told.
    """

    dataset: str
    fingerprint: str
    digest: str
    fields: Mapping[str, Any]
    split: tuple[str, int, int, int | None, int | None]

    @classmethod
    def of(cls, run: RunRecord, records: Records) -> "Subject":
        """Give what a repeat stands on."""
        protocol = records.protocols.get(run.digest)
        split = (run.cut, run.test_classes, run.test_images, run.queries, run.cameras)
        return cls(run.dataset, run.fingerprint, run.digest, protocol.fields if protocol else {}, split)


def open_stored(place: str, published: Path, completed: Completed = dict) -> Stored:
    """Read stored results.

    Args:
        place: a runs folder, or the name of published evidence.
        published: folder of the published leaderboard.
        completed: gives all fields of a protocol from those that were there when it was recorded.

    Raises:
        FileNotFoundError: there is no such thing.
        ValueError: its ledger is broken, or holds no finished repeat.
    """
    for path in (Path(place), published / EVIDENCE / place):
        if (path / LEDGER).is_file():
            records = read(path / LEDGER)
            if not records.runs:
                raise ValueError(f"--against takes results with a finished repeat, but {place} has none.")
            try:
                whole = {of: replace(one, fields=completed(one.fields)) for of, one in records.protocols.items()}
            except ValueError as error:
                raise ValueError(
                    f"--against takes results whose rules this version knows, but in {place} {error}; update mlrc, or "
                    "leave it out."
                ) from None
            records.protocols.update(whole)
            return Stored(name=place, records=records, per_class=PerClassFiles(path))
    there = sorted(path.parent.name for path in (published / EVIDENCE).glob(f"*/{LEDGER}"))
    raise FileNotFoundError(
        f"--against takes a runs folder or published evidence, but there is no {place!r}; published are "
        f"{', '.join(there) or 'none'}."
    )


def require_comparable(mine: Subject, stored: Stored) -> None:
    """Raise `ValueError` unless stored rows stand on the same images, split and rules; names what differs."""
    theirs = dict.fromkeys(
        (run.dataset, run.fingerprint, run.digest)
        for run in stored.records.runs.values()
        if run.dataset == mine.dataset
    )
    if not theirs:
        known = ", ".join(sorted({run.dataset for run in stored.records.runs.values()}))
        raise _refusal(stored, f"it has no rows on {mine.dataset}, but on {known}")
    prints = {fingerprint for _, fingerprint, _ in theirs}
    if mine.fingerprint not in prints:
        raise _refusal(
            stored, f"the images differ: fingerprint {mine.fingerprint} here, {' and '.join(sorted(prints))} there"
        )
    if mine[:3] not in theirs:
        digests = sorted({digest for _, fingerprint, digest in theirs if fingerprint == mine.fingerprint})
        raise _refusal(stored, _rules_apart(mine, digests, stored.records))
    for run in stored.records.runs.values():
        other = Subject.of(run, stored.records)
        if other[:3] == mine[:3] and other.split != mine.split:
            raise _refusal(stored, f"the split differs: {_told(mine.split)} here, {_told(other.split)} there")


def joined(mine: Records, stored: Stored) -> Records:
    """Give the records of a run with those of the stored losses beside them; a loss in both has its stored ones.

    Raises:
        ValueError: a repeat cannot be ranked with the stored rows.
    """
    for run in mine.runs.values():
        require_comparable(Subject.of(run, mine), stored)
    groups = {_group(run) for run in mine.runs.values()}
    known = {(_group(run), run.loss) for run in stored.records.runs.values() if _group(run) in groups}
    old, new = stored.records, mine
    together = Records()
    for protocol in (*old.protocols.values(), *new.protocols.values()):
        together.add(protocol)  # of one digest the number of searches may differ
    return replace(
        mine,
        protocols=together.protocols,
        folds={
            **{key: one for key, one in old.folds.items() if (_group(one), one.loss) in known},
            **{key: one for key, one in new.folds.items() if (_group(one), one.loss) not in known},
        },
        runs={
            **{key: one for key, one in old.runs.items() if (_group(one), one.loss) in known},
            **{key: one for key, one in new.runs.items() if (_group(one), one.loss) not in known},
        },
        unchecked={**old.unchecked, **new.unchecked},
    )


def boards_against(runs: Path, stored: Stored) -> tuple[Records, list[Board]]:
    """Give the records and boards of a runs folder with the stored losses among the rows, none of them trained again.

    Notes say which rows are stored, and in which versions they differ from the newcomers'.

    Raises:
        FileNotFoundError: there is no ledger in `runs`.
        ValueError: it holds no finished repeat, a board of it cannot be ranked with the stored rows, or numbers
            contradict each other.
    """
    mine = read(require(runs))
    if not mine.runs:
        raise ValueError(f"No repeat in {runs} is finished, so there is nothing to report; go on with mlrc run.")
    both = joined(mine, stored)
    sums: Mapping[str, PerClass] = ChainMap(stored.per_class, PerClassFiles(runs))  # type: ignore[arg-type] # read only
    found = boards(both, sums)
    return both, [replace(board, notes=(*_notes(board, mine, stored), *board.notes)) for board in found]


def _notes(board: Board, mine: Records, stored: Stored) -> Iterable[str]:
    """Say which rows of a board are stored, and what a reader must know of the two kinds side by side."""
    of_board = [run for run in board.runs if run.key in stored.records.runs]
    old = {run.loss for run in of_board}
    new = sorted({run.loss for run in board.runs} - old)
    again = {run.loss for run in mine.runs.values() if _group(run) in map(_group, of_board)} & old - {*BASELINES}
    yield (
        f"Rows of {stored.name}, not trained again: {', '.join(sorted(old))}. Rows of this run: "
        f"{', '.join(new) or 'none'}."
    )
    if again:
        yield f"{', '.join(sorted(again))}: in both, so the row is that of {stored.name}; mlrc drift compares the two."
    here = [run.environment for run in board.runs if run.loss in new]
    if apart := _versions_apart(here, [run.environment for run in of_board]):
        yield f"The rows were made in other versions: {'; '.join(apart)}."
    yield from _of_untrained(of_board, mine, stored)


def _versions_apart(here: Sequence[Environment], there: Sequence[Environment]) -> list[str]:
    """Name what two groups of repeats were made with, as far as it differs."""
    if not here or not there:
        return []
    names = sorted({name for one in (*here, *there) for name in one.versions})
    told = [("device", *({one.device for one in side} for side in (here, there)))]
    told += [(name, *({one.versions.get(name, "none") for one in side} for side in (here, there))) for name in names]
    told.append(("commit", *({one.commit for one in side} for side in (here, there))))
    return [
        f"{name} {' and '.join(sorted(new))} in this run, {' and '.join(sorted(old))} stored"
        for name, new, old in told
        if new != old
    ]


def _of_untrained(of_board: Sequence[RunRecord], mine: Records, stored: Stored) -> Iterable[str]:
    """Compare the untrained trunk, whose repeats have the same seeds in both: a check on images, trunk and machine."""
    theirs = {run.number: run for run in of_board if run.loss == UNTRAINED}
    for run in mine.runs.values():
        other = theirs.get(run.number) if run.loss == UNTRAINED else None
        if other is None or _group(other) != _group(run) or RANKED_BY not in run.separated:
            continue
        new, old = run.separated[RANKED_BY], other.separated.get(RANKED_BY, run.separated[RANKED_BY])
        if abs(new - old) > _VISIBLE:
            yield (
                f"The untrained trunk of the same seed has a separated {RANKED_BY} of {new:.2f} here and of {old:.2f} "
                f"in {stored.name}; nothing but the machine and the versions can make it so."
            )
            return


def _group(record: FoldRecord | RunRecord) -> tuple[str, str, str]:
    return record.dataset, record.fingerprint, record.digest


def _rules_apart(mine: Subject, digests: Sequence[str], records: Records) -> str:
    for digest in digests:
        theirs = records.protocols.get(digest)
        if theirs is None or not mine.fields:
            continue
        every = {*mine.fields, *theirs.fields} - _NO_RULES
        apart = [name for name in every if mine.fields.get(name) != theirs.fields.get(name)]
        apart.sort(key=lambda name: (name not in _FIRST, name))
        if apart:
            here, there = (fields.get(apart[0], "not told") for fields in (mine.fields, theirs.fields))
            more = f"; they differ in {', '.join(apart[1:])}, too" if apart[1:] else ""
            return f"the {apart[0]} differs: {here or 'none'} here, {there or 'none'} there{more}"
    return f"the protocols differ: digest {mine.digest} here, {' and '.join(digests)} there"


def _told(split: tuple[object, ...]) -> str:
    cut, classes, images, queries, cameras = split
    more = "".join(f", {n} {what}" for n, what in ((queries, "queries"), (cameras, "cameras")) if n is not None)
    return f"{cut}, {classes} test classes, {images} images{more}"


def _refusal(stored: Stored, why: str) -> ValueError:
    return ValueError(
        f"Rows of one table must stand on the same images, split and rules, but those of {stored.name} do not: {why}. "
        "Run under its rules, or leave out --against."
    )
