"""Records of losses that were searched several times, made up of single searches."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mlrc.results.records.record import UNTRAINED
from tests.results.studies import Made, make, rekeyed


def searched(means: Mapping[str, float], searches: int, *, luck: float = 0.0, **options: Any) -> Made:
    """Make a study with so many searches of each loss.

    Args:
        means: as for `make`, with the `options`.
        searches: of each loss.
        luck: standard deviation of what a search finds, percent.
    """
    together = Made()
    generator = np.random.default_rng(3)
    for search in range(searches):
        moved = {loss: mean + (loss != UNTRAINED) * generator.normal(0, luck) for loss, mean in means.items()}
        of_one = {loss: mean for loss, mean in moved.items() if search == 0 or loss != UNTRAINED}
        made = make(of_one, seed=search, **options)
        for protocol in made.records.protocols.values():
            together.records.add(replace(protocol, fields={**protocol.fields, "searches": searches}))
        for fold in made.records.folds.values():
            together.records.add(replace(fold, key=_key(fold.key, search), search=search))
        for run in made.records.runs.values():
            keys = tuple(_key(key, search) for key in run.fold_keys)
            together.records.add(replace(run, key=_key(run.key, search), fold_keys=keys, search=search))
            together.per_class[_key(run.key, search)] = made.per_class[run.key]
    return rekeyed(together)


def _key(key: str, search: int) -> str:
    """Tell the records of several searches apart until they have keys of their own."""
    return f"{key}/{search}"
