"""Which parameters a loss has under a protocol: those that a search varies, and those that are given without one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mlrc.harness.plugins import LOSSES
from mlrc.losses.spec import EVERY, LOSS_LR, LossSpec, Value
from mlrc.protocols.protocol import Protocol
from mlrc.results.boards.parameters import Range
from mlrc.results.records.record import PCA, UNTRAINED

FALLBACK = "cub200"
"""The dataset whose published parameters hold where a paper names none: all papers use it."""

REALITY_CHECK = "reality_check"
"""The family of `LossSpec.published`."""

_BASELINE_TITLES = {UNTRAINED: "Untrained", PCA: "PCA"}

RATES = FloatDistribution(1e-12, 1e6)
"""The learning rates that may be given; ProxyNCA++'s proxies take 2,400."""


def space(spec: LossSpec, protocol: Protocol, dataset: str) -> dict[str, BaseDistribution]:
    """Give what a search varies: without the learning rate of the loss's parameters where the protocol sets it."""
    fixed = protocol.loss_lr.of(dataset) > 0
    return {name: distribution for name, distribution in spec.space.items() if not (fixed and name == LOSS_LR)}


def buildable(spec: LossSpec, protocol: Protocol, dataset: str, params: Mapping[str, Value]) -> LossSpec:
    """Give the spec that builds the loss from `params`: a `loss_lr` among them goes before the protocol's.

    What a paper takes in this family, and any `loss_lr` that is given, may lie beyond the range that is searched.
    """
    own = spec if LOSS_LR in params else replace(spec, space=space(spec, protocol, dataset))
    claimed = _claimed(spec, protocol.family, dataset)
    rate = params.get(LOSS_LR)
    beyond = {name: value for name, value in params.items() if value == claimed.get(name)}
    if isinstance(rate, int | float) and RATES.low <= rate <= RATES.high:
        beyond[LOSS_LR] = rate
    return own.widened_to(beyond)


def _claimed(spec: LossSpec, family: str, dataset: str) -> Mapping[str, Value]:
    """Give what a paper takes for this dataset under rules of this family; empty where none says anything."""
    of_family = spec.under.get(family, {})
    return of_family.get(dataset, {}) or of_family.get(EVERY, {})


def ranges(losses: Iterable[str]) -> dict[str, dict[str, Range]]:
    """Give loss to parameter to the range that its search has today, of the losses that are known here."""
    return {
        loss: {name: _range(distribution) for name, distribution in LOSSES.find(loss).space.items()}
        for loss in losses
        if LOSSES.knows(loss)
    }


def ranges_of_ours(losses: Iterable[str]) -> dict[str, dict[str, Range]]:
    """Give what `ranges` gives of the losses that come with mlrc, which is the same wherever it is installed."""
    return ranges(loss for loss in losses if LOSSES.is_ours(loss))


def titles(losses: Iterable[str]) -> dict[str, str]:
    """Give loss to its title, of the losses that are known here and of the rows that no loss made.

    Of losses that share a title none has it, so that no two rows of a table go by one name.
    """
    found = {loss: LOSSES.find(loss).title for loss in losses if LOSSES.knows(loss)} | _BASELINE_TITLES
    often = Counter(found.values())
    return {loss: title for loss, title in found.items() if often[title] == 1}


def titles_of_ours(losses: Iterable[str]) -> dict[str, str]:
    """Give what `titles` gives of the losses that come with mlrc, which is the same wherever it is installed."""
    return titles(loss for loss in losses if LOSSES.is_ours(loss))


def _range(distribution: BaseDistribution) -> Range:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log) | IntDistribution(low=low, high=high, log=log):
            return Range(low=low, high=high, log=log)
        case CategoricalDistribution(choices=choices):
            return Range(choices=tuple(choice for choice in choices if choice is not None))
    raise TypeError(f"A space holds Optuna's float, int and categorical distributions, but got {distribution!r}.")


def tried(spec: LossSpec, params: Mapping[str, Value]) -> dict[str, BaseDistribution]:
    """Give the distributions of what a recorded trial varied: without `loss_lr` where its protocol set it.

    Raises:
        ValueError: a parameter is not, or no more, in the space of the loss, or lies outside its range.
    """
    own = {name: distribution for name, distribution in spec.space.items() if name in params}
    replace(spec, space=own).check(params)
    return own


def given(
    spec: LossSpec, protocol: Protocol, dataset: str, chosen: Mapping[str, Value], *, fall_back: bool = False
) -> dict[str, Value]:
    """Give the parameters of a loss that is not searched.

    Those that are not chosen are the ones published for the dataset under rules of the protocol's family. Under a
    protocol that has nothing to search on, or with `fall_back`, what is not published for it is what the family's
    papers take on every dataset, or else, in the Reality Check's family, what is published for CUB-200-2011, or else
    what the loss's own paper recommends. A rate that a paper takes in this family goes before the protocol's, unless a
    variant sets that one; of the Reality Check's optima it does not count where the protocol sets one.

    Raises:
        ValueError: a parameter has no value, or one outside its range.
    """
    names = space(spec, protocol, dataset)
    found = _published(spec, protocol, dataset, fall_back=fall_back or protocol.epoch_choice != "best_on_validation")
    params = {name: value for name, value in found.items() if name in names or name != LOSS_LR}
    rate = _claimed(spec, protocol.family, dataset).get(LOSS_LR)
    if rate is not None and protocol.loss_lr.of(dataset) == protocol.origin.loss_lr.of(dataset):
        params[LOSS_LR] = rate
    params |= dict(chosen)
    if missing := [name for name in names if name not in params]:
        told = _told(spec, protocol.family)
        elsewhere = f", but has some for {told}" if told else ""
        way_out = "search them, or give" if protocol.epoch_choice == "best_on_validation" else "give"
        raise ValueError(
            f"Loss {spec.name!r} has no published parameters for {dataset!r}{elsewhere} (rules of the family "
            f"{protocol.family!r}); {way_out} {', '.join(missing)} with --param NAME=VALUE."
        )
    buildable(spec, protocol, dataset, params).check(params)
    return params


def _published(spec: LossSpec, protocol: Protocol, dataset: str, *, fall_back: bool) -> Mapping[str, Value]:
    of_family = spec.under.get(protocol.family, {})
    tuned = spec.published if protocol.family == REALITY_CHECK else {}
    found = of_family.get(dataset, {}) or tuned.get(dataset, {})
    if found or not fall_back:
        return found
    return of_family.get(EVERY, {}) or tuned.get(FALLBACK, {}) or spec.recommended


def _told(spec: LossSpec, family: str) -> str:
    """Name the datasets that have parameters in this family, or else the families that have some."""
    datasets = [*spec.under.get(family, {}), *(spec.published if family == REALITY_CHECK else {})]
    families = [*spec.under, *([REALITY_CHECK] if spec.published else [])]
    return ", ".join(name for name in datasets if name != EVERY) or ", ".join(f"the family {one}" for one in families)


def read(assignments: Sequence[str], specs: Sequence[LossSpec]) -> dict[str, dict[str, Value]]:
    """Read `name=value` and `loss.name=value` into loss to name to value; a plain name holds for all losses with it.

    Raises:
        ValueError: an assignment is malformed, or names no loss or parameter of the comparison.
    """
    found: dict[str, dict[str, Value]] = {spec.name: {} for spec in specs}
    said: dict[str, str] = {}
    for plain in (True, False):  # what names its loss goes before what holds for all
        for assignment in assignments:
            target, equals, text = assignment.partition("=")
            loss, dot, name = target.strip().rpartition(".")
            if not equals or not name:
                raise ValueError(f"--param takes name=value or loss.name=value, but got {assignment!r}.")
            target, text = target.strip(), text.strip()
            if said.setdefault(target, text) != text:
                raise ValueError(
                    f"{target} must be given once, but got {said[target]} and {text}; leave one of them out."
                )
            takers = [spec for spec in specs if name in spec.parameters and loss in ("", spec.name)]
            if not takers:
                known = ", ".join(f"{spec.name}.{one}" for spec in specs for one in spec.parameters) or "none"
                raise ValueError(f"No loss here has a parameter {target.strip()!r} to give; there are {known}.")
            if plain != bool(dot):
                for spec in takers:
                    found[spec.name][name] = _value(name, spec.parameters[name], text.strip())
    return found


def _value(name: str, distribution: BaseDistribution, text: str) -> Value:
    if isinstance(distribution, CategoricalDistribution):
        for choice in distribution.choices:
            if text == str(choice) or (isinstance(choice, float) and _number(text) == choice):
                return choice  # type: ignore[return-value] # None is no value of a parameter here
        raise ValueError(f"{name} must be one of {', '.join(map(str, distribution.choices))}, but got {text!r}.")
    number = _number(text)
    if number is None:
        raise ValueError(f"{name} must be a number, but got {text!r}.")
    return int(number) if isinstance(distribution, IntDistribution) and number.is_integer() else number


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
