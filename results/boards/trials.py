"""The trials of the searches of a board: what each tried, and what it scored on validation classes."""

from dataclasses import dataclass

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.evidence import Evidence
from mlrc.results.records.record import Params


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """A trial of the search of a loss on a dataset under a protocol.

    Attributes:
        trial: its number.
        score: mean over the folds of the best validation score, percent; 0 where a fold diverged.
        outcome: `done`, or `diverged` where a fold did (in older ledgers: or failed).
        chosen: whether the repeats have its parameters because it is the best, the earliest of equals.
    """

    dataset: str
    protocol: str
    digest: str
    loss: str
    trial: int
    score: float
    outcome: str
    chosen: bool
    params: Params


def trials(board: Board) -> list[TrialRow]:
    """Give the trials of every loss of a board, in their order."""
    return [row for one in board.evidence for row in _of_loss(one)]


def _of_loss(evidence: Evidence) -> list[TrialRow]:
    scores, done = evidence.trial_scores, evidence.trials
    best = max(scores, key=lambda number: (scores[number], -number), default=None)
    params = {record.number: record.params for record in evidence.search}
    return [
        TrialRow(
            dataset=evidence.dataset,
            protocol=evidence.protocol,
            digest=evidence.digest,
            loss=evidence.loss,
            trial=number,
            score=scores[number],
            outcome="done" if done[number] else "diverged",
            chosen=number == best,
            params=params[number],
        )
        for number in sorted(scores)
    ]
