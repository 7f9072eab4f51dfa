"""What a loss has reached after n trials of its search: budget curves, and from which budget on one loss beats another.

Trials of a Gaussian process depend on those before, so their curve is the running best in their own order, with a band
over searches, or, of one search, over folds. Only trials that are drawn independently (`sampler=random`) allow the
expected best of n trials: J. Dodge et al., EMNLP 2019, arXiv 1909.03004, by the unbiased estimator of R. Tang et al.,
ACL 2020, arXiv 2004.13705. All of it is a validation score, chosen as the best: higher than the same model's on other
classes. Sums are exact (`mlrc.results.statistics.exact`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, combinations
from math import comb, sqrt

from mlrc.results.records.evidence import Evidence
from mlrc.results.statistics.exact import deviation, mean
from mlrc.results.statistics.intervals import Interval, half_width, welch
from mlrc.results.statistics.levels import ALPHA


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a loss has reached after so many trials; scores in percent.

    Attributes:
        trials: of each search.
        best: the best trial's validation score so far, mean over searches.
        spread: its 95 % Student-t interval over searches; `None` for one search.
        folds: half width of the interval over the folds of the best trial, the level of each fold taken out, mean over
            searches: how well its mean is known, given that all trials have the same folds. `None` where a fold of the
            best trial diverged, and of one fold.
        expected: expected best score of so many independent trials, with its standard deviation `expected_sd`; `None`
            where trials are not independent.
        test: mean over searches of the test score of the repeats, from as many trials on as each search needed to find
            what these were trained with; `test_spread` its interval. `None` before, and for one search.
    """

    trials: int
    best: float
    spread: Interval | None
    folds: float | None
    expected: float | None
    expected_sd: float | None
    test: float | None
    test_spread: Interval | None


@dataclass(frozen=True, kw_only=True)
class Overtaking:
    """From which budget on one loss beats another.

    Attributes:
        first: the loss that is ahead at the end.
        second: the other one.
        from_trials: the fewest trials from which on the first is ahead at every budget.
        surely_from: likewise with an interval over searches (Welch, α = 0.05, of each budget by itself) that does not
            hold 0; `None` where there is no such budget, or one search.
    """

    first: str
    second: str
    from_trials: int
    surely_from: int | None


def budgets(evidence: Evidence, *, independent: bool, metric: str, setting: str) -> list[Budget]:
    """Give the budget curve of a loss, from one trial to as many as each of its searches has.

    Args:
        evidence: of a loss; one without a search has no curve.
        independent: whether its trials were drawn independently.
        metric: of the test score.
        setting: likewise, `separated` or `concatenated`.
    """
    searches = [one for one in evidence.by_search if one.search]
    if not searches:
        return []
    of_searches = courses(evidence)
    trials = min(map(len, of_searches))
    by_folds = [_of_folds(one) for one in searches]
    every = [score for one in searches for score in list(one.trial_scores.values())[:trials]]
    tests, known_from = _tests(searches, metric, setting)
    found = []
    for n in range(1, trials + 1):
        best = [course[n - 1] for course in of_searches]
        folds = [of_search[n - 1] for of_search in by_folds]
        known = [half for half in folds if half is not None]
        expected = expected_best(every, n) if independent else None
        told = tests if tests and n >= known_from else []
        found.append(
            Budget(
                trials=n,
                best=mean(best),
                spread=_interval(best),
                folds=mean(known) if len(known) == len(folds) else None,
                expected=expected[0] if expected else None,
                expected_sd=expected[1] if expected else None,
                test=mean(told) if told else None,
                test_spread=_interval(told) if told else None,
            )
        )
    return found


def expected_best(scores: Sequence[float], n: int) -> tuple[float, float]:
    """Give mean and standard deviation of the best of n of these scores, over all ways to draw n without replacement.

    The mean is unbiased for the expected best of n independent trials (Tang et al. 2020); with replacement, as Dodge et
    al. (2019) draw, it would be too low.

    Args:
        scores: of independent trials.
        n: from 1 to their number.
    """
    ordered = [Fraction(score) for score in sorted(scores)]
    ways = comb(len(ordered), n)
    chances = [Fraction(comb(below, n - 1), ways) for below in range(len(ordered))]  # that it is the best one
    middle = sum((chance * score for chance, score in zip(chances, ordered, strict=True)), Fraction(0))
    squares = sum((chance * (score - middle) ** 2 for chance, score in zip(chances, ordered, strict=True)), Fraction(0))
    return float(middle), sqrt(squares)


def height(budget: Budget) -> float:
    """Give what a loss is judged by at a budget: the expected best where there is one, or else the running best."""
    return budget.best if budget.expected is None else budget.expected


def overtakings(
    curves: Mapping[str, Sequence[Budget]], running: Mapping[str, Sequence[Sequence[float]]]
) -> list[Overtaking]:
    """Give for every two losses from which budget on the one that is ahead at the end beats the other.

    Args:
        curves: loss to its budget curve; compared are budgets that both have.
        running: loss to the running best of each of its searches.

    Returns:
        By the losses' order; two that are level at the end are left out.
    """
    found = []
    for pair in combinations(curves, 2):
        trials = min(len(curves[loss]) for loss in pair)
        if not trials:
            continue
        end = [height(curves[loss][trials - 1]) for loss in pair]
        if end[0] == end[1]:
            continue
        first, second = pair if end[0] > end[1] else pair[::-1]
        ahead = [height(curves[first][n]) > height(curves[second][n]) for n in range(trials)]
        surely = [_surely(running[first], running[second], n) for n in range(trials)]
        found.append(
            Overtaking(
                first=first,
                second=second,
                from_trials=_since(ahead) or trials,
                surely_from=_since(surely),
            )
        )
    return found


def courses(evidence: Evidence) -> list[list[float]]:
    """Give the running best of each search of a loss."""
    return [list(accumulate(one.trial_scores.values(), max)) for one in evidence.by_search if one.search]


def _since(holds: Sequence[bool]) -> int | None:
    """Give the number, from 1, of the first place from which on it always holds."""
    last = next((place for place in reversed(range(len(holds))) if not holds[place]), -1)
    return None if last == len(holds) - 1 else last + 2


def _surely(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], n: int) -> bool:
    sides = [[course[n] for course in of_loss] for of_loss in (first, second)]
    halves = [half_width(side) for side in sides]
    if halves[0] is None or halves[1] is None:
        return False
    means = (mean(sides[0]), mean(sides[1]))
    errors = (deviation(sides[0]) / sqrt(len(sides[0])), deviation(sides[1]) / sqrt(len(sides[1])))
    return means[0] > means[1] and welch(means, errors, (len(sides[0]), len(sides[1]))).p_value < ALPHA


def _interval(values: Sequence[float]) -> Interval | None:
    half = half_width(values)
    return None if half is None else Interval(mean(values) - half, mean(values) + half)


def _of_folds(search: Evidence) -> list[float | None]:
    """Give after each trial the half width over the folds of the best one so far."""
    by_trial: dict[int, dict[int, float | None]] = {}
    for record in search.search:
        score = record.best_score if record.outcome == "done" else None
        by_trial.setdefault(record.number, {})[record.fold] = score
    levels = _levels(by_trial.values())
    scores = search.trial_scores
    found: list[float | None] = []
    best: int | None = None
    for number, score in scores.items():
        best = number if best is None or score > scores[best] else best
        of_best = by_trial[best]
        left = [score - levels[fold] for fold, score in of_best.items() if score is not None and fold in levels]
        found.append(half_width(left) if len(left) == len(of_best) else None)
    return found


def _levels(trials: Iterable[Mapping[int, float | None]]) -> dict[int, float]:
    """Give the mean of each fold over the trials that were trained to the end in all folds."""
    whole = [
        {fold: score for fold, score in trial.items() if score is not None}
        for trial in trials
        if None not in trial.values()
    ]
    most = max(map(len, whole), default=0)
    whole = [trial for trial in whole if len(trial) == most]
    return {fold: mean([trial[fold] for trial in whole]) for fold in (whole[0] if whole else {})}


def _tests(searches: Sequence[Evidence], metric: str, setting: str) -> tuple[list[float], int]:
    """Give the mean test score of each search, and after how many trials all had found what they were tested with."""
    if len(searches) < 2 or not all(one.runs for one in searches):
        return [], 0
    known = []
    for one in searches:
        scores = one.trial_scores
        known.append(next(place for place, score in enumerate(scores.values(), 1) if score == max(scores.values())))
    return [mean([run.scores(setting)[metric] for run in one.runs]) for one in searches], max(known)
