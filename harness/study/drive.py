"""The driver: offers the jobs that are ready, takes in what comes of them, writes the ledger; it has no other state.

ledger → StudyState (per study) → Frontier → execute → outcomes → ledger
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.repeat import EmbeddingFiles, write_per_class
from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, ScoreOutcome, checkpoint_path
from mlrc.harness.plan.state import Frontier, StudyState, Until
from mlrc.harness.training.saved_model import ModelFiles
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.ledger import Ledger
from mlrc.results.records.record import Environment, FoldRecord, Identity, ProtocolRecord, RunRecord


def drive(
    states: Sequence[StudyState],
    execute: Execute,
    ledger: Ledger,
    *,
    environment: Environment,
    until: Until,
    on_record: Callable[[StudyState, FoldRecord | RunRecord], None],
) -> None:
    """Do all that is planned and not recorded.

    Args:
        states: of the studies, from the ledger.
        execute: does the jobs.
        ledger: of the runs folder; every outcome is on the disk before what follows from it is begun.
        environment: of this process, which the `RunRecord`s carry wherever they were made.
        until: the last stage to do.
        on_record: told every record after it was written.
    """
    runs = ledger.path.parent
    files, models = EmbeddingFiles.of_run(runs), ModelFiles(runs)
    owner = _owner(states)

    def take_training(outcome: FoldOutcome) -> None:
        job, record, embeddings = outcome.job, outcome.record, outcome.embeddings
        state = owner(record)
        if embeddings is not None:
            files.save(job.key, embeddings)
        if outcome.weights is not None:
            models.save(job, record, outcome.weights)
        ledger.append([record])
        checkpoint_path(runs, job.key).unlink(missing_ok=True)
        state.take(record, held=embeddings is not None)
        on_record(state, record)

    def take_score(outcome: ScoreOutcome) -> None:
        if outcome.scored is None:
            state = _of_job(states, outcome)
            if outcome.damaged:
                files.remove(outcome.damaged)
                state.lost(outcome.damaged)
            else:
                state.not_scored(outcome.job, outcome.message)
            return
        checksum = write_per_class(runs, outcome.scored)
        told = replace(outcome.scored.record, environment=environment, per_class_sha256=checksum)
        scored = outcome.scored._replace(record=told)
        state = owner(scored.record)
        models.add_scores(scored.record)  # with the same scores again, if a kill keeps the next line from the disk
        ledger.append([scored.record])
        state.scored(scored.record)
        files.remove(scored.record.fold_keys)
        on_record(state, scored.record)

    protocols = {state.study.protocol.digest: state.study.protocol for state in states}
    known = ledger.records.protocols
    ledger.append(
        _protocol_record(protocol)
        for digest, protocol in protocols.items()
        if digest not in known or known[digest].searches < protocol.searches
    )
    for key in ledger.records.folds:  # the rest of a driver that was killed just after recording
        checkpoint_path(runs, key).unlink(missing_ok=True)
    for run in ledger.records.runs.values():
        files.remove(run.fold_keys)
    again = True
    while again:
        again = False
        with closing(_closable(execute(Frontier(states, until, str(files.folder.absolute()))))) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, FoldOutcome):
                    take_training(outcome)
                else:
                    take_score(outcome)
                    again = again or bool(outcome.damaged)  # an executor does each job once


def _of_job(states: Iterable[StudyState], outcome: ScoreOutcome) -> StudyState:
    return next(state for state in states if any(job.key == outcome.job.key for job in state.to_score("")))


def _closable(outcomes: Iterator[JobOutcome]) -> Generator[JobOutcome]:
    """Have an executor that is a generator end its workers as soon as this one is closed, whoever still holds it."""
    yield from outcomes


def _owner(states: Iterable[StudyState]) -> Callable[[FoldRecord | RunRecord], StudyState]:
    by_identity: dict[Identity, list[StudyState]] = {}
    for state in states:
        by_identity.setdefault(state.study.identity, []).append(state)

    def owner(record: FoldRecord | RunRecord) -> StudyState:
        alike = by_identity[record.identity]
        return next(state for state in alike if state.study.owns(record))

    return owner


def _protocol_record(protocol: Protocol) -> ProtocolRecord:
    changes = protocol.origin.diff(protocol)
    return ProtocolRecord(digest=protocol.digest, name=protocol.name, fields=protocol.to_json(), changes=changes)
