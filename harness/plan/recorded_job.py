"""From the record of a training back to the job that it was."""

from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.schedule import Recorded, schedule_of
from mlrc.protocols.recorded import from_fields
from mlrc.results.records.ledger import Records
from mlrc.results.records.record import FoldRecord


def job_of(record: FoldRecord, records: Records) -> FoldJob:
    """Give the job whose record this is.

    Args:
        record: of a training.
        records: of its ledger, with its protocol and, of a stage 2, its stage 1.

    Raises:
        ValueError: the protocol is not recorded or none of this version, or the job would have another key: then the
            record is not what was written, or this version trains something else under its name.
    """
    protocol = records.protocols.get(record.digest)
    if protocol is None:
        raise ValueError(f"The record of the protocol of training {record.key} is missing in its ledger.")
    schedule = None
    if record.stage == "final" and protocol.fields.get("two_stages"):
        schedule = _schedule(record, records)
    job = FoldJob(
        protocol=from_fields(protocol.fields),
        dataset=record.dataset,
        fingerprint=record.fingerprint,
        loss=record.loss,
        params=record.params,
        stage=record.stage,
        number=record.number,
        fold=record.fold,
        recorded=schedule,
        search=record.search,
    )
    if (job.key, job.seed) != (record.key, record.seed):
        raise ValueError(
            f"Training {record.key} must have the key of what it says of itself, but that gives {job.key}; see "
            "mlrc leaderboard --check."
        )
    return job


def _schedule(record: FoldRecord, records: Records) -> Recorded:
    mine = (record.identity, record.search, record.number, record.fold, record.params)
    for one in records.folds.values():
        if one.stage == "schedule" and (one.identity, one.search, one.number, one.fold, one.params) == mine:
            return schedule_of(one.history, records.protocols[record.digest].fields)
    raise ValueError(f"The record of stage 1 of training {record.key} is missing in its ledger.")
