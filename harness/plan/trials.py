"""Where one search stands: its trials so far and those that can be trained now, as a pure function of its records.

Trials come in batches of `parallel_trials`. A batch is proposed from the finished batches alone, each of its trials
with those before it in the batch as pending, so nothing depends on which training is done first.
"""

from collections.abc import Iterator, Mapping

from optuna.distributions import BaseDistribution

from mlrc.harness.plan.job import FoldJob, Params
from mlrc.harness.plan.search import Trial, propose
from mlrc.harness.plan.study import Study
from mlrc.results.records.evidence import trial_score
from mlrc.results.records.record import FoldRecord


class SearchState:
    """Where the search of a study stands.

    Args:
        study: whose search it is.
        space: of its parameters.
        records: key to record of the study's trainings, which whoever holds them goes on filling; see `advance`.

    Attributes:
        history: the complete trials, in order, up to the first that is not: each fold done or diverged.
    """

    def __init__(self, study: Study, space: Mapping[str, BaseDistribution], records: Mapping[str, FoldRecord]) -> None:
        self.history: list[Trial] = []
        self._study = study
        self._space = space
        self._records = records
        self._recorded_params = {
            record.number: record.params for record in records.values() if record.stage == "search"
        }
        self._finished = 0  # trials of finished batches
        self._batch: list[list[FoldJob]] = []

    @property
    def over(self) -> bool:
        """Whether the search has had its whole budget."""
        return len(self.history) >= self._study.trials

    @property
    def jobs(self) -> list[FoldJob]:
        """The trainings of the batch that is at work."""
        return [job for trial in self._batch for job in trial]

    @property
    def left(self) -> int:
        """The number of trainings that are to be done."""
        trials = self._study.trials - self._finished
        return trials * self._study.protocol.folds - sum(map(self._recorded, self.jobs))

    def ready(self) -> Iterator[FoldJob]:
        """Give the trainings that can be done now."""
        yield from (job for job in self.jobs if not self._recorded(job))

    def advance(self) -> None:
        """Take in what the records hold by now."""
        while not self.over:
            if not self._batch:
                self._batch = self._next_batch()
            for trial in self._batch[len(self.history) - self._finished :]:
                if not all(map(self._recorded, trial)):
                    return
                self.history.append(Trial(trial[0].params, trial_score(self._records[job.key] for job in trial)))
            self._finished, self._batch = len(self.history), []

    def _next_batch(self) -> list[list[FoldJob]]:
        protocol = self._study.protocol
        first = self._finished
        pending: list[Params] = []
        for number in range(first, min(first + protocol.parallel_trials, self._study.trials)):
            pending.append(self._params(number, pending))
        return [self._study.jobs("search", first + place, params) for place, params in enumerate(pending)]

    def _params(self, number: int, pending: list[Params]) -> Params:
        if number in self._recorded_params:
            return self._recorded_params[number]
        protocol = self._study.protocol
        return propose(
            self._space,
            self.history[: self._finished],
            seed=self._study.seed,
            startup=protocol.startup_trials,
            sampler=protocol.sampler,
            pending=pending,
        )

    def _recorded(self, job: FoldJob) -> bool:
        record = self._records.get(job.key)
        return record is not None and record.outcome != "failed"
