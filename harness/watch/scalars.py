"""The course of a run as TensorBoard reads it, `tensorboard --logdir RUNS/tensorboard`: folds, trials, repeats.

A fold's curves lie in `DATASET/LOSS DIGEST/trial 3/fold 0`, what is said of a whole study in `DATASET/LOSS DIGEST`.
With fixed parameters, of which a sweep has several, a hash of them follows: `DATASET/LOSS DIGEST HASH`. Of several
searches the later ones have their number: `DATASET/LOSS DIGEST search 1`.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from mlrc.harness.engine.events import Event, Lost, Validated
from mlrc.harness.plan.job import FoldJob, Job, ScoreJob, digest, rules
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study
from mlrc.results.records.record import FoldRecord, RunRecord

FOLDER = "tensorboard"


class Scalars:
    """Writes validation scores and training losses of the folds, means of the trials, test scores of the repeats.

    Args:
        runs: folder of the run.
        studies: of the run.
    """

    def __init__(self, runs: Path, studies: Sequence[Study]) -> None:
        self._folder = runs / FOLDER
        self._fixed = {study.identity for study in studies if study.params}
        self._folds: dict[str, SummaryWriter] = {}
        self._studies: dict[Path, SummaryWriter] = {}

    def told(self, event: Event) -> None:
        """Write a validation, where there is one: score in percent; and mean training loss over the epoch."""
        match event:
            case Validated(job, epoch, score, loss):
                fold = self._fold(job)
                if math.isfinite(score):
                    on_test = job.stage == "final" and job.protocol.epoch_choice == "best_on_test"
                    kind = "test, while training" if on_test else "validation"
                    _write(fold, f"{kind}/{job.protocol.selection_metric}", score, epoch)
                if math.isfinite(loss):
                    _write(fold, "training/loss", loss, epoch)
                fold.flush()
            case Lost(job):
                self._close(job.key)
            case _:
                pass

    def recorded(self, state: StudyState, record: FoldRecord | RunRecord) -> None:
        """Write what a record completes: a trial, or a repeat with its test scores."""
        study = self._study(record)
        if isinstance(record, RunRecord):
            for setting, scores in (("separated", record.separated), ("concatenated", record.concatenated)):
                for metric, score in scores.items():
                    _write(study, f"test, {setting}/{metric}", score, record.number)
        else:
            self._close(record.key)
            if record.stage != "search" or record.number >= len(state.history):
                return  # the trial, or one before it, is not complete
            metric = state.study.protocol.selection_metric
            of_trials = [trial.score for trial in state.history]
            for number in range(record.number, len(of_trials)):  # with those that waited for it
                _write(study, f"search/trial mean of {metric}", of_trials[number], number)
                _write(study, f"search/best mean of {metric}", max(of_trials[: number + 1]), number)
        study.flush()

    def _fold(self, job: Job) -> SummaryWriter:
        if job.key not in self._folds:
            kind = {"search": "trial", "schedule": "stage 1 of repeat"}.get(job.stage, "repeat")
            folder = self._folder / self._path(job) / f"{kind} {job.number}" / f"fold {job.fold}"
            self._folds[job.key] = SummaryWriter(str(folder))
        return self._folds[job.key]

    def _study(self, record: FoldRecord | RunRecord) -> SummaryWriter:
        path = self._path(record)
        if path not in self._studies:
            self._studies[path] = SummaryWriter(str(self._folder / path))
        return self._studies[path]

    def _path(self, record: Job | FoldRecord | RunRecord) -> Path:
        rules_digest = rules(record.protocol) if isinstance(record, FoldJob | ScoreJob) else record.digest
        fixed = (rules_digest, record.dataset, record.fingerprint, record.loss) in self._fixed
        words = [record.loss, rules_digest, *([digest(sorted(record.params.items()))[:8]] if fixed else [])]
        words += [f"search {record.search}"] if record.search else []
        return Path(record.dataset.replace(":", "-"), " ".join(words))

    def _close(self, key: str) -> None:
        if key in self._folds:
            self._folds.pop(key).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for writer in (*self._folds.values(), *self._studies.values()):
            writer.close()


def _write(writer: SummaryWriter, tag: str, value: float, step: int) -> None:
    writer.add_scalar(tag, value, step)
