"""Where a run stands, for a person at another terminal: read from the ledger and from what its driver writes."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from mlrc.results.records.ledger import LEDGER, NoLocksError, Records, read, writer
from mlrc.results.records.record import FoldRecord, Identity, Params, RetryRecord, RunRecord

STATUS = "status.json"
"""Written by the driver, see `mlrc.harness.watch.run_log`."""


class StudyStatus(NamedTuple):
    """Trainings of a loss on a dataset under a protocol.

    Attributes:
        label: dataset, loss, and what tells it from the run's other studies of that loss.
    """

    label: str
    dataset: str
    loss: str
    digest: str
    done: int
    diverged: int
    failed: int
    at_work: int
    left: int


class Status(NamedTuple):
    """Where a run stands.

    Attributes:
        writer: the driver's process and host; `None` if none is at work, or `locks` cannot tell.
        studies: of the run that was begun last in the folder.
        at_work: the trainings at work: label, dataset, loss, stage, number, fold, place, attempt, since, epoch, score.
        per_hour: trainings recorded per hour since the driver began; `None` before the first.
        time_left: at that rate.
        locks: whether the file system of the folder has them, by which a driver at work is known.
    """

    writer: str | None
    studies: tuple[StudyStatus, ...]
    at_work: tuple[Mapping[str, Any], ...]
    per_hour: float | None
    time_left: timedelta | None
    locks: bool = True


def status(runs: Path) -> Status:
    """Say where a run stands.

    Raises:
        FileNotFoundError: no run was begun in the folder.
        ValueError: the ledger is broken.
    """
    path = runs / STATUS
    if not path.exists():
        raise FileNotFoundError(f"There is no {STATUS} in {runs}; give the folder of a run with --runs.")
    told = json.loads(path.read_text(encoding="utf-8"))
    locks = True
    try:
        owner = writer(runs)
    except NoLocksError:
        owner, locks = None, False
    at_work = tuple(_labelled(job, told["plan"]) for job in told["at_work"]) if owner else ()
    records = read(runs / LEDGER)
    recorded: defaultdict[Identity, list[FoldRecord]] = defaultdict(list)
    for record in records.folds.values():
        recorded[record.identity].append(record)
    studies = tuple(_study(planned, recorded, at_work) for planned in told["plan"])
    per_hour, time_left = None, None
    if owner and told["recorded"]:
        begun = datetime.fromisoformat(told["begun"])
        per_hour = told["recorded"] / (datetime.now(UTC) - begun).total_seconds() * 3600
        time_left = timedelta(hours=sum(study.left for study in studies) / per_hour)
    return Status(owner, studies, at_work, per_hour, time_left, locks)


def failed(records: Records) -> list[FoldRecord]:
    """Give the trainings that failed; those that diverged would do so again, and are a result."""
    return [record for record in records.folds.values() if record.outcome == "failed"]


def retry(records: Records) -> RetryRecord:
    """Give the record after which the failed trainings count as not done, nor what was built on them.

    Today nothing is; a search of an older ledger went on with a score of 0 for a failed fold.
    """
    keys = {record.key: None for record in failed(records)}
    end: dict[tuple[Identity, int], int] = {}  # of the batch of the first trial that failed; later ones rest on it
    for record in failed(records):
        if record.stage == "search":
            of_search = record.identity, record.search
            protocol = records.protocols.get(record.digest)
            size = 1 if protocol is None else int(protocol.fields.get("parallel_trials", 1))
            last = record.number - record.number % size + size - 1
            end[of_search] = min(last, end.get(of_search, last))
    searched: defaultdict[tuple[Identity, int], list[Params]] = defaultdict(list)
    for record in records.folds.values():
        if record.stage == "search" and (of_search := (record.identity, record.search)) in end:
            searched[of_search].append(record.params)
            if record.number > end[of_search]:
                keys[record.key] = None
    chosen = [record for record in records.folds.values() if record.stage != "search"]
    of_repeats: list[FoldRecord | RunRecord] = [*chosen, *records.runs.values()]
    for one in of_repeats:
        if one.params in searched[one.identity, one.search]:
            keys[one.key] = None
    return RetryRecord(keys=tuple(keys))


def _study(
    planned: Mapping[str, Any],
    recorded: Mapping[Identity, Sequence[FoldRecord]],
    at_work: tuple[Mapping[str, Any], ...],
) -> StudyStatus:
    identity = (planned["digest"], planned["dataset"], planned["fingerprint"], planned["loss"])
    fixed, search = planned.get("params"), planned.get("search", 0)
    mine = [record for record in recorded.get(identity, ()) if record.search == search]
    outcomes = Counter(record.outcome for record in mine if fixed in (None, dict(record.params)))
    return StudyStatus(
        label=_label(planned),
        dataset=planned["dataset"],
        loss=planned["loss"],
        digest=planned["digest"],
        done=outcomes["done"],
        diverged=outcomes["diverged"],
        failed=outcomes["failed"],
        at_work=sum(_is_of(job, planned) for job in at_work),
        left=max(0, planned["jobs"] - outcomes.total()),
    )


def _is_of(job: Mapping[str, Any], planned: Mapping[str, Any]) -> bool:
    told = {"search": 0, **planned}
    names = ("digest", "dataset", "fingerprint", "loss", "search")
    same = all(job.get(name, told[name]) == told[name] for name in names)  # older drivers wrote less of a job
    return same and planned.get("params") in (None, job.get("params"))


def _labelled(job: Mapping[str, Any], plan: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {**job, "label": next(_label(planned) for planned in plan if _is_of(job, planned))}


def _label(planned: Mapping[str, Any]) -> str:
    return str(planned.get("label", f"{planned['dataset']} {planned['loss']}"))
