"""The trials of the searches of a board: what each tried, and what it scored on validation classes."""

from dataclasses import dataclass

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.evidence import Evidence
from mlrc.results.records.record import Params


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial of the search of a loss on a dataset under a protocol.

    Attributes:
        search: whose trial it is, with its number, `trial`.
        score: mean over the folds of the best validation score, percent; 0 where a fold diverged.
        outcome: `done`; `diverged` where a fold did (in older ledgers: or failed); `stopped` where it ended after its
            first folds, so that its score is an estimate.
        chosen: whether the repeats have its parameters because it is the best, the earliest of equals.
    """

    dataset: str
    protocol: str
    digest: str
    loss: str
    search: int
    trial: int
    score: float
    outcome: str
    chosen: bool
    params: Params


def trials(board: Board) -> list[TrialRow]:
    """Give the trials of every loss of a board, by search and in their order."""
    return [row for of_loss in board.evidence for one in of_loss.by_search if one.search for row in _of_search(one)]


def _of_search(evidence: Evidence) -> list[TrialRow]:
    scores, done, stopped = evidence.trial_scores, evidence.trials, evidence.stopped
    best = max(scores, key=lambda number: (scores[number], -number), default=None)
    params = {record.number: record.params for record in evidence.search}
    return [
        TrialRow(
            dataset=evidence.dataset,
            protocol=evidence.protocol,
            digest=evidence.digest,
            loss=evidence.loss,
            search=evidence.search[0].search,
            trial=number,
            score=scores[number],
            outcome="diverged" if not done[number] else "stopped" if number in stopped else "done",
            chosen=number == best,
            params=params[number],
        )
        for number in sorted(scores)
    ]
