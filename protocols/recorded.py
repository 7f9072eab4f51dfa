"""A protocol back from the fields that a ledger keeps of it."""

from collections.abc import Mapping
from typing import Any

from mlrc.protocols.protocol import PerDataset, Protocol, completed


def from_fields(fields: Mapping[str, Any]) -> Protocol:
    """Give the protocol whose record has these fields; its digest is that of the record.

    Args:
        fields: as JSON values; those that came later stand at their default.

    Raises:
        ValueError: they are not those of a protocol, or break a rule.
    """
    return Protocol(**{name: _value(value) for name, value in completed(fields).items()})


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return PerDataset(_value(value["default"]), tuple((name, _value(one)) for name, one in value["named"]))
    return tuple(map(_value, value)) if isinstance(value, list) else value
