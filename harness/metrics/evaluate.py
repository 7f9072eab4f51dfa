"""The metrics alone, on anyone's embeddings: files or arrays in, numbers with their evidence out.

The body of the command `mlrc evaluate`, and of the function.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from mlrc.harness.machine.allocator import keep_memory
from mlrc.harness.machine.environment import resolve_device
from mlrc.harness.metrics.asked import Similarity, asked
from mlrc.harness.metrics.clustering import clustering_scores
from mlrc.harness.metrics.findings import Findings, Neighbours
from mlrc.harness.metrics.question import Question, Rows, Split, question
from mlrc.harness.metrics.ranking.candidates import Backend
from mlrc.harness.metrics.ranking.euclidean import Places
from mlrc.harness.metrics.ranking.nearest import NONE, nearest
from mlrc.harness.metrics.retrieval import HIGHEST_K, require_cuts, retrieval

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MOST_MEMORY = 2**50
PACKAGES = ("mlrc", "numpy", "torch")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured, and on what.

    Attributes:
        metrics: metric → percent.
        queries: number of queries measured; `left_out`: of those without a positive, which were not.
        tied: queries in which a positive and a negative are equally similar, so that the order of the images decided.
        gallery: number of images searched.
        classes: number of classes among the queries measured.
        dim: size of an embedding.
        similarity: by which images are near.
        versions: of the packages that took part.
        remarks: sentences on what was made of the files: which rows count, which queries are in the gallery, too.
        findings: the values of every query and class, and the neighbours where asked for.
    """

    metrics: Mapping[str, float]
    queries: int
    left_out: int
    tied: int
    gallery: int
    classes: int
    dim: int
    versions: Mapping[str, str]
    remarks: tuple[str, ...] = ()
    similarity: Similarity = "cosine"
    findings: Findings = field(repr=False, compare=False)

    def to_json(self) -> str:
        """Give all but the findings as one JSON object; metrics in full precision."""
        told = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "findings"}
        return json.dumps(told, indent=2, ensure_ascii=False)

    def notes(self) -> list[str]:
        """Give the sentences to print below the numbers."""
        notes = [
            f"{self.queries} queries of {self.classes} classes among {self.gallery} images, {self.dim} dimensions.",
            *self.remarks,
        ]
        if self.similarity == "euclidean":
            notes.append("Near is what has a small Euclidean distance, of embeddings as they were given.")
        if self.left_out:
            notes.append(f"{self.left_out} queries without a positive are left out.")
        if self.tied:
            notes.append(
                f"In {self.tied} queries a positive and a negative are equally similar: the lower index came first."
            )
        return notes


def evaluate(
    embeddings: Rows,
    labels: Rows | None = None,
    *,
    gallery_embeddings: Rows | None = None,
    gallery_labels: Rows | None = None,
    gallery_includes_queries: bool = False,
    split: Split | None = None,
    cuts: Sequence[int] = (1, 10),
    similarity: Similarity = "cosine",
    neighbours: int = 0,
    clustering: bool = False,
    backend: Backend = "torch",
    device: str = "cpu",
    memory: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure embeddings: P@1, RP, MAP@R and the metrics at k, exactly, in percent.

    Where a file has columns beside the labels they count: of a `split` the test rows are measured; of `query` those
    ask that say so and the other test rows are their gallery; images of a query's class and `camera` are left out.

    Args:
        embeddings: an array or a tensor `(images, dim)`, float16, float32 or float64, or a file of them: `.npy`,
            `.npz`, `.safetensors`, `.pt`, `.parquet` or `.csv`, see docs/data.md.
        labels: likewise, `(images,)`, integers or strings; a file of embeddings may hold them, too.
        gallery_embeddings: likewise; by default the images are their own gallery.
        gallery_labels: likewise.
        gallery_includes_queries: leave each query that is in the gallery, too, out of its own ranking. An image is
            known by its path where both files have paths, or by its row where both are one file or one array; never by
            its embedding.
        split: which side counts where there is a column `split`: `test`, the default, or `trainval` or `all`, where
            every row asks all others, whatever `query` and `camera` say.
        cuts: the k of nDCG@k, R@k, MAP@k and P@k.
        similarity: by which images are near: `cosine`, or `euclidean` for the distance of embeddings as they are given;
            neighbours are told with that.
        neighbours: of every query, that the findings name.
        clustering: whether to add NMI and AMI of the queries.
        backend: torch or faiss; the numbers are the same.
        device: where to search: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        memory: cap on the memory of the search, such as `512M` or `2G`.
        progress: called with (steps begun, steps), at last when all are done.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file does not fit, a device is not there, it is not known which queries the gallery includes,
            clusters are asked for by Euclidean distance, or what `mlrc.harness.metrics.retrieval.retrieval` refuses.
        TypeError: embeddings or labels of another type.
        ImportError: the package that a format needs is not installed.
    """
    keep_memory()
    require_cuts({"nDCG": cuts})
    if not 0 <= neighbours <= HIGHEST_K:
        raise ValueError(f"neighbours must lie in [0, {HIGHEST_K}], but got {neighbours}.")
    if clustering and similarity == "euclidean":
        raise ValueError(
            "NMI and AMI are of clusters of normalised embeddings, but near is what has a small Euclidean distance of "
            "embeddings as they are; leave out one of --clustering and --similarity euclidean."
        )
    search = Searching(backend, str(resolve_device(device)), None if memory is None else bytes_of(memory), progress)
    told = question(
        embeddings,
        labels,
        gallery_embeddings=gallery_embeddings,
        gallery_labels=gallery_labels,
        split=split,
        gallery_includes_queries=gallery_includes_queries,
    )
    gallery = told.gallery
    options: dict[str, Any] = {
        "gallery_embeddings": None if gallery is None else gallery.vectors.embeddings,
        "gallery_labels": None if gallery is None else gallery.labels,
        **dict(zip(("cameras", "gallery_cameras"), told.cameras or (None, None), strict=True)),
        **dict(zip(("identities", "gallery_identities"), told.identities or (None, None), strict=True)),
        "similarity": similarity,
    }
    found = retrieval(
        told.queries.vectors.embeddings,
        told.queries.labels,
        **options,
        ndcg_at=cuts,
        recall_at=cuts,
        map_at=cuts,
        precision_at=cuts,
        **search._asdict(),
    )
    metrics = found.means()
    if clustering:
        metrics |= clustering_scores(told.queries.vectors.embeddings, told.queries.labels)
    paths = told.queries.vectors.paths
    return Evaluation(
        metrics=metrics,
        queries=len(found.labels),
        left_out=found.left_out,
        tied=found.tied,
        gallery=len((told.queries if gallery is None else gallery).rows),
        classes=len(np.unique(found.labels)),
        dim=told.queries.vectors.embeddings.shape[1],
        versions={name: version(name) for name in PACKAGES},
        remarks=told.remarks,
        similarity=similarity,
        findings=Findings(
            rows=told.queries.rows[found.queries],
            labels=told.queries.labels[found.queries],
            positives=found.positives,
            per_query={name: 100 * values for name, values in found.per_query.items()},
            paths=None if paths is None else paths[found.queries],
            neighbours=_neighbours(told, options, neighbours, search) if neighbours else None,
        ),
    )


class Searching(NamedTuple):
    """How to search; see `mlrc.harness.metrics.ranking.candidates.Search`."""

    backend: Backend
    device: str
    memory: int | None
    progress: Callable[[int, int], None] | None


def _neighbours(told: Question, options: Mapping[str, Any], number: int, search: Searching) -> Neighbours:
    ranking = asked(told.queries.vectors.embeddings, told.queries.labels, **options, depth=number).ranking
    found = nearest(ranking, number, **search._asdict())
    there = found.indices != NONE
    searched = told.queries if told.gallery is None else told.gallery
    relevant = ranking.gallery_labels[found.indices] == ranking.query_labels[:, None]
    paths = None
    if searched.vectors.paths is not None:
        paths = np.zeros(int(searched.rows.max(initial=-1)) + 1, searched.vectors.paths.dtype)
        paths[searched.rows] = searched.vectors.paths
    distances = ranking.queries.distances(found.similarities) if isinstance(ranking.queries, Places) else None
    return Neighbours(
        queries=told.queries.rows,
        indices=np.where(there, searched.rows[found.indices], NONE),
        similarities=found.similarities if distances is None else None,
        distances=distances,
        relevant=relevant & there,
        query_paths=told.queries.vectors.paths,
        gallery_paths=paths,
    )


def bytes_of(size: str) -> int:
    """Read a size of memory: `800000`, `512M`, `1.5 GB`; the units are powers of 1024.

    Raises:
        ValueError: it is no size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", size.strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f"A size of memory must look like 512M or 2G, but is {size!r}.")
    found = float(match[1]) * UNITS[match[2].upper()]
    if found > MOST_MEMORY:
        raise ValueError(f"A size of memory must be at most 1024T, but is {size!r}.")
    return int(found)
