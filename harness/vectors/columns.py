"""What the columns of a file of vectors mean, whatever format it has, and which values each may have."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.vectors.sides import asks, side_of

EMBEDDINGS, ORIGIN = "embeddings", "origin"
MEANINGS: Mapping[str, str] = {
    **dict.fromkeys(("embeddings", "embedding", "features", "feature", "vectors", "vector"), EMBEDDINGS),
    **dict.fromkeys(("labels", "label", "class", "classes", "target", "targets"), "labels"),
    **dict.fromkeys(("paths", "path"), "paths"),
    **dict.fromkeys(("splits", "split"), "split"),
    **dict.fromkeys(("queries", "query"), "query"),
    **dict.fromkeys(("cameras", "camera"), "camera"),
    ORIGIN: ORIGIN,
}
"""Name of a column, in small letters, to what it means."""
ADVICE = "name it embeddings, labels, paths, split, query or camera"
INTEGER = re.compile(r"0|-?[1-9][0-9]*")
LOWEST, HIGHEST = -(2**63), 2**64 - 1


class Content(NamedTuple):
    """What a file holds, before it is known what for.

    Attributes:
        named: what a column means → `(rows, …)`.
        unnamed: the array of a file that holds one and gives it no name.
        origin: as in `Vectors`.
        unused: names that mean nothing here.
    """

    named: Mapping[str, NDArray[Any]]
    unnamed: NDArray[Any] | None = None
    origin: Mapping[str, str] = {}
    unused: tuple[str, ...] = ()


def meaning(name: str) -> str | None:
    """Give what a column of that name means, `None` if nothing."""
    return MEANINGS.get(name.strip().casefold())


def require_once(names: Iterable[str], where: str) -> None:
    """Raise `ValueError` where two columns mean the same."""
    first: dict[str, str] = {}
    for name in names:
        mine = meaning(name)
        if mine and (other := first.setdefault(mine, name)) is not name:
            raise ValueError(
                f"{where} must tell everything once, but {other!r} and {name!r} both mean {mine}; rename one of them."
            )


def labels_of(column: NDArray[Any], where: str) -> NDArray[Any]:
    """Give labels `(rows,)` as int64, as uint64 where one exceeds that, or as strings.

    Raises:
        ValueError: they are neither, or one is empty or not UTF-8.
    """
    column = flat(column, "labels", where)
    kind = column.dtype.kind
    if kind == "i":
        return column.astype(np.int64)
    if kind == "u":
        return column.astype(np.uint64 if len(column) and int(column.max()) >= 2**63 else np.int64)
    if kind not in "US":
        raise ValueError(f"{where}: labels must be integers or strings, but are {column.dtype}; convert them first.")
    text = strings(column, "labels", where)
    if (empty := np.flatnonzero(text == "")).size:
        raise ValueError(f"{where}: every row must have a label, but row {empty[0]} has none; complete or drop it.")
    return text


def as_integers(text: NDArray[np.str_]) -> NDArray[Any]:
    """Give labels of a text file as integers where all are written as such, else as they are; `007` is none."""
    if not all(INTEGER.fullmatch(label) for label in text.tolist()):
        return text
    values = [int(label) for label in text.tolist()]
    low, high = min(values, default=0), max(values, default=0)
    if low < LOWEST or high > HIGHEST or (low < 0 and high >= 2**63):
        return text
    return np.array(values, dtype=np.int64 if high < 2**63 else np.uint64)


def in_order(names: Iterable[str]) -> list[str]:
    """Give names of classes in the order in which classes are counted: as numbers where all are, else as text."""
    distinct = sorted(set(names))
    return sorted(distinct, key=int) if all(name.isdecimal() for name in distinct) else distinct


def flat(column: NDArray[Any], what: str, where: str) -> NDArray[Any]:
    """Raise `ValueError` unless a column has one entry per row."""
    if column.ndim != 1:
        raise ValueError(
            f"{where}: {what} must have the shape (rows,), but have {column.shape}; give one entry for each row."
        )
    return column


def strings(column: NDArray[Any], what: str, where: str) -> NDArray[np.str_]:
    """Give a column as strings `(rows,)`, numbers as they are written, bytes as UTF-8."""
    column = flat(column, what, where)
    if column.dtype.kind == "S":
        try:
            column = np.char.decode(column, "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{where}: {what} of bytes must be UTF-8, but {error.object!r} is not.") from None
    elif column.dtype.kind in "iu":
        column = column.astype(str)
    if column.dtype.kind != "U":
        raise ValueError(f"{where}: {what} must be strings, but are {column.dtype}; convert them first.")
    return column


def sides(columns: Mapping[str, NDArray[Any]], where: str) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Give which rows are test and which of them ask, as `split` and `query` say; `None` for what nothing tells.

    Raises:
        ValueError: a word is none of those, the columns contradict each other, or all or none of the test rows ask.
    """
    test, by_split = _by_split(columns.get("split"), where)
    by_query = _by_query(columns.get("query"), where)
    queries = by_split if by_query is None else by_query
    if by_query is not None and by_split is not None and (by_split != by_query).any():
        raise ValueError(f"{where}: split and query contradict each other; correct one of them.")
    if queries is None:
        return test, None
    if test is not None and (wrong := np.flatnonzero(queries & ~test)).size:
        raise ValueError(f"{where}: only a test row can ask, but row {wrong[0]} is one to train on; correct query.")
    asking = np.count_nonzero(queries)
    if asking in (0, len(queries) if test is None else np.count_nonzero(test)):
        raise ValueError(
            f"{where}: test rows must be some queries and some gallery, but all are one; say which ask, or of none."
        )
    return test, queries


def _by_split(column: NDArray[Any] | None, where: str) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    if column is None:
        return None, None
    words = strings(column, "split", where).tolist()
    meant = {word: side_of(word) for word in dict.fromkeys(words)}
    found = [
        meant[word] or _refuse(where, "split", "train, val, trainval, test, query or gallery", word) for word in words
    ]
    test = np.array([is_test for is_test, _ in found], dtype=np.bool_)
    told = [is_query is not None for is_test, is_query in found if is_test]
    if any(told) and not all(told):
        raise ValueError(f"{where}: a split into queries and gallery must say of every test row which it is.")
    return test, np.array([bool(is_query) for _, is_query in found], dtype=np.bool_) if any(told) else None


def _by_query(column: NDArray[Any] | None, where: str) -> NDArray[np.bool_] | None:
    if column is None:
        return None
    column = flat(column, "query", where)
    if column.dtype.kind == "b":
        return column.astype(np.bool_)
    words = strings(column, "query", where).tolist()
    meant = {word: asks(word) for word in dict.fromkeys(words)}
    unknown = [word for word, said in meant.items() if said is None]
    if unknown:
        _refuse(where, "query", "1 or 0", unknown[0])
    return np.array([bool(meant[word]) for word in words], dtype=np.bool_)


def _refuse(where: str, what: str, words: str, word: str) -> Any:
    raise ValueError(f"{where}: {what} must be {words}, but is {word!r}.")


def require_each_once(paths: Sequence[str], where: str) -> None:
    """Raise `ValueError` where a path is empty, or stands in two rows."""
    first: dict[str, int] = {}
    for row, path in enumerate(paths):
        if not path:
            raise ValueError(f"{where}: every row must have a path where there is that column, but row {row} has none.")
        before = first.setdefault(path, row)
        if before != row:
            raise ValueError(f"{where}: every path must stand once, but {path!r} stands in rows {before} and {row}.")
