"""What a field of a protocol may hold, written beside the field: a rule, and what a value breaks of it, in words."""

import re
from dataclasses import dataclass
from math import isfinite
from types import UnionType
from typing import Annotated, Any, Protocol, Union, get_args, get_origin


class Bound(Protocol):
    """A rule for the value of a field; where it is set per dataset, for that of each."""

    def broken(self, value: Any) -> str:
        """Say what must hold and does not, as the end of "It must"; empty if all is well."""
        ...


@dataclass(frozen=True)
class Whole:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int

    def broken(self, value: Any) -> str:
        """See `Bound`."""
        if not isinstance(value, int) or isinstance(value, bool):
            return "be a whole number"
        return _outside(value, self.low, self.high)


@dataclass(frozen=True)
class Real:
    """Numbers from `low` to `high`, both included but where `above` or `below` leave them out."""

    low: float
    high: float
    above: bool = False
    below: bool = False

    def broken(self, value: Any) -> str:
        """See `Bound`."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return "be a number"
        if not isfinite(value):
            return "be finite"
        if self.high == 1:
            inside = self.low < value or (value == self.low and not self.above)
            inside = inside and (value < self.high or (value == self.high and not self.below))
            return "" if inside else f"lie in {'(' if self.above else '['}{self.low:g}, 1{')' if self.below else ']'}"
        if self.above and value <= self.low:
            return "be positive" if self.low == 0 else f"exceed {self.low:g}"
        return _outside(value, self.low, self.high)


@dataclass(frozen=True)
class OneOf:
    """One of some words."""

    words: tuple[object, ...]

    def broken(self, value: Any) -> str:
        """See `Bound`."""
        return "" if value in self.words else f"be {either(tuple(map(str, self.words)))}"


@dataclass(frozen=True)
class Several:
    """One value or more, each of which keeps the bound `one`."""

    one: Bound

    def broken(self, value: Any) -> str:
        """See `Bound`."""
        if not isinstance(value, tuple) or not value:
            return "be one number or more, as a tuple"
        return next(filter(None, map(self.one.broken, value)), "")


@dataclass(frozen=True)
class Text:
    """Text of a pattern, with the rule in words."""

    pattern: str
    rule: str

    def broken(self, value: Any) -> str:
        """See `Bound`."""
        return "" if isinstance(value, str) and re.fullmatch(self.pattern, value) else self.rule


def either(words: tuple[str, ...]) -> str:
    """Join what there is to choose from."""
    return " or ".join(words) if len(words) < 3 else f"one of {', '.join(words)}"


def _outside(value: float, low: float, high: float) -> str:
    if value < low:
        return f"be at least {low:g}" if isinstance(low, float) else f"be at least {low}"
    if value > high:
        return f"be at most {high:g}" if isinstance(high, float) else f"be at most {high}"
    return ""


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Give the kinds that a field may be of, without its bounds."""
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def rises(bounds: tuple[float, ...], lowest: float, highest: float) -> bool:
    """Say whether two numbers come in their order between a lowest and a highest one."""
    return len(bounds) == 2 and lowest <= bounds[0] <= bounds[1] <= highest
