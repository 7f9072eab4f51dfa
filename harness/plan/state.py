"""What is ready: where each study stands, as a pure function of its records, and the jobs that can be done now.

records → StudyState (per study) → Frontier → jobs

A failed training is no result: nothing is planned on top of it, and its study stands still until `mlrc retry`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import chain
from typing import Literal

from mlrc.harness.plan.job import FoldJob, Job, Params, ScoreJob
from mlrc.harness.plan.parameters import space
from mlrc.harness.plan.schedule import Recorded, recorded
from mlrc.harness.plan.search import Trial, best
from mlrc.harness.plan.study import Study, repeats
from mlrc.harness.plan.trials import Ask, SearchState, at_once
from mlrc.harness.plugins import LOSSES
from mlrc.results.records.record import BASELINES, FoldRecord, RunRecord, Stage

Until = Literal["search", "final"]


class StudyState:
    """Where one study stands: a pure function of its records, kept up to date one record at a time.

    Attributes:
        study: whose state it is.
    """

    def __init__(
        self,
        study: Study,
        folds: Iterable[FoldRecord],
        runs: Iterable[RunRecord],
        held: set[str],
        ask: Ask = at_once,
    ) -> None:
        self.study = study
        of_loss = {} if study.loss in BASELINES else space(LOSSES.find(study.loss), study.protocol, study.dataset)
        self._records = {record.key: record for record in folds if study.owns(record)}
        self._search = SearchState(study, of_loss, self._records, ask)
        self._scored = {run.fold_keys for run in runs if study.owns(run)}
        self._unscorable: dict[tuple[str, ...], str] = {}
        self._held = set(held)
        self._left: dict[Until, int] = {}  # counted once between two records, as the frontier asks at every job
        self._schedules: list[FoldJob] = []  # stage 1 of each repeat, where there are two stages
        self._final: list[list[FoldJob]] = []
        self._failures: list[FoldRecord] = []
        self._advance()

    @property
    def history(self) -> list[Trial]:
        """The complete trials, in order: each fold done or diverged."""
        return self._search.history

    @property
    def proposing(self) -> Future[list[Params]] | None:
        """What is proposed at this moment, by someone else; `ready` has more once it is done."""
        return self._search.proposing

    @property
    def spared(self) -> int:
        """The number of trainings that no trial needed because it ended early."""
        return self._search.spared

    @property
    def best(self) -> Trial | None:
        """The best finished trial of the search so far."""
        return best(self.history) if self.history else None

    @property
    def searched(self) -> bool:
        """Whether the search has had its whole budget."""
        return self._search.over

    @property
    def records(self) -> list[FoldRecord]:
        """What is recorded of its trainings."""
        return list(self._records.values())

    @property
    def search_records(self) -> list[FoldRecord]:
        """What is recorded of the search."""
        return [record for record in self._records.values() if record.stage == "search"]

    def left(self, until: Until) -> int:
        """Give the number of trainings up to a stage that can still be done; none where one failed."""
        if until not in self._left:
            self._left[until] = 0 if self.failures(until) else self._count_left(until)
        return self._left[until]

    def failures(self, until: Until) -> list[FoldRecord]:
        """Give the failed trainings up to a stage, at which the study stands still."""
        return [record for record in self._failures if until == "final" or record.stage == "search"]

    @property
    def unscorable(self) -> Mapping[tuple[str, ...], str]:
        """Fold keys of the repeats whose scoring failed here, to why; nothing of it is recorded."""
        return self._unscorable

    def _count_left(self, until: Until) -> int:
        folds = self.study.protocol.folds
        final = repeats(self.study) * folds if until == "final" else 0
        if not self.searched:
            return self._search.left + final
        if not final:
            return 0
        unknown = sum(not self._recorded(job) for job in self._schedules)  # each with a stage 2 not planned yet
        return 2 * unknown + sum(not self._done(job, jobs) for jobs in self._final for job in jobs)

    def ready(self, until: Until) -> Iterator[FoldJob]:
        """Give the trainings that can be done now."""
        if self._search.proposing is not None and self._search.proposing.done():
            self._left.clear()
            self._advance()
        if self.failures(until):
            return
        if not self.searched:
            yield from self._search.ready()
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

    def to_score(self, embeddings: str) -> list[ScoreJob]:
        """Give the repeats without `RunRecord` whose fold models are all embedded; in which folder, is passed on."""
        found = []
        for jobs in self._final:
            keys = tuple(job.key for job in jobs)
            if keys in self._scored or keys in self._unscorable:
                continue
            if all(key in self._records and key in self._held for key in keys):
                first = self._records[keys[0]]
                found.append(
                    ScoreJob(
                        protocol=self.study.protocol,
                        dataset=self.study.dataset,
                        fingerprint=self.study.fingerprint,
                        loss=self.study.loss,
                        params=first.params,
                        number=first.number,
                        search=first.search,
                        cut=first.cut,
                        fold_keys=keys,
                        embeddings=embeddings,
                    )
                )
        return found

    def scored(self, run: RunRecord) -> None:
        """Take in that a repeat was scored."""
        self._scored.add(run.fold_keys)
        self._left.clear()
        self._held.difference_update(run.fold_keys)

    def not_scored(self, job: ScoreJob, message: str) -> None:
        """Take in that the scoring of a repeat failed; it is not offered again here."""
        self._unscorable[job.fold_keys] = message

    def lost(self, keys: Iterable[str]) -> None:
        """Take in that test embeddings are not on the disk any more."""
        self._held.difference_update(keys)
        self._left.clear()

    def _recorded(self, job: FoldJob) -> bool:
        record = self._records.get(job.key)
        return record is not None and record.outcome != "failed"

    def _done(self, job: FoldJob, repeat: Sequence[FoldJob]) -> bool:
        record = self._records.get(job.key)
        if record is None or record.outcome == "failed":
            return False
        if record.outcome == "diverged" or tuple(job.key for job in repeat) in self._scored:
            return True
        return job.key in self._held

    def _advance(self) -> None:
        self._plan()
        planned = chain(self._search.jobs, self._schedules, *self._final)
        known = (self._records.get(job.key) for job in planned)
        self._failures = [record for record in known if record is not None and record.outcome == "failed"]

    def _plan(self) -> None:
        self._search.advance()
        if not self.searched:
            return
        numbers = range(repeats(self.study))
        params = self.study.params if self.study.params is not None else best(self.history).params
        if self.study.two_stages:
            self._schedules = [job for number in numbers for job in self.study.jobs("schedule", number, params)]
            found = ((number, self._schedule(job)) for number, job in zip(numbers, self._schedules, strict=True))
            self._final = [
                self.study.jobs("final", number, params, schedule) for number, schedule in found if schedule is not None
            ]
        elif not self._final:
            stage: Stage = "untrained" if self.study.loss in BASELINES else "final"
            self._final = [self.study.jobs(stage, number, params) for number in numbers]

    def _schedule(self, job: FoldJob) -> Recorded | None:
        """Give what stage 1 chose; `None` while it is not done, or where it came to nothing."""
        record = self._records.get(job.key)
        return recorded(record.history, job.protocol) if record and record.outcome == "done" else None


class Frontier:
    """The jobs of all studies that are ready now, in turn: repeats to score, then trainings.

    The study with the most left comes first, so that all end at about the same time and no device idles while one
    sequential search is waited for. Who has taken all jobs is kept waiting while trials are proposed, and gets these.

    Args:
        states: of the studies.
        until: the last stage to do.
        embeddings: folder of the test embeddings that are to be scored.
    """

    def __init__(self, states: Sequence[StudyState], until: Until, embeddings: str = "") -> None:
        self._states = states
        self._until = until
        self._embeddings = embeddings

    def __iter__(self) -> Iterator[Job]:
        if self._until == "final":
            yield from (job for state in self._states for job in state.to_score(self._embeddings))
        yield from self._trainings(self._states)
        while proposing := [state for state in self._states if state.proposing is not None]:
            wait([state.proposing for state in proposing if state.proposing], return_when=FIRST_COMPLETED)
            yield from self._trainings([state for state in proposing if state.proposing and state.proposing.done()])

    def _trainings(self, states: Sequence[StudyState]) -> Iterator[Job]:
        by_work = sorted(states, key=lambda state: state.left(self._until), reverse=True)
        waiting = [state.ready(self._until) for state in by_work]
        while waiting:
            for jobs in tuple(waiting):
                job = next(jobs, None)
                if job is None:
                    waiting.remove(jobs)
                else:
                    yield job
