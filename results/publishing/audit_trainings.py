"""What the record of one training must hold: a key and a seed that are its own, a history that can have happened."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from mlrc.results.records.identity import hash_of, key_of, seed_of
from mlrc.results.records.record import BASELINES, UNTRAINED, FoldRecord, ProtocolRecord, RunRecord

ScheduleOf = Callable[[tuple[tuple[int, float], ...], Mapping[str, Any]], object]
"""From the history of a stage 1 and the fields of its protocol to the schedule that enters the key of stage 2."""
_COMMIT = re.compile(r"[0-9a-f]{7,40}(-dirty)?|v\d.*")


def of_training(
    record: FoldRecord,
    protocol: ProtocolRecord,
    folds: Mapping[str, FoldRecord],
    schedule_of: ScheduleOf | None = None,
) -> Iterator[str]:
    """Say in sentences what cannot be true of a training.

    Args:
        record: of the training.
        protocol: that it names.
        folds: all trainings of its ledger, by their key.
        schedule_of: without it the keys of a stage 2 are not computed.
    """
    yield from _of_identity(record, protocol, folds, schedule_of)
    yield from _of_history(record, protocol)
    yield from _of_making(record)


def place(record: FoldRecord) -> str:
    """Name a training in a sentence about its loss."""
    what = {"search": "trial", "schedule": "stage 1 of repeat"}.get(record.stage, "repeat")
    return f"{what} {record.number}, fold {record.fold}"


def of_environment(record: FoldRecord | RunRecord) -> Iterator[str]:
    """Say what is wrong with where a record says that it was made."""
    if not _COMMIT.fullmatch(record.environment.commit):
        yield f"its commit must be one, or a version, but is {record.environment.commit!r}"
    if not record.environment.versions:
        yield "it must tell the versions that it was made with, but tells none"


def per_dataset(value: Any, dataset: str) -> Any:
    """Give a field of a recorded protocol as it holds for a dataset."""
    if isinstance(value, Mapping) and set(value) == {"default", "named"}:
        return dict(value["named"]).get(dataset, value["default"])
    return value


def _of_identity(
    record: FoldRecord,
    protocol: ProtocolRecord,
    folds: Mapping[str, FoldRecord],
    schedule_of: ScheduleOf | None,
) -> Iterator[str]:
    if record.protocol != protocol.name:
        yield f"its protocol must have the name {protocol.name}, but is called {record.protocol}"
    if (record.loss in BASELINES) != (record.stage == UNTRAINED):
        yield f"its stage is {record.stage}, which is none of {record.loss}"
    recorded = None
    if record.stage == "final" and protocol.fields.get("two_stages"):
        first = _stage_1(record, folds)
        if first is None:
            yield "the record of its stage 1 is missing"
        if first is None or schedule_of is None:
            return
        try:
            recorded = schedule_of(first.history, protocol.fields)
        except ValueError as error:
            yield f"its stage 1 gives no schedule ({error})"
            return
    told = hash_of(record, recorded)
    if record.key != key_of(told):
        yield f"what it says of itself gives the key {key_of(told)}, but it has {record.key}"
    if record.seed != seed_of(told):
        yield f"what it says of itself gives the seed {seed_of(told)}, but it has {record.seed}"


def _stage_1(record: FoldRecord, folds: Mapping[str, FoldRecord]) -> FoldRecord | None:
    return next(
        (
            one
            for one in folds.values()
            if (one.stage, one.identity, one.number, one.fold)
            == ("schedule", record.identity, record.number, record.fold)
            and one.search == record.search
            and one.params == record.params
        ),
        None,
    )


def _of_history(record: FoldRecord, protocol: ProtocolRecord) -> Iterator[str]:
    epochs = [epoch for epoch, _ in record.history]
    if epochs and (epochs[0] != 0 or any(a >= b for a, b in pairwise(epochs))):
        yield f"its validations must begin before training and go up, but are after the epochs {epochs}"
    budget = per_dataset(protocol.fields.get("max_epochs"), record.dataset)
    if epochs and budget is not None and max(epochs) > budget:
        yield f"no epoch may exceed the budget of {budget}, but it was validated after epoch {max(epochs)}"
    if wrong := [score for _, score in record.history if not 0 <= score <= 100]:
        yield f"validation scores must lie in [0, 100], but one is {wrong[0]}"
    embedded = record.stage not in ("search", "schedule")  # then it may have diverged after its last validation
    if record.outcome != "done" and (record.best_score is None or not embedded):
        if record.best_score is not None or record.best_epoch is not None:
            yield f"it {record.outcome}, so it can have no best validation score"
        return
    after = [(epoch, score) for epoch, score in record.history if epoch > 0]
    best = max(after, key=lambda one: one[1], default=(None, None))
    if record.best_score != best[1]:
        yield f"its best validation score must be {best[1]}, but is {record.best_score}"
    elif record.best_epoch != best[0]:
        yield f"its best epoch must be {best[0]}, but is {record.best_epoch}"
    in_stage_2 = record.stage == "final" and protocol.fields.get("two_stages")  # which stage 1 ends, and no patience
    if epochs and not in_stage_2:
        yield from _of_ending(record, protocol, budget)


def _of_ending(record: FoldRecord, protocol: ProtocolRecord, budget: int | None) -> Iterator[str]:
    patience = per_dataset(protocol.fields.get("patience"), record.dataset)
    if budget is None or patience is None:
        return
    best_epoch, best_score = 0, -math.inf
    for epoch, score in record.history:
        if score > best_score:
            best_epoch, best_score = epoch, score
        if epoch - best_epoch > patience:
            break
    last = record.history[-1][0]
    if epoch != last:
        yield f"its patience of {patience} ended it after epoch {epoch}, but it was validated after epoch {last}"
    elif epoch - best_epoch <= patience and last < budget:
        yield f"it must go on to epoch {budget} or to the end of its patience, but ends after epoch {last}"


def _of_making(record: FoldRecord) -> Iterator[str]:
    yield from of_environment(record)
    if not (math.isfinite(record.seconds) and record.seconds >= 0 and 0 < record.share <= 1):
        yield f"it cannot have taken {record.seconds} s with a share of {record.share} of its device"
    processor = record.processor_seconds
    if processor is not None and not (math.isfinite(processor) and processor >= 0):
        yield f"it cannot have taken {processor} s of processors"
    if record.iterations is not None and record.iterations < 0:
        yield f"it cannot have made {record.iterations} iterations"
