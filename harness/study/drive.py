"""The driver: offers the jobs that are ready, takes in what comes of them, writes the ledger; it has no other state.

ledger → StudyState (per study) → Frontier → execute → outcomes → ledger
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Literal

from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.perform import FoldOutcome, checkpoint_path
from mlrc.harness.engine.scorer import Scorer
from mlrc.harness.metrics.scores import Task
from mlrc.harness.plan.job import FoldJob, Params, Study, repeats
from mlrc.harness.plan.parameters import space
from mlrc.harness.plan.schedule import Recorded, recorded
from mlrc.harness.plan.search import Trial, best, propose
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.final import EmbeddingFiles, write_per_class
from mlrc.harness.training.saved_model import ModelFiles
from mlrc.protocols.catalogue import PROTOCOLS
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.evidence import trial_score
from mlrc.results.records.ledger import Ledger
from mlrc.results.records.record import UNTRAINED, Environment, FoldRecord, Identity, ProtocolRecord, RunRecord, Stage

Until = Literal["search", "final"]


class StudyState:
    """Where one study stands: a pure function of its records, kept up to date one record at a time.

    Attributes:
        study: whose state it is.
        history: the finished trials, in order.
    """

    def __init__(self, study: Study, folds: Iterable[FoldRecord], runs: Iterable[RunRecord], held: set[str]) -> None:
        self.study = study
        self.history: list[Trial] = []
        self._space = {} if study.loss == UNTRAINED else space(LOSSES.find(study.loss), study.protocol, study.dataset)
        self._records = {record.key: record for record in folds if study.owns(record)}
        self._scored = {run.fold_keys for run in runs if study.owns(run)}
        self._held = set(held)
        self._recorded_params = {
            record.number: record.params for record in self._records.values() if record.stage == "search"
        }
        self._left: dict[Until, int] = {}  # counted once between two records, as the frontier asks at every job
        self._trial: list[FoldJob] = []
        self._schedules: list[FoldJob] = []  # stage 1 of each repeat, where there are two stages
        self._final: list[list[FoldJob]] = []
        self._advance()

    @property
    def best(self) -> Trial | None:
        """The best finished trial of the search so far."""
        return best(self.history) if self.history else None

    @property
    def searched(self) -> bool:
        """Whether the search has had its whole budget."""
        return len(self.history) >= self.study.trials

    @property
    def search_records(self) -> list[FoldRecord]:
        """What is recorded of the search."""
        return [record for record in self._records.values() if record.stage == "search"]

    def left(self, until: Until) -> int:
        """Give the number of trainings up to a stage that are planned and not recorded."""
        if until not in self._left:
            self._left[until] = self._count_left(until)
        return self._left[until]

    def _count_left(self, until: Until) -> int:
        folds = self.study.protocol.folds
        final = repeats(self.study) * folds if until == "final" else 0
        if not self.searched:
            return (self.study.trials - len(self.history)) * folds - sum(map(self._recorded, self._trial)) + final
        if not final:
            return 0
        unknown = sum(not self._recorded(job) for job in self._schedules)  # each with a stage 2 not planned yet
        return 2 * unknown + sum(not self._done(job, jobs) for jobs in self._final for job in jobs)

    def ready(self, until: Until) -> Iterator[FoldJob]:
        """Give the jobs that can be done now."""
        if not self.searched:
            yield from (job for job in self._trial if not self._recorded(job))
        elif until == "final":
            yield from (job for job in self._schedules if not self._recorded(job))
            yield from (job for jobs in self._final for job in jobs if not self._done(job, jobs))

    def take(self, record: FoldRecord, *, held: bool) -> None:
        """Take in the record of one of this study's jobs, and whether its test embeddings are on the disk."""
        self._records[record.key] = record
        if held:
            self._held.add(record.key)
        self._left.clear()
        self._advance()

    def unscored(self) -> list[list[FoldRecord]]:
        """Give the repeats whose fold models are all embedded and which have no `RunRecord` yet."""
        found = []
        for jobs in self._final:
            keys = tuple(job.key for job in jobs)
            if keys not in self._scored and all(key in self._records and key in self._held for key in keys):
                found.append([self._records[key] for key in keys])
        return found

    def scored(self, run: RunRecord) -> None:
        """Take in that a repeat was scored."""
        self._scored.add(run.fold_keys)
        self._left.clear()
        self._held.difference_update(run.fold_keys)

    def _recorded(self, job: FoldJob) -> bool:
        return job.key in self._records

    def _done(self, job: FoldJob, repeat: Sequence[FoldJob]) -> bool:
        record = self._records.get(job.key)
        if record is None:
            return False
        if record.outcome != "done" or tuple(job.key for job in repeat) in self._scored:
            return True
        return job.key in self._held

    def _advance(self) -> None:
        while not self.searched:
            if not self._trial:
                self._trial = self.study.jobs("search", len(self.history), self._next_params())
            if not all(self._recorded(job) for job in self._trial):
                return
            self.history.append(
                Trial(self._trial[0].params, trial_score(self._records[job.key] for job in self._trial))
            )
            self._trial = []
        numbers = range(repeats(self.study))
        params = self.study.params if self.study.params is not None else best(self.history).params
        if self.study.two_stages:
            self._schedules = [job for number in numbers for job in self.study.jobs("schedule", number, params)]
            found = ((number, self._schedule(job)) for number, job in zip(numbers, self._schedules, strict=True))
            self._final = [
                self.study.jobs("final", number, params, schedule) for number, schedule in found if schedule is not None
            ]
        elif not self._final:
            stage: Stage = "untrained" if self.study.loss == UNTRAINED else "final"
            self._final = [self.study.jobs(stage, number, params) for number in numbers]

    def _schedule(self, job: FoldJob) -> Recorded | None:
        """Give what stage 1 chose; `None` while it is not done, or where it came to nothing."""
        record = self._records.get(job.key)
        return recorded(record.history, job.protocol) if record and record.outcome == "done" else None

    def _next_params(self) -> Params:
        recorded = self._recorded_params.get(len(self.history))
        if recorded is not None:
            return recorded
        return propose(self._space, self.history, seed=self.study.seed, startup=self.study.protocol.startup_trials)


class Frontier:
    """The jobs of all studies that are ready now, in turn.

    The study with the most left comes first, so that all end at about the same time and no device idles while one
    sequential search is waited for.
    """

    def __init__(self, states: Sequence[StudyState], until: Until) -> None:
        self._states = states
        self._until = until

    def __iter__(self) -> Iterator[FoldJob]:
        by_work = sorted(self._states, key=lambda state: state.left(self._until), reverse=True)
        waiting = [state.ready(self._until) for state in by_work]
        while waiting:
            for jobs in tuple(waiting):
                job = next(jobs, None)
                if job is None:
                    waiting.remove(jobs)
                else:
                    yield job


def drive(
    states: Sequence[StudyState],
    execute: Execute,
    ledger: Ledger,
    *,
    task: Task,
    environment: Environment,
    until: Until,
    on_record: Callable[[StudyState, FoldRecord | RunRecord], None],
) -> None:
    """Do all that is planned and not recorded.

    Args:
        states: of the studies, from the ledger.
        execute: does the jobs.
        ledger: of the runs folder; every outcome is on the disk before what follows from it is begun.
        task: of the test images of the one dataset of all studies.
        environment: of this process, for the `RunRecord`s.
        until: the last stage to do.
        on_record: told every record after it was written.
    """
    runs = ledger.path.parent
    files, models = EmbeddingFiles(runs), ModelFiles(runs)

    scorer = Scorer(files, task, environment)

    owner = _owner(states)

    def score(state: StudyState) -> None:
        for folds in state.unscored():
            scorer.begin(state.study, folds)

    def take_scores(*, wait: bool) -> None:
        for scored in scorer.ended(wait=wait):
            state = owner(scored.record)
            write_per_class(runs, scored)
            models.add_scores(scored.record)  # with the same scores again, if a kill keeps the next line from the disk
            ledger.append([scored.record])
            state.scored(scored.record)
            files.remove(scored.record.fold_keys)
            on_record(state, scored.record)

    protocols = {state.study.protocol.digest: state.study.protocol for state in states}
    ledger.append(
        _protocol_record(protocol) for digest, protocol in protocols.items() if digest not in ledger.records.protocols
    )
    if until == "final":
        for state in states:
            score(state)
    for key in ledger.records.folds:  # the rest of a driver that was killed just after recording
        checkpoint_path(runs, key).unlink(missing_ok=True)
    for run in ledger.records.runs.values():
        files.remove(run.fold_keys)
    try:
        with closing(_closable(execute(Frontier(states, until)))) as outcomes:
            for outcome in outcomes:
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
                score(state)
                take_scores(wait=False)
        stopped = any(state.left(until) for state in states)
        take_scores(wait=not stopped)
    finally:
        scorer.dismiss()


def _closable(outcomes: Iterator[FoldOutcome]) -> Generator[FoldOutcome]:
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
    parent = PROTOCOLS.get(protocol.parent, protocol)
    return ProtocolRecord(
        digest=protocol.digest, name=protocol.name, fields=protocol.to_json(), changes=parent.diff(protocol)
    )
