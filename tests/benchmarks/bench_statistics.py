"""Do the intervals and tests of the tables hold what they promise? Simulations with the structure of published tables.

Claim, at 10 to 659 test classes × 3 to 10 repeats: the 95 % interval of a difference covers the truth in 93.5 to 96.5 %
of 21-loss tables, and in no more than 6 % of tables without differences is any pair told apart. Method: tables are
drawn by `tests.results.statistics.simulated` (normal noise of classes, of classes per loss, of seeds with unequal
variances, of classes in repeats; 20 queries per class), seeded. Run as `python -m tests.benchmarks.bench_statistics
[tables]`; its table stands in docs/statistics.md. Exit status 1 where the claim fails by more than chance explains.
"""

import sys
from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from mlrc.results.statistics.intervals import class_intervals
from tests.results.statistics.simulated import Table, judged, names

COVERAGE = (0.935, 0.965)
FAMILY_WISE = 0.06
CHANCE = 3.0  # standard errors of a share
CLASSES, REPEATS = (10, 25, 41, 100, 659), (3, 4, 10)
OTHERS = {
    "seeds of two kinds, 0.2 and 3": Table(classes=41, repeats=4, unequal="two kinds"),
    "2 to 60 queries per class": Table(classes=41, repeats=4, uneven=True),
    "no noise of classes per loss": Table(classes=41, repeats=4, of_one=0.0),
    "three losses": Table(classes=41, repeats=4, losses=3),
    "two losses, seeds of two kinds": Table(classes=300, repeats=4, losses=2, unequal="two kinds"),
    "3 searches × 3 repeats, luck of 1 point": Table(classes=100, repeats=3, searches=3, luck=1.0),
    "4 searches × 2 repeats, luck of 0.3": Table(classes=41, repeats=2, searches=4, luck=0.3),
}


class Found(NamedTuple):
    """Shares of tables, or of pairs: intervals that hold the truth, any false difference, the best in the bold set."""

    covered: float
    false: float
    best: float
    pairs: int
    tables: int


def simulated(table: Table, tables: int, seed: int = 20030850) -> Found:
    """Draw tables without differences and see what is said of them."""
    generator = np.random.default_rng(seed)
    covered, false, best = [], [], []
    for _ in range(tables):
        found = judged(table, generator)
        ends = [found.pairs[pair].difference.interval() for pair in combinations(names(table), 2)]
        covered.append(np.mean([low <= 0 <= high for low, high in ends]))
        false.append(any(pair.told_apart for pair in found.pairs.values()))
        best.append(names(table)[0] in found.best)
    return Found(float(np.mean(covered)), float(np.mean(false)), float(np.mean(best)), len(ends), tables)


def over_classes(classes: int, draws: int, seed: int = 20030850) -> float:
    """Give how often the interval over test classes holds the mean of a beta distribution of class scores."""
    generator = np.random.default_rng(seed)
    counts = np.full(classes, 20)
    ends = [class_intervals(generator.beta(3, 5, size=(1, 1, classes)) * counts, counts) for _ in range(draws)]
    return float(np.mean([low <= 37.5 <= high for found in ends for low, high in found or []]))


def _kinds() -> Iterator[tuple[str, Table]]:
    for classes in CLASSES:
        for repeats in REPEATS:
            yield f"{classes} classes, {repeats} repeats", Table(classes=classes, repeats=repeats)
    yield from OTHERS.items()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(tables: int) -> int:
    """Print the table and give the exit status."""
    wrong = []
    _say("| tables | interval of a difference covers | any false difference | the best is in the set | tables |")
    _say("| --- | ---: | ---: | ---: | ---: |")
    for what, table in _kinds():
        found = simulated(table, tables)
        _say(f"| {what} | {found.covered:.3f} | {found.false:.3f} | {found.best:.3f} | {tables} |")
        slack = CHANCE * np.sqrt(FAMILY_WISE * (1 - FAMILY_WISE) / tables)
        if found.false > FAMILY_WISE + slack or found.covered < COVERAGE[0] - slack / 2:
            wrong.append(what)
    for classes in (10, 16, 25, 41, 100, 659):
        _say(f"| interval over {classes} classes | {over_classes(classes, 4 * tables):.3f} | | | {4 * tables} |")
    if wrong:
        _say(f"The claim fails for {'; '.join(wrong)}.")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
