"""From files or arrays to what they are asked: which rows ask, which are searched, and which of them are one image."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mlrc.harness.vectors.reading import read, read_labels
from mlrc.harness.vectors.vectors import Vectors

Rows = str | Path | ArrayLike | torch.Tensor
"""An array, a tensor, or the path of a file of vectors."""
Split = Literal["test", "trainval", "all"]
Integers = NDArray[np.int64]


class Side(NamedTuple):
    """Some rows of a file or an array.

    Attributes:
        vectors: the rows alone; their labels are told.
        rows: `(rows,)`, where each of them is in the file.
    """

    vectors: Vectors
    rows: Integers

    def some(self, which: NDArray[np.bool_]) -> "Side":
        """Give some of them; all of them are not copied."""
        return self if which.all() else Side(self.vectors.rows(which), self.rows[which])

    @property
    def labels(self) -> NDArray[Any]:
        """`(rows,)`, as they were written."""
        if self.vectors.labels is None:
            raise ValueError(f"Every row must have a label, but {self.vectors.found} tells none; give --labels FILE.")
        return self.vectors.labels


class Question(NamedTuple):
    """What is asked.

    Attributes:
        queries: those that ask.
        gallery: those that are searched; `None` where each query asks all others.
        cameras: a number for each query and for each of the gallery; `None` where none is told.
        identities: likewise, which image each is, where queries are to be left out of the gallery.
        remarks: sentences on what was made of the files.
    """

    queries: Side
    gallery: Side | None
    cameras: tuple[Integers, Integers | None] | None
    identities: tuple[Integers, Integers] | None
    remarks: tuple[str, ...]


def question(
    embeddings: Rows,
    labels: Rows | None = None,
    *,
    gallery_embeddings: Rows | None = None,
    gallery_labels: Rows | None = None,
    split: Split | None = None,
    gallery_includes_queries: bool = False,
) -> Question:
    """Read what is given, and find who asks whom; see `mlrc.harness.metrics.evaluate.evaluate`.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file or its columns do not fit, or it is not known which queries the gallery includes.
    """
    if gallery_embeddings is None and (gallery_labels is not None or gallery_includes_queries):
        what = "labels" if gallery_labels is not None else "queries among it"
        raise ValueError(f"A gallery with {what} must have embeddings, but none were given; give --gallery-embeddings.")
    remarks: list[str] = []
    queries, judged = _side(embeddings, labels, split, remarks)
    if gallery_embeddings is None:
        flags = queries.vectors.queries if judged else None
        if flags is None:
            return Question(queries, None, _cameras(queries, None, judged), None, tuple(remarks))
        asking, searched = queries.some(flags), queries.some(~flags)
        return Question(asking, searched, _cameras(asking, searched, judged), None, tuple(remarks))
    gallery, _ = _side(gallery_embeddings, gallery_labels, split, remarks)
    for side in (queries, gallery):
        if judged and side.vectors.queries is not None:
            raise ValueError(
                f"{side.vectors.found} must not divide itself into queries and gallery where another gallery is given; "
                "leave out the column query, or the gallery."
            )
    same = _is_same(embeddings, gallery_embeddings)
    known = _identities(queries, gallery, same=same)
    remarks += _on_overlap(queries, gallery, known, left_out=gallery_includes_queries)
    return Question(
        queries,
        gallery,
        _cameras(queries, gallery, judged),
        known if gallery_includes_queries else None,
        tuple(dict.fromkeys(remarks)),
    )


def _side(embeddings: Rows, labels: Rows | None, split: Split | None, remarks: list[str]) -> tuple[Side, bool]:
    """Give the rows of a side of the split, and whether they are judged as test rows are, by queries and cameras."""
    vectors = _vectors(embeddings, labels)
    side = Side(vectors, np.arange(len(vectors), dtype=np.int64))
    _ = side.labels  # told before any work
    if vectors.unused:
        remarks.append(f"Not used of {vectors.found}: {', '.join(map(repr, vectors.unused))}.")
    if vectors.test is None:
        if split is not None:
            raise ValueError(f"--split needs to know the sides, but {vectors.found} has no column split; leave it out.")
        return side, True
    split = split or "test"
    if split == "all":
        return side, False
    some = side.some(vectors.test if split == "test" else ~vectors.test)
    if not len(some.rows):
        raise ValueError(f"{vectors.found} must have rows on the side {split} of its split, but has none.")
    remarks.append(f"Of the {len(side.rows)} rows of {vectors.found} the {len(some.rows)} on the side {split} count.")
    return some, split == "test"


def _vectors(embeddings: Rows, labels: Rows | None) -> Vectors:
    if isinstance(embeddings, str | Path):
        if labels is None or isinstance(labels, str | Path):
            return read(Path(embeddings), None if labels is None else Path(labels))
        vectors = read(Path(embeddings))
        if vectors.labels is not None:
            raise ValueError(f"Only one must tell labels, but {vectors.found} does, too; leave one out.")
        return replace(vectors, labels=array_of(labels))
    found = array_of(embeddings)
    if labels is None:
        raise ValueError("Every row must have a label, but none were given; give labels, or a file that has them.")
    of_rows = read_labels(Path(labels)) if isinstance(labels, str | Path) else array_of(labels)
    return Vectors(embeddings=found, labels=of_rows, found="the array given")


def array_of(given: ArrayLike | torch.Tensor) -> NDArray[Any]:
    """Give an array of what stands for one; a tensor may lie on any device."""
    if isinstance(given, torch.Tensor):
        there = given.detach().cpu()
        return (there.float() if there.dtype == torch.bfloat16 else there).numpy()
    return np.asarray(given)


def _is_same(one: Rows, other: Rows) -> bool:
    """Say whether two are one file or one object, so that a row is the same image in both."""
    if isinstance(one, str | Path) and isinstance(other, str | Path):
        return Path(one).samefile(other)
    return one is other


def _cameras(queries: Side, gallery: Side | None, judged: bool) -> tuple[Integers, Integers | None] | None:
    given = [queries.vectors.cameras, *([] if gallery is None else [gallery.vectors.cameras])]
    if not judged or all(cameras is None for cameras in given):
        return None
    told = [cameras for cameras in given if cameras is not None]
    if len(told) < len(given):
        raise ValueError("Queries and gallery must both have a column camera or neither, but only one has; drop it.")
    of_queries, *of_gallery = _numbered(told)
    return of_queries, (of_gallery[0] if of_gallery else None)


def _identities(queries: Side, gallery: Side, *, same: bool) -> tuple[Integers, Integers] | None:
    """Give which image each row is: by its path, or by its row where both are one file; `None` if nothing tells."""
    if queries.vectors.paths is not None and gallery.vectors.paths is not None:
        of_queries, of_gallery = _numbered([queries.vectors.paths, gallery.vectors.paths])
        return of_queries, of_gallery
    return (queries.rows, gallery.rows) if same else None


def _on_overlap(
    queries: Side, gallery: Side, known: tuple[Integers, Integers] | None, *, left_out: bool
) -> Sequence[str]:
    if known is None:
        if left_out:
            raise ValueError(
                f"Which queries the gallery includes must be known by paths, or by one file for both, but "
                f"{queries.vectors.found} and {gallery.vectors.found} are two without a path in each row; write both "
                "with paths, as mlrc embed does."
            )
        alike = _equal_rows(queries.vectors.embeddings, gallery.vectors.embeddings)
        return (
            [
                f"{alike} queries have an equal embedding in the gallery. If they are the same images they find "
                "themselves: give paths in both files, and --gallery-includes-queries."
            ]
            if alike
            else []
        )
    both = int(np.isin(*known).sum())
    if not both:
        return ["No query is in the gallery."] if left_out else []
    if left_out:
        return [f"{both} queries are in the gallery, too; each is left out of its own ranking."]
    return [
        f"{both} queries are in the gallery, too, and find themselves; --gallery-includes-queries leaves each out of "
        "its own ranking."
    ]


def _equal_rows(queries: NDArray[Any], gallery: NDArray[Any]) -> int:
    """Count the queries whose embedding is in the gallery to the bit."""
    if queries.dtype != gallery.dtype or queries.ndim != 2 or gallery.ndim != 2:
        return 0
    asking = {hash(row.tobytes()) for row in queries}
    alike = {content for row in gallery if hash(content := row.tobytes()) in asking}
    return sum(row.tobytes() in alike for row in queries)


def _numbered(columns: Sequence[NDArray[Any]]) -> list[Integers]:
    _, of_all = np.unique(np.concatenate(columns), return_inverse=True)
    return [part.astype(np.int64) for part in np.split(of_all, np.cumsum([len(column) for column in columns])[:-1])]
