"""What published evidence must hold: a leaderboard takes in nothing that these checks find a fault in."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

from mlrc.results.publishing.audit_boards import across
from mlrc.results.publishing.audit_trainings import ScheduleOf, of_environment, of_training, place
from mlrc.results.records.evidence import Evidence, PerClass, gather
from mlrc.results.records.identity import key_of_repeat
from mlrc.results.records.invariants import broken
from mlrc.results.records.ledger import Records
from mlrc.results.records.per_class import PerClassFiles
from mlrc.results.records.record import BASELINES, FoldRecord, ProtocolRecord, RunRecord

DigestOf = Callable[[Mapping[str, Any]], str]
RESTORE = "if nobody meant to change it, restore it from the history of the repository"
"""What to do about published evidence that does not hold: never to make the rest of the folder agree with it."""


@dataclass(frozen=True, order=True)
class KnownSplit:
    """A cut of a dataset into trainval and test classes that published rows may stand on.

    Attributes:
        fingerprint: of the dataset's images.
        cut: `half` or `official`.
    """

    dataset: str
    fingerprint: str
    cut: str
    test_classes: int
    test_images: int


def read_splits(text: str) -> set[KnownSplit]:
    """Read `splits.csv`."""
    return {
        KnownSplit(row["dataset"], row["fingerprint"], row["cut"], int(row["test_classes"]), int(row["test_images"]))
        for row in csv.DictReader(StringIO(text))
    }


def enter_split(path: Path, line: KnownSplit) -> bool:
    """Add a line to `splits.csv`, which is begun where there is none; `False` if it is there already."""
    there = read_splits(path.read_text(encoding="utf-8")) if path.is_file() else set()
    if line in there:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    if not path.is_file():
        rows.writerow([one.name for one in fields(KnownSplit)])
    rows.writerow(astuple(line))
    with path.open("a", encoding="utf-8") as file:
        file.write(text.getvalue())
    return True


def audit(
    records: Records,
    per_class: Mapping[str, PerClass],
    known: set[KnownSplit],
    digest_of: DigestOf,
    schedule_of: ScheduleOf | None = None,
) -> list[str]:
    """Say in sentences what is wrong with evidence; nothing when all holds.

    Args:
        records: of one ledger.
        per_class: run key to per-class sums; of files, their SHA-256 are compared with those in the records.
        known: the splits that rows may stand on.
        digest_of: gives the digest of a protocol's fields.
        schedule_of: gives the schedule that a stage 1 found; without it the keys of a stage 2 are not computed.
    """
    found = ["the last line of its ledger is half written"] * records.torn
    sums, unreadable = _readable(per_class)
    for evidence in gather(records):
        name = f"{evidence.loss} on {evidence.dataset} under {evidence.protocol} ({evidence.digest})"
        protocol = records.protocols.get(evidence.digest)
        if protocol is None:
            found.append(f"{name}: the record of its protocol is missing")
            continue
        found += [f"{name}: {sentence}" for sentence in _of_loss(evidence, protocol, records.folds, sums, known)]
        found += [
            f"{name}: {place(record)}: {sentence}"
            for record in evidence.folds
            for sentence in of_training(record, protocol, records.folds, schedule_of)
        ]
    found += _of_protocols(records, digest_of)
    found += across((run for evidence in gather(records) for run in evidence.runs), sums)
    if isinstance(per_class, PerClassFiles):
        found += _of_files(records, per_class)
    stray = set(per_class) - set(records.runs)
    return found + unreadable + [f"per-class sums {key} belong to no run" for key in sorted(stray)]


def _readable(per_class: Mapping[str, PerClass]) -> tuple[dict[str, PerClass], list[str]]:
    sums: dict[str, PerClass] = {}
    faults = []
    for key in per_class:
        try:
            sums[key] = per_class[key]
        except ValueError as error:
            faults.append(f"{str(error).split(';')[0]}; restore it")
    return sums, faults


def _of_protocols(records: Records, digest_of: DigestOf) -> Iterator[str]:
    for protocol in records.protocols.values():
        digest = digest_of(protocol.fields)
        if digest != protocol.digest:
            yield f"protocol {protocol.name}: its fields have the digest {digest}, not {protocol.digest}"
        if protocol.fields.get("name") != protocol.name:
            yield f"protocol {protocol.name}: its fields call it {protocol.fields.get('name')}"
        for field, (_, value) in protocol.changes.items():
            if protocol.fields.get(field) != value:
                yield f"protocol {protocol.name}: it says that {field} is changed to {value}, but its fields do not"
        if told := sorted(set(re.findall(r"\+(\w+)=", protocol.name)) ^ set(protocol.changes)):
            yield f"protocol {protocol.name}: its name and its changes do not agree on {told[0]}"


def _of_files(records: Records, files: PerClassFiles) -> Iterator[str]:
    for key, run in sorted(records.runs.items()):
        if not run.per_class_sha256 or key not in files:
            continue
        found = files.sha256(key)
        if found != run.per_class_sha256:
            yield (
                f"the file of per-class sums {key} must have the SHA-256 that its record tells, "
                f"{run.per_class_sha256[:12]}…, but has {found[:12]}…; {RESTORE}"
            )


def _of_loss(
    evidence: Evidence,
    protocol: ProtocolRecord,
    folds: Mapping[str, FoldRecord],
    per_class: Mapping[str, PerClass],
    known: set[KnownSplit],
) -> Iterator[str]:
    rules = protocol.fields
    commits = {record.environment.commit for record in evidence.folds} | {
        run.environment.commit for run in evidence.runs
    }
    if dirty := sorted(commit for commit in commits if commit.endswith("-dirty")):
        yield f"made from a working tree with changes that are not committed ({', '.join(dirty)})"
    done = {(run.search, run.number) for run in evidence.runs}
    params = {run.search: run.params for run in evidence.runs}
    diverged = {
        (record.search, record.number)
        for record in evidence.final
        if record.outcome == "diverged" and params.get(record.search, record.params) == record.params
    }
    searches, repeats = protocol.planned_searches(evidence.loss), protocol.planned_repeats(evidence.loss)
    planned = set(product(range(searches), range(repeats)))
    if done | diverged != planned or not done:
        yield f"{len(planned)} repeats are planned, but {len(done)} are scored and {len(diverged - done)} diverged"
    if failed := sum(record.outcome == "failed" for record in evidence.folds):
        yield f"{failed} trainings failed, which tells of a machine and not of the loss; do them again (mlrc retry)"
    if evidence.search:
        for one in evidence.by_search:
            of_one = f"search {one.search[0].search}: " if searches > 1 and one.search else ""
            yield from (of_one + sentence for sentence in _of_search(one, rules["trials"], rules["folds"]))
    elif rules["trials"] and evidence.loss not in BASELINES and any(run.params for run in evidence.runs):
        yield f"the protocol asks for a search of {rules['trials']} trials, but there is none"
    for record in evidence.folds:
        if evidence.runs and record.cut != evidence.runs[0].cut:
            yield f"{place(record)}: its cut is {record.cut}, but that of the repeats is {evidence.runs[0].cut}"
    for run in evidence.runs:
        sums = per_class.get(run.key)
        sentences = [*_of_run(run, protocol, folds), *broken(run, sums), *_of_counts(run, sums)]
        if sums is None:
            sentences.append("its per-class sums are missing")
        if not sentences:
            sentences += _of_split(run, known)
        of_one = f"search {run.search}, " if searches > 1 else ""
        yield from (f"{of_one}repeat {run.number}: {sentence}" for sentence in sentences)


def _of_search(evidence: Evidence, trials: int, folds: int) -> Iterator[str]:
    scores = evidence.trial_scores
    for number in scores:
        of_trial = sorted(record.fold for record in evidence.search if record.number == number)
        if of_trial != list(range(folds)) and number not in evidence.stopped:
            yield f"trial {number} has the folds {of_trial}, not all {folds}"
        of_params = [record.params for record in evidence.search if record.number == number]
        if any(params != of_params[0] for params in of_params):
            yield f"the folds of trial {number} must have the same parameters, but have others"
    if sorted(scores) != list(range(trials)):
        yield f"every search has {trials} trials, but this one has {len(scores)}"
    elif evidence.runs:
        best = max(scores, key=scores.__getitem__)
        params = next(record.params for record in evidence.search if record.number == best)
        if params != evidence.runs[0].params:
            yield f"the repeats must have the parameters of the best trial, {best}, but have others"


def _of_run(run: RunRecord, protocol: ProtocolRecord, folds: Mapping[str, FoldRecord]) -> Iterator[str]:
    number, size = protocol.fields["folds"], protocol.fields["embedding_size"]
    if len(run.fold_keys) != number:
        yield f"a concatenation of {number} × {size} dimensions needs {number} folds, but it has {len(run.fold_keys)}"
    if run.loss not in BASELINES and run.embedding_size != size:
        yield f"the embedding must have {size} dimensions, but has {run.embedding_size}"
    mine = [folds[key] for key in run.fold_keys if key in folds]
    if len(mine) < len(run.fold_keys):
        yield f"{len(run.fold_keys) - len(mine)} of its fold records are missing"
    for fold, record in enumerate(mine):
        theirs, ours = ((one.params, one.search, one.number, one.identity) for one in (record, run))
        if len(mine) == len(run.fold_keys) and (theirs != ours or record.fold != fold or record.outcome != "done"):
            yield f"the record of fold {fold} is of another job, or not done"
    if run.key != key_of_repeat(run.fold_keys):
        yield f"its folds give the key {key_of_repeat(run.fold_keys)}, but it has {run.key}"
    if run.protocol != protocol.name:
        yield f"its protocol must have the name {protocol.name}, but is called {run.protocol}"
    yield from of_environment(run)


def _of_counts(run: RunRecord, sums: PerClass | None) -> Iterator[str]:
    if sums is None or "counts" not in sums:
        return
    asking, counted = run.test_images if run.queries is None else run.queries, int(sums["counts"].sum())
    if counted != asking - run.left_out:
        yield (f"its counts must add up to {asking} queries less {run.left_out} that are left out, but give {counted}")


def _of_split(run: RunRecord, known: set[KnownSplit]) -> Iterator[str]:
    mine = KnownSplit(run.dataset, run.fingerprint, run.cut, run.test_classes, run.test_images)
    if mine not in known:
        yield (
            f"its split {','.join(map(str, astuple(mine)))} is not among the known ones in splits.csv; a new one is "
            "entered from the images themselves, never from a run (mlrc leaderboard split)"
        )
