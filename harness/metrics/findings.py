"""What an evaluation found, beyond the means: the values of every query and class, and who its neighbours are."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.machine.atomic import require_place, write_atomically
from mlrc.harness.metrics.ranking.nearest import NONE
from mlrc.harness.vectors.tables import pyarrow_for

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """The first ranks of all queries, those without a positive among them.

    Attributes:
        queries: `(queries,)`, the row of each in its file.
        indices: `(queries, ranks)`, rows in the gallery's file, the most similar first; −1 where there are no more.
        similarities: `(queries, ranks)`, exact cosines; not a number where there is no neighbour. `None` where
            Euclidean distance was asked for, which is told as `distances` then, in the units of the embeddings.
        relevant: `(queries, ranks)`, whether a neighbour has the query's label.
        query_paths: `(queries,)`, where told.
        gallery_paths: `(rows of the gallery's file,)`, where told, by `indices`; empty for rows that are not searched.
    """

    queries: NDArray[np.int64]
    indices: NDArray[np.int64]
    similarities: NDArray[np.float64] | None
    relevant: NDArray[np.bool_]
    distances: NDArray[np.float64] | None = None
    query_paths: NDArray[np.str_] | None = None
    gallery_paths: NDArray[np.str_] | None = None

    def table(self) -> Columns:
        """Give a row per query and neighbour that there is."""
        query, place = np.nonzero(self.indices != NONE)
        index = self.indices[query, place]
        columns: dict[str, NDArray[Any]] = {"query": self.queries[query]}
        if self.query_paths is not None:
            columns["query_path"] = self.query_paths[query]
        columns |= {"rank": place + 1, "index": index}
        if self.gallery_paths is not None:
            columns["path"] = self.gallery_paths[index]
        told = {"similarity": self.similarities, "distance": self.distances}
        columns |= {name: nearness[query, place] for name, nearness in told.items() if nearness is not None}
        return columns | {"relevant": self.relevant[query, place].astype(np.int64)}

    def arrays(self) -> Columns:
        """Give the arrays as they are."""
        told = {
            "queries": self.queries,
            "indices": self.indices,
            "similarities": self.similarities,
            "distances": self.distances,
            "relevant": self.relevant,
            "query_paths": self.query_paths,
            "gallery_paths": self.gallery_paths,
        }
        return {name: array for name, array in told.items() if array is not None}


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """The values behind the means.

    Attributes:
        rows: `(measured queries,)`, the row of each in its file.
        labels: `(measured queries,)`, as they were written.
        positives: `(measured queries,)`, images of its label that each could find.
        per_query: metric → `(measured queries,)`, percent.
        paths: `(measured queries,)`, where told.
        neighbours: where asked for.
    """

    rows: NDArray[np.int64]
    labels: NDArray[Any]
    positives: NDArray[np.int64]
    per_query: Mapping[str, NDArray[np.float64]]
    paths: NDArray[np.str_] | None = None
    neighbours: Neighbours | None = None

    def queries(self) -> Columns:
        """Give a row per measured query: its row, label and path, its positives, and each metric in percent."""
        told: dict[str, NDArray[Any]] = {"query": self.rows, "label": self.labels}
        if self.paths is not None:
            told["path"] = self.paths
        return {**told, "positives": self.positives, **self.per_query}

    def classes(self) -> Columns:
        """Give a row per class of the measured queries: label, number of queries, the mean of each metric in percent.

        Means are summed without rounding, so in whatever order.
        """
        labels, of_query = np.unique(self.labels, return_inverse=True)
        order, counts = np.argsort(of_query, kind="stable"), np.bincount(of_query, minlength=len(labels))
        parts = np.split(order, np.cumsum(counts)[:-1])
        means = {
            name: np.array([fsum(values[part].tolist()) / len(part) for part in parts])
            for name, values in self.per_query.items()
        }
        return {"label": labels, "queries": counts, **means}


def require_table(path: Path) -> None:
    """Raise where no table can be written there: before any work.

    Raises:
        ValueError: the suffix stands for no format, or nothing can be written there.
        FileNotFoundError: the folder is not there.
        ImportError: the package that the format needs is not installed.
    """
    if path.suffix.lower() not in _TABLES:
        raise ValueError(f"A table must be one of {', '.join(_TABLES)}, by its suffix, but is {path}; give another.")
    require_place(path)
    if path.suffix.lower() == ".parquet":
        pyarrow_for(path)


def write_table(path: Path, columns: Columns) -> None:
    """Write columns of one length, numbers in full precision; raises what `require_table` raises, and `OSError`."""
    require_table(path)
    write_atomically(path, _TABLES[path.suffix.lower()](path, columns))


def write_neighbours(path: Path, neighbours: Neighbours) -> None:
    """Write neighbours: a row each, or in a `.npz` the arrays as they are. Raises what `write_table` raises."""
    write_table(path, neighbours.arrays() if path.suffix.lower() == ".npz" else neighbours.table())


def _csv(_path: Path, columns: Columns) -> bytes:
    file = io.StringIO(newline="")
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return file.getvalue().encode()


def _npz(_path: Path, columns: Columns) -> bytes:
    file, arrays = io.BytesIO(), dict[str, Any](columns)
    np.savez(file, **arrays)
    return file.getvalue()


def _parquet(path: Path, columns: Columns) -> bytes:
    pyarrow, parquet = pyarrow_for(path)
    file = io.BytesIO()
    arrays = {name: column.tolist() if column.dtype.kind == "U" else column for name, column in columns.items()}
    parquet.write_table(pyarrow.table(arrays), file)
    return file.getvalue()


_TABLES: Mapping[str, Callable[[Path, Columns], bytes]] = {".csv": _csv, ".npz": _npz, ".parquet": _parquet}
