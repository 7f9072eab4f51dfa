"""What published evidence must hold: a leaderboard takes in nothing that these checks find a fault in."""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass
from io import StringIO
from itertools import product
from typing import Any

from mlrc.results.records.evidence import Evidence, PerClass, gather
from mlrc.results.records.invariants import broken
from mlrc.results.records.ledger import Records
from mlrc.results.records.record import UNTRAINED, FoldRecord, ProtocolRecord, RunRecord

DigestOf = Callable[[Mapping[str, Any]], str]


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


def audit(
    records: Records, per_class: Mapping[str, PerClass], known: set[KnownSplit], digest_of: DigestOf
) -> list[str]:
    """Say in sentences what is wrong with evidence; nothing when all holds.

    Args:
        records: of one ledger.
        per_class: run key to per-class sums.
        known: the splits that rows may stand on.
        digest_of: gives the digest of a protocol's fields.
    """
    found = ["the last line of its ledger is half written"] * records.torn
    for evidence in gather(records):
        name = f"{evidence.loss} on {evidence.dataset} under {evidence.protocol} ({evidence.digest})"
        protocol = records.protocols.get(evidence.digest)
        if protocol is None:
            found.append(f"{name}: the record of its protocol is missing")
            continue
        found += [f"{name}: {sentence}" for sentence in _of_loss(evidence, protocol, records.folds, per_class, known)]
    for protocol in records.protocols.values():
        digest = digest_of(protocol.fields)
        if digest != protocol.digest:
            found.append(f"protocol {protocol.name}: its fields have the digest {digest}, not {protocol.digest}")
    stray = set(per_class) - set(records.runs)
    return found + [f"per-class sums {key} belong to no run" for key in sorted(stray)]


def _of_loss(
    evidence: Evidence,
    protocol: ProtocolRecord,
    folds: Mapping[str, FoldRecord],
    per_class: Mapping[str, PerClass],
    known: set[KnownSplit],
) -> Iterator[str]:
    fields = protocol.fields
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
            yield from (of_one + sentence for sentence in _of_search(one, fields["trials"], fields["folds"]))
    elif fields["trials"] and evidence.loss != UNTRAINED and any(run.params for run in evidence.runs):
        yield f"the protocol asks for a search of {fields['trials']} trials, but there is none"
    for run in evidence.runs:
        sums = per_class.get(run.key)
        sentences = [*_of_run(run, protocol, folds), *_of_split(run, known), *broken(run, sums)]
        if sums is None:
            sentences.append("its per-class sums are missing")
        of_one = f"search {run.search}, " if searches > 1 else ""
        yield from (f"{of_one}repeat {run.number}: {sentence}" for sentence in sentences)


def _of_search(evidence: Evidence, trials: int, folds: int) -> Iterator[str]:
    scores = evidence.trial_scores
    for number in scores:
        of_trial = sorted(record.fold for record in evidence.search if record.number == number)
        if of_trial != list(range(folds)) and number not in evidence.stopped:
            yield f"trial {number} has the folds {of_trial}, not all {folds}"
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
    if run.loss != UNTRAINED and run.embedding_size != size:
        yield f"the embedding must have {size} dimensions, but has {run.embedding_size}"
    mine = [folds[key] for key in run.fold_keys if key in folds]
    if len(mine) < len(run.fold_keys):
        yield f"{len(run.fold_keys) - len(mine)} of its fold records are missing"
    for place, record in enumerate(mine):
        same = (record.params, record.search, record.number, record.digest, record.fingerprint) == (
            run.params,
            run.search,
            run.number,
            run.digest,
            run.fingerprint,
        )
        if len(mine) == len(run.fold_keys) and (not same or record.fold != place or record.outcome != "done"):
            yield f"the record of fold {place} is of another job, or not done"
        scores = [score for epoch, score in record.history if epoch > 0]
        if scores and record.best_score != max(scores):
            yield f"the best validation score of fold {place} must be {max(scores)}, but is {record.best_score}"


def _of_split(run: RunRecord, known: set[KnownSplit]) -> Iterator[str]:
    mine = KnownSplit(run.dataset, run.fingerprint, run.cut, run.test_classes, run.test_images)
    if mine not in known:
        yield (
            f"its split {','.join(map(str, astuple(mine)))} is not among the known ones; if it is right, add that "
            "line to splits.csv"
        )
