"""A protocol in a TOML file: the name of its parent, and its changes; what `--set` says in words.

    parent = "reality_check"

    [changes]
    trials = 20
    crop_scale = [0.25, 1.0]
    patience = { default = 9, cars196 = 14 }

Numbers that differ by dataset are a table, `default` for those that it does not name.
"""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

DEFAULT = "default"
"""The name, in a table of values per dataset, of the value for all datasets that it does not name."""


class Variant(NamedTuple):
    """What a file says: the protocol that it derives from, and `field=value` texts as `Protocol.set` takes them."""

    parent: str
    assignments: tuple[str, ...]


def read(text: str) -> Variant:
    """Read a variant from TOML.

    Raises:
        ValueError: it is no TOML, or says something else than a parent and its changes.
    """
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it is no TOML ({error})") from None
    if unknown := sorted(set(told) - {"parent", "changes"}):
        raise ValueError(
            f"it must say `parent` and, below [changes], fields and their values, but says {unknown[0]!r} too"
        )
    match told.get("parent"), told.get("changes", {}):
        case str(parent), dict(changes):
            return Variant(parent, assignments(changes))
    raise ValueError('it must say parent = "NAME" and, below [changes], fields and their values')


def assignments(changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Write names and values as `name=value` texts; a table of values per dataset as one for each."""
    return tuple(text for change in changes.items() for text in _assignments(*change))


def _assignments(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if DEFAULT in value:
            yield f"{name}={_text(value[DEFAULT])}"
        yield from (f"{name}.{dataset}={_text(one)}" for dataset, one in value.items() if dataset != DEFAULT)
    else:
        yield f"{name}={_text(value)}"


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
