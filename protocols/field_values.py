"""What a field of a protocol may hold: one value, or one per dataset; read from text, and written as text and JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True)
class PerDataset(Generic[V]):
    """A value that the protocol sets per dataset, with a default for those it does not name."""

    default: V
    named: tuple[tuple[str, V], ...] = ()

    def of(self, dataset: str) -> V:
        """Give the value for a dataset."""
        return dict(self.named).get(dataset, self.default)

    def __str__(self) -> str:
        return ", ".join([str(self.default), *(f"{name}: {value}" for name, value in self.named)])


def of(value: V | PerDataset[V], dataset: str) -> V:
    """Give a value for a dataset, whether the protocol sets it per dataset or once for all."""
    return value.of(dataset) if isinstance(value, PerDataset) else value


def each(value: Any) -> tuple[Any, ...]:
    """Give the values of all datasets, the default first; the one value of a field that is set once for all."""
    return (value.default, *(one for _, one in value.named)) if isinstance(value, PerDataset) else (value,)


def numbers(value: Any) -> tuple[Any, ...]:
    """Give every single value of a field: of all datasets, and of a tuple all its parts."""
    return tuple(part for one in each(value) for part in (one if isinstance(one, tuple) else (one,)))


def in_order(value: Any, original: object) -> Any:
    """Give the one way to write a value per dataset: in the order of the original's names, then of the alphabet.

    A dataset that the original does not name is left out where it has the default.
    """
    if not isinstance(value, PerDataset):
        return value
    there = dict(original.named) if isinstance(original, PerDataset) else {}
    named = dict(value.named)
    new = (name for name in sorted(named) if name not in there and named[name] != value.default)
    return PerDataset(value.default, tuple((name, named[name]) for name in (*filter(named.__contains__, there), *new)))


def as_json(value: object) -> Any:
    """Give a field's value as a JSON value."""
    return json.loads(json.dumps(asdict(value) if isinstance(value, PerDataset) else value))


def short(value: object) -> str:
    """Write a value for a name or a sentence: without blanks, a sha256 by its first 12 digits."""
    text = ",".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
    return text[:12] if len(text) == 64 else text.replace(" ", "")


def parse(name: str, current: object, text: str, dataset: str) -> object:
    """Read a value of the kind that the field `name` has now, for one dataset or, where that is empty, for all.

    Raises:
        ValueError: the text is no such value.
    """
    if isinstance(current, PerDataset):
        value = parse(name, current.default, text, "")
        others = [pair for pair in current.named if pair[0] != dataset]
        return PerDataset(current.default, (*others, (dataset, value))) if dataset else PerDataset(value)
    if isinstance(current, bool):
        words = {"true": True, "false": False}
        if text.lower() not in words:
            raise ValueError(f"{name} must be true or false, but got {text!r}.")
        return words[text.lower()]
    kind: Any = type(current[0]) if isinstance(current, tuple) else type(current)
    try:
        return tuple(kind(part) for part in text.split(",")) if isinstance(current, tuple) else kind(text)
    except ValueError:
        number = {int: "whole number", float: "number"}[kind]
        what = f"{number}s, separated by commas," if isinstance(current, tuple) else f"a {number}"
        raise ValueError(f"{name} takes {what} such as {short(current)}, but got {text!r}.") from None
