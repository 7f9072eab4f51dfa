"""From the value to a file, in the formats that are read; there whole or not at all."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as save_tensors

from mlrc.harness.machine.atomic import require_place, write_atomically
from mlrc.harness.vectors.columns import EMBEDDINGS, ORIGIN
from mlrc.harness.vectors.reading import BESIDE
from mlrc.harness.vectors.tables import pyarrow_for
from mlrc.harness.vectors.vectors import Vectors

MOST_TEXT = 9 * 10**7
"""Characters of the header of a `.safetensors`, of which its readers take 10^8 bytes."""


def require_writable(path: Path) -> None:
    """Raise `ValueError` for a suffix that stands for no format, `ImportError` where its package is not there.

    Raises what `require_place` raises, too.
    """
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"A file of vectors must be one of {', '.join(WRITERS)}, by its suffix, but is {path}.")
    require_place(path)
    if path.suffix.lower() == ".parquet":
        pyarrow_for(path)


def write(path: Path, vectors: Vectors) -> tuple[Path, ...]:
    """Write vectors in the format of the suffix, and give the files: with `.npy` the columns go to a `.csv` beside it.

    Raises what `require_writable` raises, and `OSError`.
    """
    require_writable(path)
    return WRITERS[path.suffix.lower()](path, vectors)


def columns(vectors: Vectors) -> dict[str, NDArray[Any]]:
    """Give the columns that there are, by the names under which they are read."""
    test = vectors.test
    all_columns = {
        "labels": vectors.labels,
        "paths": vectors.paths,
        "split": None if test is None else np.where(test, "test", "trainval"),
        "query": None if vectors.queries is None else vectors.queries.astype(np.int64),
        "camera": vectors.cameras,
    }
    return {name: column for name, column in all_columns.items() if column is not None}


def _npy(path: Path, vectors: Vectors) -> tuple[Path, ...]:
    write_atomically(path, _saved(lambda file: np.save(file, vectors.embeddings)))
    told = columns(vectors)
    if not told:
        return (path,)
    beside = path.with_suffix(BESIDE)
    write_atomically(beside, _csv_of(told))
    return path, beside


def _npz(path: Path, vectors: Vectors) -> tuple[Path, ...]:
    arrays: dict[str, Any] = {EMBEDDINGS: vectors.embeddings, **columns(vectors)}
    if vectors.origin:
        arrays[ORIGIN] = np.array(_origin(vectors))
    write_atomically(path, _saved(lambda file: np.savez(file, **arrays)))
    return (path,)


def _safetensors(path: Path, vectors: Vectors) -> tuple[Path, ...]:
    told = columns(vectors)
    texts = {name: json.dumps(column.tolist(), ensure_ascii=False) for name, column in told.items() if _is_text(column)}
    if sum(map(len, texts.values())) > MOST_TEXT:
        raise ValueError(f"The strings of a .safetensors must fit into {MOST_TEXT} bytes, but do not; write a .npz.")
    tensors = {name: torch.from_numpy(column.copy()) for name, column in told.items() if not _is_text(column)}
    tensors[EMBEDDINGS] = torch.from_numpy(np.ascontiguousarray(vectors.embeddings))
    write_atomically(path, save_tensors(tensors, texts | ({ORIGIN: _origin(vectors)} if vectors.origin else {})))
    return (path,)


def _pytorch(path: Path, vectors: Vectors) -> tuple[Path, ...]:
    content: dict[str, Any] = {EMBEDDINGS: torch.from_numpy(np.ascontiguousarray(vectors.embeddings))}
    for name, column in columns(vectors).items():
        content[name] = column.tolist() if _is_text(column) else torch.from_numpy(column.copy())
    if vectors.origin:
        content[ORIGIN] = _origin(vectors)
    write_atomically(path, _saved(lambda file: torch.save(content, file)))
    return (path,)


def _csv(path: Path, vectors: Vectors) -> tuple[Path, ...]:
    write_atomically(path, _csv_of(columns(vectors), vectors.embeddings))
    return (path,)


def _csv_of(told: Mapping[str, NDArray[Any]], embeddings: NDArray[Any] | None = None) -> bytes:
    """Give the table; numbers by the shortest decimals that come back as they were in their own precision."""
    file = io.StringIO(newline="")
    lines = csv.writer(file, lineterminator="\n")
    wide = () if embeddings is None else range(embeddings.shape[1])
    lines.writerow([*told, *(f"e{place}" for place in wide)])
    columns_of_text = [column.tolist() for column in told.values()]
    for row in range(len(next(iter(told.values()))) if embeddings is None else len(embeddings)):
        numbers = () if embeddings is None else embeddings[row].astype(str).tolist()
        lines.writerow([*(column[row] for column in columns_of_text), *numbers])
    return file.getvalue().encode()


def _parquet(path: Path, vectors: Vectors) -> tuple[Path, ...]:
    pyarrow, parquet = pyarrow_for(path)
    rows = np.ascontiguousarray(vectors.embeddings)
    lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.reshape(-1)), rows.shape[1])
    told = {
        name: pyarrow.array(column.tolist() if _is_text(column) else column)
        for name, column in columns(vectors).items()
    }
    table = pyarrow.table({**told, EMBEDDINGS: lists}, metadata={ORIGIN: _origin(vectors)})
    write_atomically(path, _saved(lambda file: parquet.write_table(table, file)))
    return (path,)


def _is_text(column: NDArray[Any]) -> bool:
    return column.dtype.kind == "U"


def _origin(vectors: Vectors) -> str:
    return json.dumps(dict(vectors.origin), ensure_ascii=False, sort_keys=True)


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


WRITERS: Mapping[str, Callable[[Path, Vectors], tuple[Path, ...]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".pt": _pytorch,
    ".parquet": _parquet,
    ".csv": _csv,
}
"""Suffix, in small letters, to what writes such a file."""
