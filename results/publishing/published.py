"""The published leaderboard: evidence in a folder, and everything that is rendered from it, byte for byte.

evidence/<name>/     a runs folder: ledger.jsonl and per_class/, without machine names
verified.csv         beside a ledger: trainings that someone did again (mlrc.results.publishing.verification)
papers.csv           the numbers of papers, with their sources; may be missing
splits.csv           the splits that rows may stand on
references/          what drift is measured against, and why each was accepted (mlrc.results.publishing.references)
rendered/            made from the above by `mlrc leaderboard`; nothing in it is written by hand
"""

import json
import re
import shutil
from collections import ChainMap, Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from mlrc.results.boards.leaderboard import boards
from mlrc.results.boards.papers import read_papers, references
from mlrc.results.boards.parameters import Ranges
from mlrc.results.publishing.audit import RESTORE, DigestOf, audit, read_splits
from mlrc.results.publishing.audit_boards import across
from mlrc.results.publishing.audit_trainings import ScheduleOf
from mlrc.results.publishing.place import EVIDENCE, RENDERED, came_with_a_wheel
from mlrc.results.publishing.verification import faults, read_verified, with_verified
from mlrc.results.records.evidence import PerClass, gather
from mlrc.results.records.ledger import LEDGER, Records, read, require
from mlrc.results.records.lines import to_line
from mlrc.results.records.per_class import PER_CLASS, PerClassFiles
from mlrc.results.records.record import BASELINES, FoldRecord, ProtocolRecord, RunRecord, UncheckedRecord
from mlrc.results.rendering.papers_page import papers_markdown
from mlrc.results.rendering.plots import Importances
from mlrc.results.rendering.report import rendered_report
from mlrc.results.rendering.titles import Titles

DRAWN_WITH = "drawn_with.txt"
"""Names the versions whose pictures these are: others draw other bytes from the same numbers."""
_DRAWN = ("report.html", "plots/")
_ONCE = ("protocol", "fold", "run")
"""Kinds of lines of which a published ledger has one of a key."""

R = TypeVar("R", FoldRecord, RunRecord)
FindImportances = Callable[[Records], Mapping[tuple[str, str], Importances]]
FindRanges = Callable[[Iterable[str]], Ranges]
"""From names of losses to the ranges of their searches, the same wherever this version is installed."""


FindTitles = Callable[[Iterable[str]], Titles]
"""From names of losses to their titles, likewise."""


def no_titles(_losses: Iterable[str]) -> Titles:
    """Know of no title."""
    return {}


def no_ranges(_losses: Iterable[str]) -> Ranges:
    """Know of no range."""
    return {}


def rendered(
    folder: Path,
    find_importances: FindImportances,
    find_ranges: FindRanges = no_ranges,
    find_titles: FindTitles = no_titles,
) -> dict[str, bytes]:
    """Give path below `rendered/` to content of all that the evidence gives.

    Args:
        folder: of the published leaderboard.
        find_importances: from records to (dataset, digest) to what the searches found to matter.
        find_ranges: what the searches chose from.
        find_titles: what readers call the losses.

    Raises:
        OSError: the folder or one of its files is not there.
        ValueError: a file is broken, or the numbers of a repeat contradict each other.
    """
    papers = folder / "papers.csv"
    printed = read_papers(_text(papers)) if papers.is_file() else []
    records, per_class = evidence(folder)
    lines = [line for one in folders(folder) for line in read_verified(one)]
    files = rendered_report(
        with_verified(boards(records, per_class), lines, records),
        find_importances(records),
        references=references(printed),
        ranges=find_ranges({run.loss for run in records.runs.values()}),
        titles=find_titles({run.loss for run in records.runs.values()}),
    )
    kept = {name: content for name, content in files.items() if not name.endswith(".png")}
    drawn_with = "".join(f"{package} {version(package)}\n" for package in ("matplotlib", "optuna"))
    beside = {"papers.md": papers_markdown(printed).encode()} if printed else {}
    return {**kept, **beside, DRAWN_WITH: drawn_with.encode()}


def regenerate(
    folder: Path,
    find_importances: FindImportances,
    find_ranges: FindRanges = no_ranges,
    find_titles: FindTitles = no_titles,
) -> list[Path]:
    """Write everything below `rendered/` anew and give the paths."""
    files = rendered(folder, find_importances, find_ranges, find_titles)
    shutil.rmtree(folder / RENDERED, ignore_errors=True)
    for name, content in files.items():
        path = folder / RENDERED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [folder / RENDERED / name for name in files]


def check(
    folder: Path,
    find_importances: FindImportances,
    digest_of: DigestOf,
    schedule_of: ScheduleOf | None = None,
    find_ranges: FindRanges = no_ranges,
    *,
    find_titles: FindTitles = no_titles,
) -> list[str]:
    """Say in sentences what is wrong with the published leaderboard; nothing when all holds.

    Pictures are compared where the versions that drew them are those at hand; a wheel has evidence alone.
    """
    known = read_splits(_text(folder / "splits.csv"))
    found = []
    for one in folders(folder):
        records = read(one / LEDGER)
        sentences = [
            *_of_lines(one / LEDGER, records),
            *audit(records, PerClassFiles(one), known, digest_of, schedule_of),
        ]
        sentences += faults(read_verified(one), records)
        found += [f"evidence {one.name}: {sentence}" for sentence in sentences]
    if not found:
        found += _together(folder)
    if found or came_with_a_wheel(folder):
        return found
    fresh = rendered(folder, find_importances, find_ranges, find_titles)
    there = {
        path.relative_to(folder / RENDERED).as_posix(): path.read_bytes()
        for path in (folder / RENDERED).rglob("*")
        if path.is_file()
    }
    same_versions = there.get(DRAWN_WITH) == fresh[DRAWN_WITH]
    for name in sorted({*fresh, *there}):
        drawn = name.startswith(_DRAWN) or name == DRAWN_WITH
        if name not in there or name not in fresh:
            found.append(f"rendered/{name} {'is missing' if name in fresh else 'comes from no evidence'}")
        elif there[name] != fresh[name] and (same_versions or not drawn):
            found.append(
                f"rendered/{name} is not what the evidence gives; where evidence came in on purpose, run mlrc "
                "leaderboard, otherwise restore what was changed from the history of the repository"
            )
    return found


def _of_lines(path: Path, records: Records) -> list[str]:
    """Say what is wrong with the file of a published ledger, beside what its records say."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[: -1 if records.torn else None]]
    names = Counter((line["kind"], line.get("key") or line.get("digest")) for line in lines if line["kind"] in _ONCE)
    found = [
        f"its ledger has {number} lines of {kind} {name}, of which the last hides the others; {RESTORE}"
        for (kind, name), number in names.items()
        if number > 1
    ]
    hosts = {record.key: record.environment.host for record in records.folds.values()}
    hosts |= {run.key: run.environment.host for run in records.runs.values()}
    found += [
        f"record {key} names the machine {host}, which is nobody's business" for key, host in hosts.items() if host
    ]
    found += [
        f"the record of repeat {run.key} must tell the SHA-256 of its per-class sums; {RESTORE}"
        for run in records.runs.values()
        if not run.per_class_sha256
    ]
    return found


def _together(folder: Path) -> list[str]:
    """Say what is wrong between folders of evidence, each of which holds alone."""
    records, per_class = evidence(folder)
    keys = Counter(key for one in folders(folder) for key in read(one / LEDGER).runs)
    twice = [
        f"repeat {key} is evidence in two folders; take one of them out" for key, n in sorted(keys.items()) if n > 1
    ]
    return twice or across(records.runs.values(), per_class)


def counting(records: Records) -> Records:
    """Give records without the repeats of a search that another one replaced; order then tells nothing any more."""
    keys = {run.key for one in gather(records) for run in one.runs}
    runs = {key: run for key, run in records.runs.items() if key in keys}
    return replace(records, runs=runs)


def add(folder: Path, runs: Path, name: str, digest_of: DigestOf, schedule_of: ScheduleOf | None = None) -> Path:
    """Take a finished run into the evidence, after all checks; gives its folder there.

    Of records that are published already (the untrained trunk's) the published ones stay.

    Raises:
        FileNotFoundError: there is no ledger in `runs`.
        FileExistsError: evidence of that name is there.
        ValueError: a check fails, or a loss of the run is published under the same protocol already.
    """
    target = folder / EVIDENCE / name
    ledger = require(runs)
    check_name(name)
    if target.exists():
        raise FileExistsError(f"Evidence named {name!r} is published already; give another name with --name.")
    records = read(ledger)
    per_class = PerClassFiles(runs)
    if sentences := audit(records, per_class, read_splits(_text(folder / "splits.csv")), digest_of, schedule_of):
        more = f" ({len(sentences) - 1} more faults)" if len(sentences) > 1 else ""
        raise ValueError(f"The run in {runs} cannot be published: {sentences[0]}{more}.")
    there, sums = evidence(folder)
    published = {(one.dataset, one.digest, one.loss): one for one in gather(there)}
    new = _without_published(counting(records), there)
    for one in gather(new):
        if (one.dataset, one.digest, one.loss) in published:
            raise ValueError(
                f"{one.loss} on {one.dataset} under {one.protocol} is published already; remove its evidence first, "
                "or publish the other losses from a runs folder of their own."
            )
    if not new.runs:
        raise ValueError(f"Every repeat in {runs} is published already.")
    if sentences := across([*there.runs.values(), *new.runs.values()], ChainMap(sums, per_class)):  # type: ignore[arg-type]
        raise ValueError(f"The run in {runs} cannot stand beside what is published: {sentences[0]}.")
    _write_compact(target, new, per_class)
    return target


def check_name(name: str) -> None:
    """Refuse what cannot name a folder of evidence or of a reference; raises `ValueError`."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise ValueError(f"A name must be made of letters, digits, '.', '_' and '-', but got {name!r}.")


def evidence(folder: Path) -> tuple[Records, Mapping[str, PerClass]]:
    """Give all published records as one ledger, and all per-class sums."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no published leaderboard in {folder}; give its folder with --published.")
    together, per_class = Records(), []
    for one in folders(folder):
        records = read(one / LEDGER)
        for protocol in records.protocols.values():
            together.add(protocol)
        together.folds.update(records.folds)
        together.runs.update(records.runs)
        together.unchecked.update(records.unchecked)
        per_class.append(PerClassFiles(one))
    return together, ChainMap(*per_class)  # type: ignore[arg-type] # read only


def folders(folder: Path) -> list[Path]:
    """Give the folders of evidence of a published leaderboard, by name."""
    return sorted(path.parent for path in (folder / EVIDENCE).glob(f"[!.]*/{LEDGER}"))


def open_evidence(folder: Path, name: str = "") -> list[tuple[Path, Records]]:
    """Give folders of evidence with their records: that of a name, or all.

    Raises:
        FileNotFoundError: there is none.
    """
    found = [one for one in folders(folder) if name in ("", one.name)]
    if not found:
        there = ", ".join(one.name for one in folders(folder)) or "none"
        raise FileNotFoundError(f"There is no evidence {name!r} in {folder}; there is {there}.".replace(" ''", ""))
    return [(one, read(one / LEDGER)) for one in found]


def _without_published(records: Records, there: Records) -> Records:
    new = Records(protocols=dict(records.protocols), unchecked=dict(records.unchecked))
    new.runs.update({key: run for key, run in records.runs.items() if key not in there.runs})
    new.folds.update({key: fold for key, fold in records.folds.items() if key not in there.folds})
    return new


def _write_compact(target: Path, records: Records, per_class: PerClassFiles) -> None:
    """Write a runs folder in a fixed order, without the names of machines."""
    every: list[ProtocolRecord | UncheckedRecord | FoldRecord | RunRecord] = [
        *(records.protocols[digest] for digest in sorted(records.protocols)),
        *(records.unchecked[identity] for identity in sorted(records.unchecked)),
        *(_unnamed(fold) for fold in sorted(records.folds.values(), key=_place)),
        *(
            replace(_unnamed(run), per_class_sha256=per_class.sha256(run.key))
            for run in sorted(records.runs.values(), key=_place)
        ),
    ]
    unfinished = target.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / PER_CLASS).mkdir(parents=True)
    (unfinished / LEDGER).write_text("".join(to_line(record) + "\n" for record in every), encoding="utf-8")
    for key in sorted(records.runs):
        shutil.copyfile(per_class.path(key), unfinished / PER_CLASS / f"{key}.npz")
    unfinished.rename(target)


def _unnamed(record: R) -> R:
    return replace(record, environment=replace(record.environment, host=""))


def _place(record: FoldRecord | RunRecord) -> tuple[object, ...]:
    stage, fold = (record.stage, record.fold) if isinstance(record, FoldRecord) else ("", 0)
    searched = (record.loss not in BASELINES, record.loss, record.search)
    return record.dataset, record.digest, *searched, stage, record.number, fold


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {path}; give the folder of the published leaderboard with --published, or begin one with "
            "mlrc leaderboard split."
        )
    return path.read_text(encoding="utf-8")
