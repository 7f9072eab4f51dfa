"""What `mlrc list` prints: the rows of each kind of thing there is."""

from collections.abc import Callable, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from harness.images.dataset import DATASETS
from harness.plugins import LOSSES
from harness.trunks.trunk import TRUNKS
from protocols.catalogue import PROTOCOLS

Listing = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Column headings and rows."""


def losses() -> Listing:
    """List the losses with their batch kind and search space."""
    rows = []
    for name in LOSSES.names():
        spec = LOSSES.find(name)
        space = ", ".join(f"{parameter} {span(distribution)}" for parameter, distribution in spec.space.items())
        rows.append((name, spec.title, spec.batch, space, spec.source))
    return ("name", "title", "batch", "parameters", "source"), rows


def datasets() -> Listing:
    """List the datasets with their counts."""
    facts = [(name, DATASETS.find(name).facts) for name in DATASETS.names()]
    rows = [(name, one.title, str(one.classes or "any"), str(one.images or "any"), one.licence) for name, one in facts]
    return ("name", "title", "classes", "images", "licence"), rows


def protocols() -> Listing:
    """List the protocols with their digests and budgets."""
    rows = [
        (name, one.digest, one.trunk, str(one.folds), str(one.trials), str(one.repeats))
        for name, one in PROTOCOLS.items()
    ]
    return ("name", "digest", "trunk", "folds", "trials", "repeats"), rows


def trunks() -> Listing:
    """List the trunks with their output size and input convention."""
    found = [TRUNKS.find(name) for name in TRUNKS.names()]
    rows = [(one.name, one.title, str(one.features), one.convention.channels, one.source) for one in found]
    return ("name", "title", "features", "channels", "source"), rows


def span(distribution: BaseDistribution) -> str:
    """Write a distribution as its interval or its choices: `log [1e-06, 1]`, `integer [2, 32]`, `{mean, max}`."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return "{" + ", ".join(map(str, choices)) + "}"
        case FloatDistribution(low=low, high=high, log=log):
            return f"{'log ' if log else ''}[{low:g}, {high:g}]"
        case IntDistribution(low=low, high=high, log=log):
            return f"{'log ' if log else ''}integer [{low}, {high}]"
    return str(distribution)


KINDS: dict[str, Callable[[], Listing]] = {
    "losses": losses,
    "datasets": datasets,
    "protocols": protocols,
    "trunks": trunks,
}


def of(kind: str) -> Listing:
    """List one kind; raises `ValueError` for an unknown one."""
    if kind not in KINDS:
        raise ValueError(f"mlrc list takes one of {', '.join(KINDS)}, but got {kind!r}.")
    return KINDS[kind]()
