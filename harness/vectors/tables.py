"""Files of tables, CSV and Parquet: a column each for what is told of a row, and one or many for the embedding.

An embedding in many columns has one in each, all named alike but for a number that counts from 0 or 1: `0`, `1`, … or
`e1`, `e2`, …; in Parquet it may be one column of lists.
"""

import csv
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.vectors.arrays import unreadable
from mlrc.harness.vectors.columns import ADVICE, EMBEDDINGS, ORIGIN, Content, meaning, require_once

SEPARATORS = {";": "semicolons", "\t": "tabulators", "|": "bars"}
NUMBERED = re.compile(r"(.*?)(\d+)")
ENCODING = "utf-8-sig"
_ALONE = "alone"
_MOST_NAMED = 6


def read_csv(path: Path) -> Content:
    """Read a CSV file, UTF-8, with names in its first line; one of numbers alone, or of one column, may have none.

    Embeddings become float32, whose shortest decimals come back as they were.

    Raises:
        ValueError: it is malformed, or its columns cannot be told apart.
    """
    header = _header(path)
    is_header = _is_header(header)
    if is_header:
        where = _places(header, path)
    else:
        where = {EMBEDDINGS if len(header) > 1 else _ALONE: list(range(len(header)))}
    numbers, text = _fields(path, where, len(header), skip_first=is_header)
    named: dict[str, NDArray[Any]] = {meant: np.array(fields, dtype=str) for meant, fields in text.items()}
    if EMBEDDINGS in where:
        named[EMBEDDINGS] = np.stack(numbers) if numbers else np.empty((0, len(where[EMBEDDINGS])), np.float32)
    if not is_header:
        return Content({}, next(iter(named.values())))
    places = {place for some in where.values() for place in some}
    return Content(named, None, {}, tuple(name for at, name in enumerate(header) if at not in places))


def read_parquet(path: Path) -> Content:
    """Read a Parquet file.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: it is malformed, or its columns cannot be told apart.
    """
    pyarrow, parquet = pyarrow_for(path)
    try:
        table = parquet.read_table(path, memory_map=True)
    except (OSError, ValueError, NotImplementedError, pyarrow.ArrowException) as error:
        raise unreadable(path, "a table of Parquet", error) from error
    header = table.schema.names
    where = _places(header, path)
    named: dict[str, NDArray[Any]] = {}
    for meant, some in where.items():
        arrays = [_column(table.column(place), header[place], path) for place in some]
        named[meant] = arrays[0] if arrays[0].ndim == 2 or meant != EMBEDDINGS else np.column_stack(arrays)
    places = {place for some in where.values() for place in some}
    told = (table.schema.metadata or {}).get(ORIGIN.encode(), b"{}")
    origin = {str(name): str(value) for name, value in json.loads(told).items()}
    return Content(named, None, origin, tuple(name for at, name in enumerate(header) if at not in places))


def pyarrow_for(path: Path) -> tuple[Any, Any]:
    """Give `pyarrow` and `pyarrow.parquet`; raises `ImportError` with the extra to install where they are not there."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError(
            f"{path} needs the package pyarrow, which is not installed: pip install 'mlrc[parquet]'; or use another "
            "format, such as .npz."
        ) from error


def _header(path: Path) -> list[str]:
    _, header = next(_records(path), (1, []))
    if not header:
        raise ValueError(f"{path} must have a line for each row, but it is empty.")
    if len(header) == 1:
        for mark, name in SEPARATORS.items():
            if mark in header[0]:
                raise ValueError(f"{path}: commas must divide the columns, but {name} do; save it with commas.")
    return [name.strip() for name in header]


def _is_header(header: Sequence[str]) -> bool:
    """Say whether a first line names columns; numbers that count from 0 do, other numbers are a row."""
    if len(header) == 1:
        return meaning(header[0]) is not None
    try:
        [float(name) for name in header]
    except ValueError:
        return True
    return list(header) == [str(place) for place in range(len(header))]


def _places(header: Sequence[str], path: Path) -> dict[str, list[int]]:
    """Give what columns mean → where they are, one place each but for an embedding in many."""
    require_once(header, str(path))
    found = {meant: [place] for place, name in enumerate(header) if (meant := meaning(name)) not in (None, ORIGIN)}
    groups: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for place, name in enumerate(header):
        if place not in (at for some in found.values() for at in some) and (match := NUMBERED.fullmatch(name)):
            if int(match[2]) in groups[match[1]]:
                raise ValueError(f"{path} must name every column once, but {name} is there twice; rename one of them.")
            groups[match[1]][int(match[2])] = place
    if len(groups) > 1:  # a column or two that end in a number, too, are not the embedding
        groups = defaultdict(dict, {prefix: some for prefix, some in groups.items() if len(some) > 1})
    if groups and EMBEDDINGS in found:
        raise ValueError(
            f"{path} must tell everything once, but {header[found[EMBEDDINGS][0]]!r} and the columns "
            f"{' and '.join(f'{prefix}…' for prefix in groups)} may both be the embedding; drop the others."
        )
    if len(groups) > 1:
        raise ValueError(
            f"{path} must have one group of numbered columns, the embedding, but has "
            f"{' and '.join(f'{prefix}… ({len(some)})' for prefix, some in groups.items())}; rename or drop the others."
        )
    for prefix, some in groups.items():
        numbers = sorted(some)
        if numbers not in (list(range(len(some))), list(range(1, len(some) + 1))):
            raise ValueError(
                f"{path}: the columns of the embedding must count from 0 or 1 without a gap, but {prefix}… do not; "
                "complete them."
            )
        found[EMBEDDINGS] = [some[number] for number in numbers]
    if not found:
        shown = ", ".join(header[:_MOST_NAMED])
        raise ValueError(f"{path} must tell what each of its columns is, but has {shown}; {ADVICE}.")
    return {str(meant): places for meant, places in found.items()}


def _fields(
    path: Path, where: Mapping[str, Sequence[int]], columns: int, *, skip_first: bool
) -> tuple[list[NDArray[np.float32]], dict[str, list[str]]]:
    """Give the embedding of each row, and the texts of every other column, without blanks around them."""
    numbers: list[NDArray[np.float32]] = []
    text: dict[str, list[str]] = {meant: [] for meant in where if meant != EMBEDDINGS}
    for line, fields in _records(path):
        if skip_first:
            skip_first = False
            continue
        if len(fields) != columns:
            raise ValueError(
                f"{path}, line {line}: there must be {columns} fields as in line 1, but there are {len(fields)}; put "
                "fields that hold commas in quotes."
            )
        for meant, places in where.items():
            if meant != EMBEDDINGS:
                text[meant].append(unicodedata.normalize("NFC", fields[places[0]].strip()))
                continue
            try:
                wide = [float(fields[place]) for place in places]
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {line}: the embedding must be numbers, but {error}; correct it, or rename a column "
                    "that is none of the embedding."
                ) from None
            with np.errstate(over="ignore"):  # infinity is refused as such
                numbers.append(np.array(wide).astype(np.float32))
    return numbers, text


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding=ENCODING, newline="") as file:
            reader = csv.reader(file, strict=True)
            yield from ((reader.line_num, fields) for fields in reader if fields)
    except (UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, "a CSV table, UTF-8", error) from error


def _column(column: Any, name: str, path: Path) -> NDArray[Any]:
    """Give a column of Parquet: `(rows,)`, or of lists `(rows, dim)`."""
    pyarrow, _ = pyarrow_for(path)
    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if column.null_count:
        raise ValueError(f"{path} must have a value in every row, but {name} has {column.null_count} empty ones.")
    if not (pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind) or pyarrow.types.is_fixed_size_list(kind)):
        array: NDArray[Any] = np.asarray(column.to_numpy())
        if array.dtype.kind == "O" and len({type(one) for one in array.tolist()} - {str, bytes}) == 0:
            return np.array(array.tolist() or [""])[: len(array)]
        return array
    rows = column.combine_chunks()
    rows = rows if isinstance(rows, pyarrow.Array) else pyarrow.concat_arrays(rows.chunks)
    values = rows.flatten()
    dim = len(values) // len(rows) if len(rows) else 0
    if values.null_count or set(np.unique(rows.value_lengths().to_numpy(zero_copy_only=False)).tolist()) - {dim}:
        raise ValueError(f"{path} must have lists of one length without empty places, but {name} has others.")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(rows), dim)
