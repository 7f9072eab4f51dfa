"""Where one search stands: its trials so far and those that can be trained now, as a pure function of its records.

Trials come in batches of `parallel_trials`. A batch is proposed from the finished batches alone, each of its trials
with those before it in the batch as pending, so nothing depends on which training is done first. Under `fold_stopping`
a trial's first folds come before the others, which it may not need (`mlrc.results.records.trials`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial

from optuna.distributions import BaseDistribution

from mlrc.harness.plan.job import FoldJob, Params
from mlrc.harness.plan.search import Trial, propose
from mlrc.harness.plan.study import Study
from mlrc.results.records.record import FoldRecord
from mlrc.results.records.trials import FIRST_FOLDS, SearchRules, stopped_score, trial_score

Propose = Callable[[], list[Params]]
Ask = Callable[[Propose], Future[list[Params]]]
"""How a batch is proposed: at once, or in another thread while the driver goes on."""


def at_once(propose_batch: Propose) -> Future[list[Params]]:
    """Propose a batch here and now."""
    future: Future[list[Params]] = Future()
    future.set_result(propose_batch())
    return future


class SearchState:
    """Where the search of a study stands.

    Args:
        study: whose search it is.
        space: of its parameters.
        records: key to record of the study's trainings, which whoever holds them goes on filling; see `advance`.
        ask: how the next batch is proposed; nothing depends on when it is there.

    Attributes:
        history: the complete trials, in order, up to the first that is not: each fold done or diverged, or ended early.
        proposing: the next batch, while it is proposed; `advance` takes it in once it is done.
        spared: trainings that no trial needed because it ended early, of finished batches.
    """

    def __init__(
        self,
        study: Study,
        space: Mapping[str, BaseDistribution],
        records: Mapping[str, FoldRecord],
        ask: Ask = at_once,
    ) -> None:
        self.history: list[Trial] = []
        self._study = study
        self._space = space
        self._records = records
        self._ask = ask
        self.proposing: Future[list[Params]] | None = None
        self._recorded_params = {
            record.number: record.params for record in records.values() if record.stage == "search"
        }
        self.spared = 0
        protocol = study.protocol
        self._margin = SearchRules(protocol.folds, protocol.fold_stopping, protocol.parallel_trials).margin
        self._finished = 0  # trials of finished batches
        self._batch: list[list[FoldJob]] = []
        self._incumbent: list[FoldRecord] = []  # the folds of the best trial of the finished batches

    @property
    def over(self) -> bool:
        """Whether the search has had its whole budget."""
        return len(self.history) >= self._study.trials

    @property
    def jobs(self) -> list[FoldJob]:
        """The trainings of the batch that is at work, as far as it is known that they are needed."""
        return [job for trial in self._batch for job in self._due(trial)]

    @property
    def left(self) -> int:
        """The number of trainings that are to be done at most."""
        trials = self._study.trials - self._finished
        unneeded = sum(len(trial) - FIRST_FOLDS for trial in self._batch if self._stopped(trial) is not None)
        return trials * self._study.protocol.folds - unneeded - sum(map(self._recorded, self.jobs))

    def ready(self) -> Iterator[FoldJob]:
        """Give the trainings that can be done now."""
        yield from (job for job in self.jobs if not self._recorded(job))

    def advance(self) -> None:
        """Take in what the records hold by now."""
        while not self.over:
            if not self._batch and not self._begin_batch():
                return
            for trial in self._batch[len(self.history) - self._finished :]:
                if not all(map(self._recorded, self._due(trial))):
                    return
                stopped = self._stopped(trial)
                score = trial_score(self._recorded_folds(trial)) if stopped is None else stopped
                self.history.append(Trial(trial[0].params, score))
            self._end_batch()

    def _end_batch(self) -> None:
        """Make the best trial so far, the earliest of equals, the one that later batches are held against."""
        best = trial_score(self._incumbent) if self._incumbent else -1.0
        whole = [trial for trial in self._batch if self._stopped(trial) is None]
        self.spared += (len(self._batch) - len(whole)) * (self._study.protocol.folds - FIRST_FOLDS)
        for folds in map(self._recorded_folds, whole):
            if trial_score(folds) > best:
                best, self._incumbent = trial_score(folds), folds
        self._finished, self._batch = len(self.history), []

    def _due(self, trial: list[FoldJob]) -> list[FoldJob]:
        """Give the trainings of a trial that are needed by what is known: at first, those of its first folds."""
        if self._margin is None:
            return trial
        first = trial[:FIRST_FOLDS]
        return trial if all(map(self._recorded, first)) and self._stopped(trial) is None else first

    def _stopped(self, trial: list[FoldJob]) -> float | None:
        """Give the score of a trial that ends after its first folds; `None` if it goes on, or is not so far."""
        first = trial[:FIRST_FOLDS]
        if self._margin is None or not all(map(self._recorded, first)):
            return None
        return stopped_score(self._recorded_folds(first), self._incumbent, self._margin)

    def _recorded_folds(self, trial: list[FoldJob]) -> list[FoldRecord]:
        return [self._records[job.key] for job in trial]

    def _begin_batch(self) -> bool:
        """Begin the next batch if it is proposed by now; ask for it if nobody has."""
        first, protocol = self._finished, self._study.protocol
        if self.proposing is None:
            numbers = range(first, min(first + protocol.parallel_trials, self._study.trials))
            known = [self._recorded_params[number] for number in numbers if number in self._recorded_params]
            ask = at_once if len(known) == len(numbers) else self._ask
            self.proposing = ask(partial(self._propose, numbers, tuple(self.history)))
        if not self.proposing.done():
            return False
        proposed, self.proposing = self.proposing.result(), None
        self._batch = [self._study.jobs("search", first + place, params) for place, params in enumerate(proposed)]
        return True

    def _propose(self, numbers: Sequence[int], finished: Sequence[Trial]) -> list[Params]:
        """Propose a batch: a function of the finished trials alone; parameters that are recorded stay."""
        protocol = self._study.protocol
        pending: list[Params] = []
        for number in numbers:
            known = self._recorded_params.get(number)
            pending.append(
                known
                if known is not None
                else propose(
                    self._space,
                    finished,
                    seed=self._study.seed,
                    startup=protocol.startup_trials,
                    sampler=protocol.sampler,
                    pending=pending,
                )
            )
        return pending

    def _recorded(self, job: FoldJob) -> bool:
        record = self._records.get(job.key)
        return record is not None and record.outcome != "failed"
