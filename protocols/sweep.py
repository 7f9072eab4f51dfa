"""A sweep as a value: what is compared with itself, and what varies; and how a factor is read from text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOSS = "loss"
"""The name that takes another loss."""


@dataclass(frozen=True, kw_only=True)
class PrintedPlace:
    """Where a paper prints the number of a choice: the beginnings of its rows' title and place in `papers.csv`."""

    source: str
    title: str
    place: str = ""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One value of a factor.

    Attributes:
        label: for tables and plots.
        assignments: `name=value` texts that make it, of parameters of the loss or fields of the protocol;
            `name.dataset=value` for one dataset, before what holds for all; `loss=NAME` takes another loss.
        printed: what a paper says of it.
    """

    label: str
    assignments: tuple[str, ...]
    printed: tuple[PrintedPlace, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Factor:
    """What a sweep varies."""

    name: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One or two factors, all of whose combinations are trained.

    Attributes:
        name: `lower_case`; `title` and `source` say whose ablation it is, `note` what of it is ours.
        loss: its name, with the name of the `protocol`; several losses are a factor, see `losses`.
    """

    name: str
    title: str
    source: str
    loss: str
    protocol: str
    factors: tuple[Factor, ...]
    note: str = ""


def factor(text: str) -> Factor:
    """Read a factor from `name=value,value,…`, or a composite one from `name=label:p=1,q=2;label:p=3`.

    Raises:
        ValueError: it is malformed, has no value, or one twice.
    """
    name, equals, values = (part.strip() for part in text.partition("="))
    if "=" in values:
        return _composite(name, values)
    labels = [value.strip() for value in values.split(",")]
    if not equals or not name or not all(labels):
        raise ValueError(f"--vary takes name=value,value,… with at least one value and none empty, but got {text!r}.")
    _require_different(name, labels, values)
    return varied(name, *labels)


def losses(*names: str) -> Factor:
    """Give the factor that trains several losses."""
    _require_different(LOSS, names, ",".join(names))
    return varied(LOSS, *names)


def _composite(name: str, values: str) -> Factor:
    choices = []
    for one in values.split(";"):
        label, colon, told = (part.strip() for part in one.partition(":"))
        assignments = _assignments(told)
        if not name or not label or not colon or not all("=" in text for text in assignments):
            raise ValueError(
                f"--vary of several things at once takes name=label:p=1,q=2;label:p=3, but got {name}={values!r}; "
                "each label needs a colon and name=value after it."
            )
        choices.append(Choice(label=label, assignments=assignments))
    _require_different(name, [choice.label for choice in choices], values)
    return Factor(name=name, choices=tuple(choices))


def _assignments(told: str) -> tuple[str, ...]:
    """Part `p=1,q=2,3` into `p=1` and `q=2,3`: a value may have commas of its own."""
    found: list[str] = []
    for part in (piece.strip() for piece in told.split(",")):
        if "=" in part or not found:
            found.append(part)
        else:
            found[-1] += f",{part}"
    return tuple(found)


def _require_different(name: str, labels: Sequence[str], values: str) -> None:
    if len(set(labels)) < len(labels):
        raise ValueError(f"The values of {name} must differ, but got {values!r}.")


def varied(name: str, *labels: str, printed: Mapping[str, tuple[PrintedPlace, ...]] | None = None) -> Factor:
    """Give the factor whose values are the labels themselves, with what a paper prints of each."""
    choices = (
        Choice(label=label, assignments=(f"{name}={label}",), printed=(printed or {}).get(label, ()))
        for label in labels
    )
    return Factor(name=name, choices=tuple(choices))
