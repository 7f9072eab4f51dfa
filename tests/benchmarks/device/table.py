"""The device benchmark as Markdown: one table per part, one row per measurement."""

from collections.abc import Mapping, Sequence
from typing import Any


def table(everything: Mapping[str, Any]) -> str:
    """Give a table per part, under a line that tells hardware and versions."""
    about = ", ".join(f"{name} {value}" for name, value in everything["surroundings"].items() if value is not None)
    parts = everything["parts"].items()
    return f"{about}\n" + "".join(f"\n### {part}\n\n{_rows(measurements)}" for part, measurements in parts)


def _rows(measurements: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for one in measurements for name in one.get("found", {"failed": ""})))
    lines = [f"| what | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for one in measurements:
        found = one.get("found", {"failed": one.get("failed")})
        lines.append(f"| {one['name']} | {' | '.join(_told(found.get(name)) for name in columns)} |")
    return "\n".join(lines) + "\n"


def _told(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_told(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_told, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "/").replace("\n", " ")
