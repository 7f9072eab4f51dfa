"""What a trial of a search came to: the mean over its folds, or an estimate of it where a protocol ends trials early.

With `fold_stopping=paired:M` a trial's first two folds are trained before the others. If their mean lies more than M
percent points below that of the incumbent on the same two folds, the trial ends there. Folds are class-disjoint and
differ in difficulty by far more than trials do, so means over other folds than the incumbent's say nothing. The
incumbent is the best trial of the batches that were finished before, so nothing depends on which training is done
first. A trial that ended counts with its own mean plus what the incumbent gained by its other folds: less than the
incumbent's score by more than M, so it is never the best one. All of this follows from the fold records, as here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlrc.results.records.record import FoldRecord

DIVERGED_SCORE = 0.0
"""Of a trial in which a fold diverged, as in the Reality Check's search.

In older ledgers also of one in which a fold failed; now a search stands still there until it is done again.
"""
FIRST_FOLDS = 2
"""That a trial has in any case."""


class SearchRules(NamedTuple):
    """What of a protocol says how trials end; the defaults are those of before there was a choice."""

    folds: int = 0
    fold_stopping: str = "none"
    parallel_trials: int = 1

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "SearchRules":
        """Read them from the fields of a protocol."""
        return cls(
            folds=int(fields["folds"]),
            fold_stopping=str(fields.get("fold_stopping", "none")),
            parallel_trials=int(fields.get("parallel_trials", 1)),
        )

    @property
    def margin(self) -> float | None:
        """M in percent points; `None` where no trial is stopped."""
        return None if self.fold_stopping == "none" else float(self.fold_stopping.partition(":")[2])


NEVER_STOPPED = SearchRules()


class Ended(NamedTuple):
    """What a trial came to: its score in percent, and whether it ended after its first folds."""

    score: float
    stopped: bool


def trial_score(folds: Iterable[FoldRecord]) -> float:
    """Give the mean of the folds' best validation scores, percent; 0 as soon as one of them diverged or failed.

    The folds come in their order, as the last digit depends on it.
    """
    scores = [record.best_score if record.outcome == "done" else None for record in folds]
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if len(known) == len(scores) else DIVERGED_SCORE


def stopped_score(first: Sequence[FoldRecord], incumbent: Sequence[FoldRecord], margin: float) -> float | None:
    """Give the score of a trial that ends after its first folds; `None` if it goes on.

    Args:
        first: the records of its first folds, in order.
        incumbent: those of all folds of the best trial of the batches before; none if there is none.
        margin: in percent points.
    """
    if not incumbent or any(record.outcome != "done" or record.best_score is None for record in incumbent):
        return None
    if any(record.outcome != "done" or record.best_score is None for record in first):
        return DIVERGED_SCORE
    same = trial_score(incumbent[: len(first)])
    behind = same - trial_score(first)
    return trial_score(incumbent) - behind if behind > margin else None


def ended(folds: Iterable[FoldRecord], rules: SearchRules) -> dict[int, Ended]:
    """Give trial number to what it came to, of one search; a trial that is still at work by the folds that it has."""
    trials: dict[int, list[FoldRecord]] = {}
    for record in sorted(folds, key=lambda record: (record.number, record.fold)):
        trials.setdefault(record.number, []).append(record)
    found: dict[int, Ended] = {}
    for number, trial in trials.items():
        stopped = None
        if rules.margin is not None and [record.fold for record in trial] == list(range(FIRST_FOLDS)):
            first_of_batch = number - number % rules.parallel_trials
            stopped = stopped_score(trial, _incumbent(trials, found, first_of_batch), rules.margin)
        found[number] = Ended(trial_score(trial) if stopped is None else stopped, stopped is not None)
    return found


def _incumbent(
    trials: Mapping[int, Sequence[FoldRecord]], found: Mapping[int, Ended], before: int
) -> Sequence[FoldRecord]:
    earlier = [number for number, of_trial in found.items() if number < before and not of_trial.stopped]
    return trials[max(earlier, key=lambda number: found[number].score)] if earlier else ()
