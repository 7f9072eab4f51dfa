"""A user's list of images: a CSV file with the columns path and label, and split, query and camera where there are any.

docs/data.md documents every column. What could be read in two ways is refused, naming file, line and way out.
"""

import csv
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from mlrc.harness.vectors.sides import asks, side_of

_LABELS = ("label", "class")
COLUMNS = ("path", *_LABELS, "split", "query", "camera")
SEPARATORS = {";": "semicolons", "\t": "tabulators", "|": "bars"}
ENCODINGS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""Byte-order marks, the longer first."""

_LARGEST_FIELD = 2**30


class Row(NamedTuple):
    """One image of a list.

    Attributes:
        line: in which it is named, or 0.
        path: relative to the list's folder.
        label: its class.
        is_test: on which side of the list's own split; `None` where the list has none.
        is_query: whether it only asks; `None` where nothing tells.
        camera: that took it, or empty; `None` where the list tells of none.
    """

    line: int
    path: str
    label: str
    is_test: bool | None = None
    is_query: bool | None = None
    camera: str | None = None


def rows(path: Path) -> list[Row]:
    """Read a manifest; paths are normal, lie in its folder, and name each image once.

    Raises:
        ValueError: the file is malformed; names it, the line, and the way out.
    """
    table = _Table(path)
    places = _Places(path.parent)
    found = [_row(table, places, line, fields) for line, fields in table.lines()]
    if not found:
        raise ValueError(f"{path} must name images, but it names none.")
    _require_each_once(path, found, places)
    return found


@dataclass(frozen=True)
class _Table:
    path: Path

    def fault(self, line: int, what: str, way_out: str) -> ValueError:
        return ValueError(f"{self.path}, line {line}: {what}; {way_out}.")

    def text(self) -> str:
        content = self.path.read_bytes()
        for mark, name in ENCODINGS.items():
            if content.startswith(mark):
                raise self.fault(1, f"the file must be UTF-8, but it is {name}", "save it as UTF-8")
        if b"\0" in content:
            line = content[: content.index(b"\0")].count(b"\n") + 1
            raise self.fault(
                line, "the file must be UTF-8 text, but it holds a NUL byte, as UTF-16 does", "save it as UTF-8"
            )
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise self.fault(
                line, f"the file must be UTF-8, but the byte 0x{content[error.start]:02x} is not", "save it as UTF-8"
            ) from None

    def lines(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Give the number of each line and its fields by the columns known here, without blanks around them."""
        records = self._records()
        line, header = next(records, (1, []))
        names = [name.strip().casefold() for name in header]
        if len(header) == 1:
            for mark, name in SEPARATORS.items():
                if mark in header[0]:
                    raise self.fault(line, f"commas must divide the columns, but {name} do", "save it with commas")
        if "path" not in names or not set(_LABELS) & set(names):
            given = ", ".join(header) or "none"
            raise ValueError(f"{self.path} must have the columns path and label, but has {given}; name them in line 1.")
        if twice := [name for name in COLUMNS if names.count(name) > 1]:
            raise self.fault(line, f"every column must have its own name, but {twice[0]} is there twice", "rename one")
        places = {name: names.index(name) for name in COLUMNS if name in names}
        for line, record in records:
            if len(record) > len(header):
                raise self.fault(
                    line,
                    f"there must be {len(header)} fields as in line 1, but there are {len(record)}",
                    "put fields that hold commas in quotes",
                )
            yield line, {name: record[place].strip() if place < len(record) else "" for name, place in places.items()}

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        before = csv.field_size_limit(_LARGEST_FIELD)  # whose default an unpaired quote in a long file exceeds
        try:
            parsed = self._parsed()
        finally:
            csv.field_size_limit(before)
        yield from parsed

    def _parsed(self) -> list[tuple[int, list[str]]]:
        reader = csv.reader(StringIO(self.text(), newline=""), strict=True)
        found: list[tuple[int, list[str]]] = []
        while True:
            line = reader.line_num + 1
            try:
                record = next(reader, None)
            except csv.Error as error:
                raise self.fault(line, f"the line cannot be divided into fields ({error})", "pair its quotes") from None
            if record is None:
                return found
            if reader.line_num > line:
                raise self.fault(line, "a quote is not closed in its line", "pair the quotes")
            if record:
                found.append((line, record))


class _Places:
    """Where the files of a folder are, whichever way their accents are composed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folder = str(folder)
        self._names: dict[Path, dict[str, str]] = {}
        self._real: dict[str, str] = {}

    def relative(self, text: str) -> str | None:
        """Give the normal path from the folder, `None` where it leads out of it."""
        if os.path.isabs(text):
            roots = (self.folder, self.folder.resolve())
            inside = [os.path.relpath(text, root) for root in roots if Path(text).is_relative_to(root)]
            text = inside[0] if inside else ".."
        path = os.path.normpath(text)
        if "\\" in path and not os.path.exists(os.path.join(self._folder, path)):
            path = os.path.normpath(path.replace("\\", "/"))
        if path == os.pardir or path.startswith(os.pardir + "/") or os.path.isabs(path):
            return None
        return path if os.path.exists(os.path.join(self._folder, path)) else self._composed(path)

    def _composed(self, path: str) -> str:
        place = self.folder
        for part in Path(path).parts:
            place /= self._names_in(place).get(unicodedata.normalize("NFC", part), part)
        return place.relative_to(self.folder).as_posix()

    def _names_in(self, folder: Path) -> dict[str, str]:
        if folder not in self._names:
            names = sorted(os.listdir(folder)) if folder.is_dir() else []
            self._names[folder] = {unicodedata.normalize("NFC", name): name for name in names}
        return self._names[folder]

    def real(self, path: str) -> str:
        """Give the file that a path leads to, links followed."""
        parent, name = os.path.split(os.path.join(self._folder, path))
        if parent not in self._real:
            self._real[parent] = os.path.realpath(parent)
        real = os.path.join(self._real[parent], name)
        return os.path.realpath(real) if os.path.islink(real) else real


def _row(table: _Table, places: _Places, line: int, fields: dict[str, str]) -> Row:
    label = next(fields[name] for name in _LABELS if name in fields)
    if not fields["path"] or not label:
        raise ValueError(
            f"{table.path} must have a path and a label in every line, but line {line} has not; complete it."
        )
    try:
        os.fsencode(fields["path"])
    except UnicodeEncodeError:
        read_as = sys.getfilesystemencoding()
        raise table.fault(line, f"names must be read as UTF-8, but here as {read_as}", "set PYTHONUTF8=1") from None
    path = places.relative(fields["path"])
    if path is None:
        raise table.fault(
            line,
            f"every path must lie in the folder of the manifest, but {fields['path']!r} leads out of it",
            "move or link the images there, or the manifest above them",
        )
    is_test, is_query = _side(table, line, fields)
    camera = fields.get("camera")
    if camera == "" and is_test is not False:
        raise table.fault(line, "a test image must have a camera where there is that column", "complete the line")
    return Row(line, path, unicodedata.normalize("NFC", label), is_test, is_query, camera)


def _side(table: _Table, line: int, fields: dict[str, str]) -> tuple[bool | None, bool | None]:
    is_test: bool | None = None
    is_query: bool | None = None
    if "split" in fields:
        side = side_of(fields["split"])
        if side is None:
            raise table.fault(
                line,
                f"split must be train, val, trainval, test, query or gallery, but is {fields['split']!r}",
                "say on which side the image is",
            )
        is_test, is_query = side
    if "query" in fields:
        if is_test is None:
            raise table.fault(1, "the column query needs the column split", "say there which images are test")
        asking = asks(fields["query"])
        if asking is None:
            raise table.fault(line, f"query must be 1 or 0, but is {fields['query']!r}", "say whether the image asks")
        if asking and not is_test:
            raise table.fault(line, "only a test image can ask, but the split says train", "set query to 0")
        if is_test and is_query not in (None, asking):
            raise table.fault(line, "split and query contradict each other", "correct one of them")
        is_query = asking if is_test else None
    return is_test, is_query


def _require_each_once(path: Path, found: Sequence[Row], places: _Places) -> None:
    first: dict[str, Row] = {}
    for row in found:
        before = first.setdefault(places.real(row.path), row)
        if before is row:
            continue
        where = f"lines {before.line} and {row.line}"
        if before.label != row.label:
            raise ValueError(
                f"{path} must give every image one class, but {row.path} has {before.label!r} and {row.label!r} in "
                f"{where}; delete the wrong line."
            )
        raise ValueError(f"{path} must name every image once, but names {row.path} in {where}; delete one of them.")
