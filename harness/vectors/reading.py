"""From files to one value: which reader a suffix means, and what the columns must be to each other."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.vectors import arrays, tables
from mlrc.harness.vectors.columns import (
    EMBEDDINGS,
    Content,
    as_integers,
    labels_of,
    require_each_once,
    sides,
    strings,
)
from mlrc.harness.vectors.vectors import Vectors, require_finite

_TEXT = frozenset({".csv"})

BESIDE = ".csv"
"""Suffix of the file beside a `.npy` that tells of its rows."""


READERS: Mapping[str, Callable[[Path], Content]] = {
    ".npy": arrays.read_npy,
    ".npz": arrays.read_npz,
    ".safetensors": arrays.read_safetensors,
    ".pt": arrays.read_pytorch,
    ".pth": arrays.read_pytorch,
    ".parquet": tables.read_parquet,
    ".csv": tables.read_csv,
}
"""Suffix, in small letters, to what reads such a file."""


def read(path: Path, columns: Path | None = None) -> Vectors:
    """Read embeddings, and what is told of each row there or in a second file.

    Args:
        path: of the embeddings; see `READERS` for the formats, docs/data.md for the names in them.
        columns: a second file: with labels alone, or with named columns. It may be the first one again.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is none of these, or its columns do not fit each other; names the file.
        ImportError: the package that a format needs is not installed.
    """
    content = read_content(path)
    where = str(path)
    embeddings = content.named.get(EMBEDDINGS, content.unnamed)
    if embeddings is None:
        raise ValueError(
            f"{where} must hold embeddings, but has only {', '.join(content.named)}; name them embeddings."
        )
    told = {name: (column, where) for name, column in content.named.items() if name != EMBEDDINGS}
    unused, found, text = content.unused, where, path.suffix.lower() in _TEXT
    if columns is not None and not (columns.exists() and columns.samefile(path)):
        second = read_content(columns)
        text = columns.suffix.lower() in _TEXT
        named = second.named if second.unnamed is None else {"labels": second.unnamed}
        for name, column in named.items():
            if name in told:
                raise ValueError(f"Only one file must tell {name}, but {path} and {columns} both do; leave one out.")
            if name == EMBEDDINGS:
                unused = (*unused, f"{EMBEDDINGS} of {columns}")
            else:
                told[name] = (column, str(columns))
        unused, found = (*unused, *second.unused), f"{path} with {columns}"
    return made(embeddings, told, origin=content.origin, unused=unused, found=found, text=text)


def read_labels(path: Path) -> NDArray[Any]:
    """Read labels alone, `(rows,)` as in `Vectors`; raises what `read` raises."""
    content = read_content(path)
    column = content.named.get("labels", content.unnamed)
    if column is None:
        raise ValueError(f"{path} must hold labels, but has only {', '.join(content.named)}; name them labels.")
    labels = labels_of(column, str(path))
    return as_integers(labels) if path.suffix.lower() in _TEXT and labels.dtype.kind == "U" else labels


def beside(path: Path) -> Path | None:
    """Give the file of columns that `write` leaves beside a `.npy`, if it is there; other formats need none."""
    companion = path.with_suffix(BESIDE)
    return companion if path.suffix.lower() == ".npy" and companion.is_file() else None


def made(
    embeddings: NDArray[Any],
    told: Mapping[str, tuple[NDArray[Any], str]],
    *,
    origin: Mapping[str, str],
    unused: tuple[str, ...] = (),
    found: str,
    text: bool = False,
) -> Vectors:
    """Check embeddings and columns, each with its file, against each other, and give them as one value.

    With `text` labels that are all whole numbers become those. Raises what `read` raises.
    """
    where = found.partition(" with ")[0]
    _require_rows(embeddings, where)
    for name, (column, file) in told.items():
        if column.ndim >= 1 and len(column) != len(embeddings):
            raise ValueError(
                f"{file} must have an entry of {name} for each of the {len(embeddings)} embeddings of {where}, but has "
                f"{len(column)}; give files that were written together."
            )
    require_finite(embeddings, where)
    columns = {name: column for name, (column, _) in told.items()}
    files = {name: file for name, (_, file) in told.items()}
    labels = labels_of(columns["labels"], files["labels"]) if "labels" in columns else None
    if labels is not None and text and labels.dtype.kind == "U":
        labels = as_integers(labels)
    paths = strings(columns["paths"], "paths", files["paths"]) if "paths" in columns else None
    if paths is not None:
        require_each_once(paths.tolist(), files["paths"])
    test, queries = sides(columns, files.get("query", files.get("split", where)))
    return Vectors(
        embeddings=embeddings,
        labels=labels,
        paths=paths,
        test=test,
        queries=queries,
        cameras=_cameras(columns, test, files.get("camera", where)),
        origin=origin,
        unused=unused,
        found=found,
    )


def read_content(path: Path) -> Content:
    """Read a file by its suffix; raises what `read` raises."""
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} must be there, but is not; check the path.")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"A file of vectors must be one of {', '.join(READERS)}, by its suffix, but is {path}; convert it."
        )
    return reader(path)


def _require_rows(embeddings: NDArray[Any], where: str) -> None:
    if embeddings.ndim != 2 or embeddings.shape[1] == 0:
        raise ValueError(
            f"{where}: the embeddings must have the shape (images, dim), but have {embeddings.shape}; give one row per "
            "image."
        )
    if embeddings.dtype.kind != "f" or embeddings.dtype.itemsize > 8:
        raise ValueError(
            f"{where}: the embeddings must be float16, float32 or float64, but are {embeddings.dtype}; convert them "
            "first."
        )


def _cameras(
    columns: Mapping[str, NDArray[Any]], test: NDArray[np.bool_] | None, where: str
) -> NDArray[np.str_] | None:
    if "camera" not in columns:
        return None
    cameras = strings(columns["camera"], "camera", where)
    lacking = (cameras == "") & (True if test is None else test)
    if lacking.any():
        raise ValueError(
            f"{where}: a test row must have a camera where there is that column, but row {lacking.argmax()} has none."
        )
    return cameras
