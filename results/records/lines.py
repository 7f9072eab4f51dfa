"""A record as one line of JSON, and back: what a ledger is made of.

A field that entered later is left out of a line at its default, so that lines of before stay what they are.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from mlrc.results.records.origin import origins
from mlrc.results.records.record import (
    SCHEMA,
    Environment,
    FoldRecord,
    ImagesRecord,
    ProtocolRecord,
    Record,
    RetryRecord,
    RunRecord,
    SweepPoint,
    SweepRecord,
    UncheckedRecord,
)

_KINDS: dict[str, type[Record]] = {
    "protocol": ProtocolRecord,
    "fold": FoldRecord,
    "run": RunRecord,
    "retry": RetryRecord,
    "sweep": SweepRecord,
    "images": ImagesRecord,
    "unchecked": UncheckedRecord,
}
R = TypeVar("R")


def to_line(record: Record) -> str:
    """Give the record as one line of JSON, without the newline; equal records give equal lines."""
    kind = next(name for name, cls in _KINDS.items() if isinstance(record, cls))
    content = {"kind": kind, **asdict(record)}
    for name in ("settings", "processor"):
        if not content.get("environment", {}).get(name, True):
            del content["environment"][name]
    for name in ("per_class_sha256", "plugins", "pretraining"):
        if not content.get(name, True):
            del content[name]
    if content.get("search") == 0:
        del content["search"]
    for name in ("processor_seconds", "iterations"):
        if content.get(name, 0) is None:
            del content[name]
    return json.dumps(content, allow_nan=False, ensure_ascii=False, sort_keys=True)


def from_line(line: str) -> Record:
    """Read one line.

    Raises:
        ValueError: the line is no JSON object, of no known kind, of a newer schema, or lacks a field.
    """
    content = json.loads(line)
    try:
        return _record(content)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"a field is not of its shape ({error})") from None


def _record(content: Any) -> Record:
    if not isinstance(content, dict) or content.get("kind") not in _KINDS:
        raise ValueError(f"its kind must be one of {', '.join(_KINDS)}")
    if not isinstance(content.get("schema"), int) or content["schema"] > SCHEMA:
        raise ValueError(f"its schema must be a number up to {SCHEMA}, which this version reads")
    cls = _KINDS[content["kind"]]
    if "environment" in content:
        content["environment"] = _build(Environment, content["environment"])
    if cls is FoldRecord and "history" in content:
        content["history"] = tuple((int(epoch), float(score)) for epoch, score in content["history"])
    if "plugins" in content:
        content["plugins"] = origins(content["plugins"])
    if cls is SweepRecord and "points" in content:
        content["points"] = tuple(_point(point) for point in content["points"])
    for name in ("fold_keys", "keys", "factors", "broken"):
        if name in content:
            content[name] = tuple(content[name])
    return _build(cls, content)


def _point(content: Mapping[str, Any]) -> SweepPoint:
    printed = tuple((source, title, place) for source, title, place in content.get("printed", ()))
    return _build(SweepPoint, {**content, "labels": tuple(content["labels"]), "printed": printed})


def _build(cls: type[R], content: Mapping[str, Any]) -> R:
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type] # every caller passes a dataclass
    try:
        return cls(**{name: value for name, value in content.items() if name in known})
    except TypeError as error:
        raise ValueError(f"a field is missing ({error})") from None
