"""What `fold_stopping` would have changed in searches that are recorded with all their folds.

python -m tests.benchmarks.bench_fold_stopping RUNS… (by default the published evidence)

Each search is replayed in its own order and in other orders of the same trials (a Gaussian process would have proposed
others, which no record can tell). Beside the rule of the harness, `paired`, stands the tempting one, `running`: a trial
ends when the mean over its folds so far lies more than M below the mean of the best trial over all its folds.
"""

import sys
from collections.abc import Callable, Sequence
from itertools import islice, permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlrc.results.publishing.place import EVIDENCE
from mlrc.results.records.evidence import gather
from mlrc.results.records.ledger import LEDGER, read

ORDERS = 60
"""Of the trials of a search, its own first."""
FIRST = 2
Folds = NDArray[np.float64]
Rule = Callable[[Folds, Folds, float], bool]


class Replay(NamedTuple):
    """What came of one search in one order: folds trained, points lost by another winner, errors of two estimates."""

    trained: int
    changed: bool
    lost: float
    raw: tuple[float, ...]
    shifted: tuple[float, ...]


def searches(runs: Path) -> list[Folds]:
    """Give `(trials, folds)` of each search that has all its folds; a fold that diverged is NaN."""
    found = []
    for evidence in gather(read(runs / LEDGER)):
        for one in evidence.by_search:
            by_trial: dict[int, dict[int, float]] = {}
            for fold in one.search:
                score = fold.best_score if fold.outcome == "done" and fold.best_score is not None else np.nan
                by_trial.setdefault(fold.number, {})[fold.fold] = score
            if by_trial and len({len(trial) for trial in by_trial.values()}) == 1:
                trials = [by_trial[number] for number in sorted(by_trial)]
                found.append(np.array([[trial[fold] for fold in sorted(trial)] for trial in trials]))
    return found


def score(folds: Folds) -> float:
    """Give a trial's score: 0 where a fold diverged."""
    return 0.0 if np.isnan(folds).any() else float(folds.mean())


def paired(trial: Folds, incumbent: Folds, margin: float) -> bool:
    """Say whether a trial ends, held against the same folds of the incumbent."""
    return bool(incumbent[:FIRST].mean() - trial[:FIRST].mean() > margin)


def running(trial: Folds, incumbent: Folds, margin: float) -> bool:
    """Say whether a trial ends, held against the incumbent's mean over all its folds."""
    return bool(incumbent.mean() - trial[:FIRST].mean() > margin)


def replay(trials: Folds, rule: Rule, margin: float) -> Replay:
    """Replay one search in the order that is given."""
    incumbent, trained = None, 0
    raw, shifted = [], []
    for trial in trials:
        diverged = bool(np.isnan(trial[:FIRST]).any())
        if incumbent is not None and score(incumbent) and (diverged or rule(trial, incumbent, margin)):
            trained += FIRST
            if not np.isnan(trial).any():
                raw.append(float(trial[:FIRST].mean() - trial.mean()))
                shift = incumbent.mean() - incumbent[:FIRST].mean()
                shifted.append(float(trial[:FIRST].mean() + shift - trial.mean()))
            continue
        trained += len(trial)
        if incumbent is None or score(trial) > score(incumbent):
            incumbent = trial
    best = max(map(score, trials))
    found = 0.0 if incumbent is None else score(incumbent)
    return Replay(trained, found < best, best - found, tuple(raw), tuple(shifted))


def main(folders: Sequence[str]) -> None:
    """Write a table of rules, margins and what they would have changed."""
    published = Path(__file__).parents[2] / "results" / "published" / EVIDENCE
    runs = [Path(folder) for folder in folders] or sorted(path.parent for path in published.glob(f"*/{LEDGER}"))
    heads = (
        "ledger",
        "rule, M",
        "winners changed",
        "in any order",
        "points lost then",
        "folds saved",
        "raw",
        "shifted",
    )
    lines = [heads, ("---",) * len(heads)]
    for folder in runs:
        found = searches(folder)
        lines += [_line(folder.name, found, rule, m) for rule in (paired, running) for m in (0, 0.5, 1, 2, 3, 5)]
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))


def _line(name: str, found: Sequence[Folds], rule: Rule, margin: float) -> tuple[str, ...]:
    own = [replay(trials, rule, margin) for trials in found]
    orders = [
        replay(trials[list(order)], rule, margin)
        for trials in found
        for order in islice(permutations(range(len(trials))), ORDERS)
    ]
    lost = [one.lost for one in orders if one.changed]
    return (
        name,
        f"{rule.__name__}, {margin:g}",
        f"{sum(one.changed for one in own)} of {len(own)}",
        f"{np.mean([one.changed for one in orders]):.1%}",
        f"{np.mean(lost) if lost else 0:.2f}",
        f"{1 - sum(one.trained for one in own) / sum(trials.size for trials in found):.0%}",
        _error([error for one in orders for error in one.raw]),
        _error([error for one in orders for error in one.shifted]),
    )


def _error(errors: Sequence[float]) -> str:
    return f"{np.mean(errors):+.2f} ± {np.std(errors):.2f}" if errors else "–"


if __name__ == "__main__":
    main(sys.argv[1:])
