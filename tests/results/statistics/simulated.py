"""Tables whose truth is known: losses × searches × repeats × classes, made up with the structure of the published ones.

Scores are percent points. A class is hard or easy for all losses, more so for some; a seed moves all classes of a
repeat; a search moves all its repeats; and each class of each repeat has noise of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlrc.results.statistics.pairs import Contest, contest

MIDDLE = 40.0
"""Of the scale; no simulated class comes near its ends."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """How tables are made.

    Attributes:
        classes: test classes; `repeats` of each of the `losses` (of each search).
        truth: what each loss scores beyond the middle; zeros where it is shorter than the losses.
        of_all: standard deviation of classes over all losses; `of_one` of a class for one loss; `seeds` of repeats;
            `both` of a class in a repeat; percent points.
        unequal: seeds scatter equally in all losses, as in the published tables (a scaled inverse chi-squared with 5
            degrees of freedom), or by 0.2 points in one half of the losses and 3 in the other.
        searches: independent searches per loss, and by how much they scatter (`luck`).
        uneven: whether classes have 2 to 60 queries, or 20 each.
    """

    classes: int
    repeats: int
    losses: int = 21
    truth: Sequence[float] = ()
    of_all: float = 9.0
    of_one: float = 3.0
    seeds: float = 0.5
    both: float = 2.0
    unequal: Literal["no", "as published", "two kinds"] = "as published"
    searches: int = 1
    luck: float = 0.0
    uneven: bool = False


def drawn(table: Table, generator: np.random.Generator) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """Give loss to `(searches × repeats, classes)` sums, and the queries of each class."""
    sizes = generator.integers(2, 61, size=table.classes) if table.uneven else np.full(table.classes, 20)
    of_all = generator.normal(0, table.of_all, size=table.classes)
    sums = {}
    for number, name in enumerate(names(table)):
        seeds = _seeds(table, number, generator)
        shape = (table.searches, table.repeats, table.classes)
        scores = MIDDLE + (table.truth[number] if number < len(table.truth) else 0.0) + np.zeros(shape)
        scores += of_all + generator.normal(0, table.of_one, size=table.classes)
        scores += generator.normal(0, seeds, size=(*shape[:2], 1))
        scores += generator.normal(0, table.luck, size=(table.searches, 1, 1))
        scores += generator.normal(0, table.both, size=shape)
        sums[name] = np.clip(scores / 100, 0, 1).reshape(-1, table.classes) * sizes
    return sums, sizes.astype(np.int64)


def names(table: Table) -> list[str]:
    """Give the losses in the order of the `truth`, which is that of their names."""
    return [f"loss{number:02}" for number in range(table.losses)]


def judged(table: Table, generator: np.random.Generator) -> Contest:
    """Draw a table and compare its losses."""
    sums, counts = drawn(table, generator)
    searches = np.repeat(np.arange(table.searches), table.repeats).tolist()
    found = contest(sums, counts, dict.fromkeys(sums, searches))
    assert found is not None
    return found


def _seeds(table: Table, number: int, generator: np.random.Generator) -> float:
    if table.unequal == "two kinds":
        return 0.2 if number % 2 else 3.0
    if table.unequal == "no":
        return table.seeds
    return float(table.seeds * np.sqrt(5 / generator.chisquare(5)))
