"""The metrics alone, on anyone's embeddings: files or arrays in, numbers with their evidence out.

The body of the command `mlrc evaluate`, and of the function.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mlrc.harness.machine.allocator import keep_memory
from mlrc.harness.machine.environment import resolve_device
from mlrc.harness.metrics.clustering import clustering_scores
from mlrc.harness.metrics.ranking.candidates import Backend
from mlrc.harness.metrics.retrieval import retrieval

Rows = str | Path | ArrayLike | torch.Tensor
"""An array, a tensor, or the path of a `.npy` file."""

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
        versions: of the packages that took part.
    """

    metrics: Mapping[str, float]
    queries: int
    left_out: int
    tied: int
    gallery: int
    classes: int
    dim: int
    versions: Mapping[str, str]

    def to_json(self) -> str:
        """Give all of it as one JSON object; metrics in full precision."""
        return json.dumps(asdict(self), indent=2)

    def notes(self) -> list[str]:
        """Give the sentences to print below the numbers."""
        notes = [
            f"{self.queries} queries of {self.classes} classes among {self.gallery} images, {self.dim} dimensions."
        ]
        if self.left_out:
            notes.append(f"{self.left_out} queries without a positive are left out.")
        if self.tied:
            notes.append(
                f"In {self.tied} queries a positive and a negative are equally similar: the lower index came first."
            )
        return notes


def evaluate(
    embeddings: Rows,
    labels: Rows,
    *,
    gallery_embeddings: Rows | None = None,
    gallery_labels: Rows | None = None,
    cuts: Sequence[int] = (1, 10),
    clustering: bool = False,
    backend: Backend = "torch",
    device: str = "cpu",
    memory: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure embeddings: P@1, RP, MAP@R and the metrics at k, exactly, in percent.

    Args:
        embeddings: an array, a tensor or a `.npy` file, `(images, dim)`, float16, float32 or float64.
        labels: likewise, `(images,)`, integers or strings.
        gallery_embeddings: likewise; by default the images are their own gallery.
        gallery_labels: likewise.
        cuts: the k of nDCG@k, R@k, MAP@k and P@k.
        clustering: whether to add NMI and AMI of the queries.
        backend: torch or faiss; the numbers are the same.
        device: where to search: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        memory: cap on the memory of the search, such as `512M` or `2G`.
        progress: called with (steps begun, steps), at last when all are done.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is no array, a device is not there, or what `mlrc.harness.metrics.retrieval.retrieval`
            refuses.
        TypeError: embeddings or labels of another type.
    """
    keep_memory()
    cap = None if memory is None else bytes_of(memory)
    queries, of_query = rows(embeddings), rows(labels)
    gallery = None if gallery_embeddings is None else rows(gallery_embeddings)
    found = retrieval(
        queries,
        of_query,
        gallery_embeddings=gallery,
        gallery_labels=None if gallery_labels is None else rows(gallery_labels),
        ndcg_at=cuts,
        recall_at=cuts,
        map_at=cuts,
        precision_at=cuts,
        backend=backend,
        device=str(resolve_device(device)),
        memory=cap,
        progress=progress,
    )
    metrics = found.means()
    if clustering:
        metrics |= clustering_scores(queries, of_query)
    return Evaluation(
        metrics=metrics,
        queries=len(found.labels),
        left_out=found.left_out,
        tied=found.tied,
        gallery=len(queries if gallery is None else gallery),
        classes=len(np.unique(found.labels)),
        dim=queries.shape[1],
        versions={name: version(name) for name in PACKAGES},
    )


def rows(given: Rows) -> NDArray[Any]:
    """Give an array of what stands for one; a tensor may lie on any device, a path leads to a `.npy` file.

    Raises what `load` raises.
    """
    if isinstance(given, str | Path):
        return load(Path(given))
    if isinstance(given, torch.Tensor):
        there = given.detach().cpu()
        return (there.float() if there.dtype == torch.bfloat16 else there).numpy()
    return np.asarray(given)


def load(path: Path) -> NDArray[Any]:
    """Map an array in a `.npy` file.

    Raises:
        FileNotFoundError: it is missing.
        ValueError: it is no array of numbers or strings.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} must be there, but is not; check the path.")
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(
            path, mode="c"
        )  # writable in memory alone: nothing need be copied
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{path} must be a .npy file of numbers or strings, but cannot be read ({error}); "
            "write it with numpy.save(path, array), strings as array.astype(str)."
        ) from error
    return array


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
