"""What README and docs say is so: the numbers of the protocols, the findings of the published study, the links."""

import csv
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from mlrc.harness.plugins import PROTOCOLS
from mlrc.results.publishing.place import PUBLISHED
from mlrc.results.records.record import Record
from mlrc.results.rendering.spreadsheet import COLUMNS, PAIR_COLUMNS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "results").glob("**/README.md")])


def _tables(page: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Give every table's header and rows, cell by cell."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"\|( ?:?-+:? ?\|)+", line):
            rows = []
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                rows.append([cell.strip() for cell in row.strip("|").split(" | ")])
            yield [cell.strip() for cell in lines[number - 1].strip("|").split(" | ")], rows


def _documented() -> list[tuple[str, str, str]]:
    """Give (protocol, fields, values) of every cell below a protocol's name."""
    return [
        (name, row[0], values)
        for header, rows in _tables(ROOT / "docs" / "protocol.md")
        for row in rows
        for name, values in zip(header, row, strict=True)
        if name in PROTOCOLS.names()
    ]


@pytest.mark.parametrize(("protocol", "fields", "values"), _documented())
def test_the_numbers_of_the_protocols_are_those_of_the_code(protocol: str, fields: str, values: str) -> None:
    names = re.findall(r"`(\w+)`", fields)
    assert ", ".join(str(getattr(PROTOCOLS.find(protocol), name)) for name in names) == values


def test_the_published_findings_are_those_of_the_comparisons() -> None:
    with (PUBLISHED / "rendered" / "comparisons.csv").open(encoding="utf-8", newline="") as file:
        compared = {
            (row["dataset"], row["setting"], row["first"], row["second"]): row
            for row in csv.DictReader(file)
            if row["metric"] == "MAP@R"
        }
    found = [row for header, rows in _tables(PUBLISHED / "README.md") if "P(A > B)" in header for row in rows]
    assert found
    for dataset, setting, a, b, difference, interval, wins in found:
        first, second = sorted((a, b))
        row = compared[dataset, setting, first, second]
        sign = 1 if a == first else -1
        ends = sorted(sign * float(row[end]) for end in ("low", "high"))
        assert difference == f"{sign * float(row['difference']):+.2f}"
        assert interval == f"{ends[0]:+.2f} to {ends[1]:+.2f}"
        odds = [float(row[name]) for name in ("first_wins", "first_wins_low", "first_wins_high")]
        if sign < 0:
            odds = [1 - odds[0], 1 - odds[2], 1 - odds[1]]
        assert wins == f"{odds[0]:.2f} ({odds[1]:.2f}–{odds[2]:.2f})"


def test_every_protocol_is_documented() -> None:
    assert {name for name, *_ in _documented()} == set(PROTOCOLS.names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("record", get_args(Record), ids=lambda record: record.__name__)
def test_every_field_of_every_record_is_described(record: type) -> None:
    told = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "results.md").read_text(encoding="utf-8")))
    assert {field.name for field in fields(record)} - told == set()


def test_every_column_of_the_comparisons_is_described() -> None:
    tables = _tables(ROOT / "docs" / "results.md")
    told = {name for header, rows in tables if header[0] == "column" for row in rows for name in row[0].split(", ")}
    assert {f"`{name}`" for name in (*PAIR_COLUMNS, *COLUMNS)} <= told
