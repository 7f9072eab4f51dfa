"""The points of a search space that stand for all of it: its centre and its corners, by which a loss is checked."""

import math
from collections.abc import Iterator, Mapping
from itertools import product

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlrc.losses.spec import Value

MAX_CORNERS = 256
"""Of a larger space, with more than eight ranges, `corners` gives those that differ from all low or all high in one."""


def centre(space: Mapping[str, BaseDistribution]) -> dict[str, Value]:
    """Give the middle of every range, the geometric one where the search is logarithmic, and the middle choice."""
    return {name: _middle(distribution) for name, distribution in space.items()}


def corners(space: Mapping[str, BaseDistribution]) -> Iterator[dict[str, Value]]:
    """Give every combination of the ranges' ends; of a space with more than `MAX_CORNERS` the outermost ones.

    A space without parameters has one corner, the empty one.
    """
    pairs = {name: ends(distribution) for name, distribution in space.items()}
    if math.prod(len(pair) for pair in pairs.values()) <= MAX_CORNERS:
        for values in product(*pairs.values()):
            yield dict(zip(pairs, values, strict=True))
        return
    low, high = ({name: pair[side] for name, pair in pairs.items()} for side in (0, -1))
    yield from (low, high)
    for name in pairs:
        yield low | {name: high[name]}
        yield high | {name: low[name]}


def ends(distribution: BaseDistribution) -> tuple[Value, ...]:
    """Give the lowest and the highest value of a range, or all choices."""
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)  # type: ignore[arg-type]  # None is no value of a parameter here
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return (distribution.low,) if distribution.single() else (distribution.low, distribution.high)
    raise TypeError(f"A search space is made of Float, Int and CategoricalDistribution, but got {distribution}.")


def _middle(distribution: BaseDistribution) -> Value:
    choices = ends(distribution)
    if isinstance(distribution, CategoricalDistribution):
        return choices[len(choices) // 2]
    assert isinstance(distribution, FloatDistribution | IntDistribution)  # noqa: S101 narrows what `ends` admits
    low, high = distribution.low, distribution.high
    middle = math.sqrt(low * high) if distribution.log else (low + high) / 2
    if distribution.step is not None:
        middle = low + round((middle - low) / distribution.step) * distribution.step
    return round(middle) if isinstance(distribution, IntDistribution) else middle
