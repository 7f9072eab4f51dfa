"""The answer of a board in a sentence or three: who could be the best, by how much it leads, what cannot be told."""

from collections.abc import Sequence

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.metric_names import RANKED_BY
from mlrc.results.records.record import BASELINES
from mlrc.results.rendering.titles import Titles, loss_title
from mlrc.results.statistics.pairs import Contest, Pair

NAMED = 4
"""How many of the losses that could be the best are named; of more, their number."""


def answer(board: Board, titles: Titles | None = None) -> list[str]:
    """Say what a board says, in the setting that stands first in its table; empty where it has no scores."""
    setting = board.settings[0]
    means = {row.loss: row.mean for row in board.rows if (row.setting, row.metric) == (setting, RANKED_BY)}
    losses = [loss for loss in board.losses if loss in means and loss not in BASELINES]
    where = f"{RANKED_BY}{f', {setting}' * (len(board.settings) > 1)}"
    if not losses:
        return []
    first = losses[0]
    contest = board.contests.get((setting, RANKED_BY))
    if contest is None:
        alone = len(losses) == 1
        leads = f"{loss_title(first, titles)} has {'' if alone else 'the highest mean, '}{means[first]:.2f} % {where}"
        return [
            f"{leads}. Nothing is ranked here: {'there is one loss' if alone else 'repeats or losses are missing'}."
        ]
    compared = [loss for loss in losses if loss in contest.losses]
    higher = [loss for loss in losses[: losses.index(compared[0])] if means[loss] > means[compared[0]]]
    return [
        *_best(contest, compared, means, where, titles),
        *(
            f"{loss_title(loss, titles)} has a higher mean ({means[loss]:.2f} %) but cannot be compared."
            for loss in higher
        ),
        *_untold(contest, compared),
        *_baseline(board, means, losses),
    ]


def _best(
    contest: Contest, losses: Sequence[str], means: dict[str, float], where: str, titles: Titles | None
) -> list[str]:
    first, second = losses[0], losses[1]
    names = [loss_title(loss, titles) for loss in losses if loss in contest.best]
    lead = contest.pairs[first, second]
    low, high = lead.difference.interval()
    by = f"{lead.difference.mean:.2f} points ({_signed(low)} to {_signed(high)})"
    score = f"{means[first]:.2f} % {where}"
    of_all = max(mean for loss, mean in means.items() if loss not in BASELINES)
    of_compared = " of those compared" * (of_all > means[first])
    if len(names) == 1:
        return [
            f"{names[0]} is the best of {len(losses)} losses, with {score}.",
            f"It leads {loss_title(second, titles)} by {by}.",
        ]
    if len(names) == len(losses):
        who = f"Any of the {len(losses)} losses"
    elif len(names) <= NAMED:
        who = f"{', '.join(names[:-1])} or {names[-1]}"
    else:
        who = f"Any of {len(names)} of the {len(losses)} losses (marked ●)"
    return [
        f"{who} could be the best.",
        f"{loss_title(first, titles)} has the highest mean{of_compared}, {score}, and leads "
        f"{loss_title(second, titles)} by {by}{_doubt(lead)}.",
    ]


def _doubt(lead: Pair) -> str:
    return "" if lead.told_apart else ", which, among all pairs, is not told apart from nothing"


def _untold(contest: Contest, losses: Sequence[str]) -> list[str]:
    pairs = [contest.pairs[one, other] for place, one in enumerate(losses) for other in losses[place + 1 :]]
    untold = sum(not pair.told_apart for pair in pairs)
    if untold == 0:
        return ["All pairs of losses are told apart."] if len(pairs) > 1 else []
    return [f"{untold} of {len(pairs)} pairs of losses cannot be told apart."]


def _baseline(board: Board, means: dict[str, float], losses: Sequence[str]) -> list[str]:
    return [
        f"{sum(means[loss] > means[baseline] for loss in losses)} of {len(losses)} losses have a higher mean than "
        f"{'the untrained trunk' if baseline == 'untrained' else 'PCA'} ({means[baseline]:.2f} %)."
        for baseline in BASELINES
        if baseline in means and baseline in board.losses
    ]


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
