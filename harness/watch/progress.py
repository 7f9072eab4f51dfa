"""What a person sees of long work: live bars on a terminal, one plain line per event where there is none."""

import math
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mlrc.harness.engine.events import Closed, Event, Lost, Stopping, Validated
from mlrc.harness.machine.streams import forgiving
from mlrc.harness.plan.job import Job, ScoreJob, rules
from mlrc.harness.plan.state import StudyState, Until
from mlrc.harness.watch.study_names import labels
from mlrc.results.records.record import BASELINES, PCA, FoldRecord, RunRecord


class Display:
    """Shows studies, trials, folds, the best score so far and the time left, on standard error."""

    def __init__(self, states: Sequence[StudyState], until: Until, console: Console | None = None) -> None:
        self._console = console or Console(file=forgiving(sys.stderr), highlight=False)
        self._states = states
        self._until: Until = until
        self._started = time.monotonic()
        self._done = 0
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._best: dict[str, float] = {}
        self._labels = labels([state.study for state in states])
        self._tasks = {
            label: self._bars.add_task(label, total=state.left(until), note="")
            for label, state in zip(self._labels, states, strict=True)
        }
        self._all = self._bars.add_task("all", total=self._left(), note="")

    def told(self, event: Event) -> None:
        """Show what happens at a job at work."""
        match event:
            case Validated(job, epoch, score):
                label = self._label(job)
                best = self._best.get(label)
                found = "" if math.isnan(score) else f": {job.protocol.selection_metric} {score:.2f}"
                note = f"{place(job)}, epoch {epoch}{found}"
                self._bars.update(self._tasks[label], note=note if best is None else f"{note}, best trial {best:.2f}")
            case Lost(job, message):
                self._print(f"{self._label(job)}: {place(job)}, {message}; it is done again")
            case Closed(where, message):
                self._print(f"Nothing more is begun by {where}: {message}.")
            case Stopping(reason, at_work):
                self._print(
                    f"Stopping ({reason}): {at_work} trainings save where they are. Ctrl-C again stops at once."
                )

    def recorded(self, state: StudyState, record: FoldRecord | RunRecord) -> None:
        """Show a record that was written."""
        label = self._labels[self._states.index(state)]
        if isinstance(record, RunRecord):
            metric = state.study.protocol.selection_metric
            self._say(
                f"{label}: repeat {record.number} scored, test {metric} separated {record.separated[metric]:.2f}, "
                f"concatenated {record.concatenated[metric]:.2f}"
            )
            return
        self._done += 1
        best = "" if state.best is None else f", best of {len(state.history)} trials {state.best.score:.2f}"
        result = (
            record.outcome if record.best_score is None else f"{record.best_score:.2f} in epoch {record.best_epoch}"
        )
        note = f": {record.message}" if record.message else ""
        if state.best is not None:
            self._best[label] = state.best.score
        self._bars.advance(self._tasks[label])
        self._bars.update(self._all, completed=self._done, note=f"{self._remaining()} left")
        if record.outcome == "failed":
            self._print(
                f"{label}: {place(record)} failed{note}; nothing more of it is begun. After the mend: mlrc retry, "
                "and the same command."
            )
            return
        self._say(f"{label}: {place(record)} {result}{note}{best}; {self._left()} trainings, {self._remaining()} left")

    def _label(self, job: Job) -> str:
        of_job = (job.dataset, job.loss, rules(job.protocol), job.search)
        return next(
            label
            for label, study in zip(self._labels, (state.study for state in self._states), strict=True)
            if (study.dataset, study.loss, rules(study.protocol), study.search) == of_job
            and study.params in (None, job.params)
        )

    def _say(self, line: str) -> None:
        if not self._console.is_terminal:
            self._print(line)

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)

    def _left(self) -> int:
        return sum(state.left(self._until) for state in self._states)

    def _remaining(self) -> str:
        seconds = (time.monotonic() - self._started) / max(self._done, 1) * self._left()
        return str(timedelta(seconds=round(seconds)))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()


def place(record: Job | FoldRecord) -> str:
    """Say for people which job it is."""
    if isinstance(record, ScoreJob):
        return f"the scoring of repeat {record.number}"
    if record.loss == PCA:
        return f"fold {record.fold} of the reduced features"
    if record.loss in BASELINES:
        return f"fold {record.fold} of untrained trunk {record.number}"
    kinds = {"search": "trial", "schedule": "stage 1 of repeat"}
    return f"{kinds.get(record.stage, 'repeat')} {record.number}, fold {record.fold}"
