"""What a caption says of the searches: how they were made, and whether their luck is inside the intervals."""

from collections.abc import Iterable
from statistics import median

from mlrc.results.boards.leaderboard import Board
from mlrc.results.records.record import BASELINES
from mlrc.results.records.trials import SearchRules
from mlrc.results.statistics.search_luck import TRIALS, spread_of_best


def how_searched(board: Board) -> Iterable[str]:
    """Say how trials were proposed, where it is not one after the other by the default sampler."""
    if board.record is None or not any(one.search for one in board.evidence):
        return
    fields = board.record.fields
    if fields.get("sampler") == "random":
        yield "All trials were drawn at random, independently of each other: the control of a search that learns."
    if (size := int(fields.get("parallel_trials", 1))) > 1:
        yield f"Trials came in batches of {size}, each proposed from the finished batches alone."
    rules = SearchRules.of(fields)
    if rules.margin is not None:
        searches = [search for one in board.evidence for search in one.by_search if search.search]
        stopped, trials = sum(len(one.stopped) for one in searches), sum(len(one.trials) for one in searches)
        yield (
            f"A trial ended after two folds where it lay more than {rules.margin:g} points below the best trial before "
            f"on the same folds ({stopped} of {trials} did); experimental."
        )


def luck_of_the_search(board: Board) -> Iterable[str]:
    """Say whether another search would have been covered, and if not by how much it might have differed."""
    if not any(one.search for one in board.evidence):
        return
    if any(row.searches > 1 for row in board.rows):
        per_loss = {one.loss: len({run.search for run in one.runs}) for one in board.evidence if one.runs}
        for baseline in BASELINES:
            per_loss.pop(baseline, None)
        numbers = sorted(set(per_loss.values()))
        given = [loss for loss in per_loss if loss not in {one.loss for one in board.evidence if one.search}]
        yield (
            f"Each loss{' but ' + ', '.join(given) if given else ''} was searched "
            f"{' or '.join(map(str, numbers))} times, independently, each time with repeats of its own. Intervals over "
            "seeds are over searches, the outer random effect: the luck of the search and the noise of seeds are "
            "inside; other images, trunks and protocols are not."
        )
        if numbers[0] == 1:
            alone = ", ".join(loss for loss, number in per_loss.items() if number == 1)
            yield f"Of {alone} there is one search alone, so it has no interval over searches."
        return
    searches = [search for one in board.evidence for search in one.by_search if search.search]
    spreads = [spread_of_best(list(search.trial_scores.values())) for search in searches]
    known = [spread for spread in spreads if spread is not None]
    told = (
        f"drawing as many of the trials that each loss had, with replacement, moves the best validation score by a "
        f"median standard deviation of {median(known):.2f} points (up to {max(known):.2f})"
        if known
        else f"there are fewer than {TRIALS} trials per loss, too few to estimate it from them"
    )
    once = "Each loss was searched once"
    if any(search.search[0].search for search in searches):
        once = "The repeats of each loss come from one search so far"
    yield (
        f"{once}: the luck of that search is in no interval, no rank and no comparison here; {told}. More searches "
        "(searches=3) put it inside."
    )
