"""By how much the rows of two runs of the same rules differ, and how sure that is."""

import math
from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from mlrc.results.boards.leaderboard import Row
from mlrc.results.records.metric_names import RANKED_BY, SAME_NUMBER
from mlrc.results.records.record import BASELINES
from mlrc.results.statistics.intervals import Difference, error_of, holm
from mlrc.results.statistics.moderation import Moderated, moderated
from mlrc.results.statistics.power import detectable, smallest_margin

FIRST = 0.8
"""Of the error rate, the share of the metric by which tables are ranked; the other metrics have the rest."""
Compared = Mapping[int, tuple[Row, Row]]
"""Number of a row to it and its counterpart."""


class Told(NamedTuple):
    """What a check could see: the typical detectable shift, and the margin within which all rows are the same."""

    detectable: float
    margin: float


def shifts(compared: Compared) -> dict[int, Difference]:
    """Give candidate minus reference of each row.

    Two runs of a loss have the same noise, so that their variances are pooled; and those of one metric are drawn
    towards what all losses of a board have in common (`mlrc.results.statistics.moderation`).
    """
    found: dict[int, Difference] = {}
    noisy: dict[tuple[object, ...], list[int]] = {}
    for index, (row, other) in compared.items():
        if is_identical(row, other) or is_noiseless(row, other):
            found[index] = Difference(mean=round(other.mean, 4) - round(row.mean, 4), error=0.0, freedom=1)
        else:
            column = (row.dataset, row.digest, row.setting, row.metric, row.loss in BASELINES)
            noisy.setdefault(column, []).append(index)
    for indices in noisy.values():
        pooled = [_pooled(*compared[index]) for index in indices]
        steadied = moderated([one.variance for one in pooled], [int(one.freedom) for one in pooled])
        for index, steady in zip(indices, steadied, strict=True):
            row, other = compared[index]
            error = math.sqrt(steady.variance * (1 / row.units + 1 / other.units))
            found[index] = Difference(mean=other.mean - row.mean, error=error, freedom=steady.freedom)
    return {index: found[index] for index in compared}


def corrected(found: Mapping[int, tuple[Row, Difference]]) -> dict[int, float]:
    """Give number to corrected p-value; rows that are one number under several names are one hypothesis.

    Those of the metric by which tables are ranked come first: the others have what is left of the error rate.
    """
    adjusted: dict[int, float] = {}
    families = [
        {index: one for index, one in found.items() if (one[0].metric == RANKED_BY) is first} for first in (True, False)
    ]
    for family, share in zip(families, (FIRST, 1 - FIRST), strict=True):
        p_values: dict[tuple[str, ...], float] = {}
        for row, difference in family.values():
            p_values[hypothesis(row)] = min(p_values.get(hypothesis(row), 1.0), difference.p_value)
        of_family = dict(zip(p_values, holm(list(p_values.values())), strict=True))
        part = share if all(families) else 1.0
        adjusted |= {index: min(1.0, of_family[hypothesis(row)] / part) for index, (row, _) in family.items()}
    return adjusted


def seen(found: Mapping[int, Difference], alpha: float) -> Told | None:
    """Say what could be seen; `None` where nothing has noise."""
    noisy = [one for one in found.values() if one.error > 0]
    if not noisy:
        return None
    return Told(
        detectable=median(detectable(one.error, one.freedom, len(found), alpha) for one in noisy),
        margin=max(smallest_margin(one, 1, alpha) for one in noisy),
    )


def hypothesis(row: Row) -> tuple[str, ...]:
    """Give what a row says something of."""
    return row.dataset, row.digest, row.loss, row.setting, SAME_NUMBER.get(row.metric, row.metric)


def is_identical(row: Row, other: Row) -> bool:
    """Whether two rows print the same: the same jobs under the same arithmetic, and no independent samples."""
    return row.n == other.n and _printed(row) == _printed(other)


def is_noiseless(row: Row, other: Row) -> bool:
    """Whether no seed enters where the trunk is pretrained: without training it needs no second repeat."""
    return row.loss in BASELINES and row.n == other.n == 1


def _printed(row: Row) -> tuple[str, str]:
    return f"{row.mean:.4f}", "" if row.ci95 is None else f"{row.ci95:.4f}"


def _pooled(row: Row, other: Row) -> Moderated:
    """Give the variance of one repeat (of one search, where there are several) over both runs."""
    freedom = row.units + other.units - 2
    squares = math.fsum((one.units - 1) * one.units * error_of(one.ci95 or 0.0, one.units) ** 2 for one in (row, other))
    return Moderated(squares / freedom, float(freedom))
