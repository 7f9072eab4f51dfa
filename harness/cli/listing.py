"""What `mlrc list` prints: the rows of each kind of thing, and a sentence for each plug-in that cannot be used."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlrc.harness.images.dataset import DATASETS
from mlrc.harness.plugins import LOSSES, PROTOCOLS
from mlrc.harness.trunks.trunk import TRUNKS
from mlrc.losses.left_out import LEFT_OUT, OF_THE_PAPERS
from mlrc.protocols.coverage import COVERAGE
from mlrc.protocols.sweeps import SWEEPS


class Listing(NamedTuple):
    """Column headings and rows for a reader, the same as JSON values for a program, and what could not be read."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    entries: Sequence[Mapping[str, Any]]
    failures: Sequence[str] = ()


def losses() -> Listing:
    """List the losses with their batch kind and search space."""
    found, failures = LOSSES.survey()
    rows = []
    for name, spec in found.items():
        space = ", ".join(f"{parameter} {span(distribution)}" for parameter, distribution in spec.space.items())
        rows.append((name, spec.title, spec.batch, space, spec.source))
    entries = [spec.describe() for spec in found.values()]
    return Listing(("name", "title", "batch", "parameters", "source"), rows, entries, list(failures.values()))


def left_out() -> Listing:
    """List the classes of PML that are no losses to compare, and what papers compare with, with the reason."""
    return _plain(("class", "reason"), [*LEFT_OUT.items(), *OF_THE_PAPERS.items()])


def coverage() -> Listing:
    """List what of the four papers lives where here, and what does not, with the reason."""
    rows = [(one.paper, one.item, one.what, ", ".join(one.here), one.reason) for one in COVERAGE]
    return _plain(("paper", "item", "what", "here", "reason"), rows)


def datasets() -> Listing:
    """List the datasets with their counts."""
    found, failures = DATASETS.survey()
    facts = [dataset.facts for dataset in found.values()]
    rows = [
        (one.name, one.title, str(one.classes or "any"), str(one.images or "any"), one.official_split, one.licence)
        for one in facts
    ]
    columns = ("name", "title", "classes", "images", "official split", "licence")
    return Listing(columns, rows, [asdict(one) for one in facts], list(failures.values()))


def protocols() -> Listing:
    """List the protocols with their digests and budgets."""
    found, failures = PROTOCOLS.survey()
    rows = [
        (name, one.digest, one.trunk, str(one.folds), str(one.trials), str(one.repeats)) for name, one in found.items()
    ]
    entries = [{"digest": one.digest, **one.to_json()} for one in found.values()]
    columns = ("name", "digest", "trunk", "folds", "trials", "repeats")
    return Listing(columns, rows, entries, list(failures.values()))


def sweeps() -> Listing:
    """List the papers' ablations that have a name."""
    rows = [
        (
            one.name,
            one.title,
            one.loss,
            one.protocol,
            " × ".join(
                f"{factor.name} {', '.join(choice.label for choice in factor.choices)}" for factor in one.factors
            ),
            one.source,
        )
        for one in SWEEPS.values()
    ]
    return _plain(("name", "title", "loss", "protocol", "values", "source"), rows)


def trunks() -> Listing:
    """List the trunks with their output size and input convention."""
    found, failures = TRUNKS.survey()
    rows = [(one.name, one.title, str(one.features), one.convention.channels, one.source) for one in found.values()]
    return _plain(("name", "title", "features", "channels", "source"), rows)._replace(failures=list(failures.values()))


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


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Listing:
    return Listing(columns, rows, [dict(zip(columns, row, strict=True)) for row in rows])


KINDS: dict[str, Callable[[], Listing]] = {
    "losses": losses,
    "datasets": datasets,
    "protocols": protocols,
    "trunks": trunks,
    "left-out": left_out,
    "sweeps": sweeps,
    "coverage": coverage,
}


def of(kind: str) -> Listing:
    """List one kind; raises `ValueError` for an unknown one."""
    if kind not in KINDS:
        raise ValueError(f"mlrc list takes one of {', '.join(KINDS)}, but got {kind!r}.")
    return KINDS[kind]()
