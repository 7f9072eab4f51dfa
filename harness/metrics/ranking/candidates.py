"""The search: for every query the gallery's best candidates by float32 similarity, wherever and however it runs.

Candidates are a proposal. `mlrc.harness.metrics.ranking.neighbours` asks for some more than it needs and settles their
order exactly, so that nothing of the search (backend, device, tiles, threads) shows in a result.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.metrics.ranking.sampled import choose_cut, sampled
from mlrc.harness.metrics.ranking.similarity import full_precision
from mlrc.harness.metrics.ranking.symmetric import largest_side, symmetric
from mlrc.harness.metrics.ranking.tiles import BYTES_PER_CANDIDATE, Candidates

Backend = Literal["torch", "faiss"]
Floats = NDArray[np.float32]

LEAST_MEMORY = 2**20
"""Bytes below which tiles are too small to be worth the name."""

MANY = 2**14
"""Images from which on memory is spent on speed, and symmetry used."""

ACCELERATOR_MEMORY = 2**29
"""Bytes that the search takes of an accelerator when no cap is given."""

FAISS_MOST = 2048
"""Neighbours per query that faiss can select on a GPU."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What to search, and how.

    Attributes:
        queries: `(queries, dim)`, unit rows.
        gallery: `(gallery, dim)`, unit rows; None where the queries are their own gallery and none its own candidate.
        length: candidates per query, no more than there are.
        backend: torch, or faiss where it is installed.
        device: a torch device; faiss knows the CPU and CUDA.
        memory: cap in bytes on what the search takes beyond the rows.
        progress: called with (steps begun, steps), at last when all are done.
    """

    queries: Floats
    gallery: Floats | None
    length: int
    backend: Backend = "torch"
    device: str = "cpu"
    memory: int | None = None
    progress: Callable[[int, int], None] | None = None

    def candidates(self, use: Callable[[Candidates], None]) -> None:
        """Call `use` with the candidates of consecutive queries until all had their turn; on cores by several threads.

        Raises:
            ValueError: a backend or device that is not there, or too small a cap.
        """
        if self.memory is not None and self.memory < LEAST_MEMORY:
            raise ValueError(f"The memory cap must be at least {LEAST_MEMORY} bytes (1 MiB), but is {self.memory}.")
        if self.backend not in ("torch", "faiss"):
            raise ValueError(f"The backend must be 'torch' or 'faiss', but is {self.backend!r}.")
        if self.backend == "faiss":
            self._faiss(use)
        elif torch.device(self.device).type == "cpu":
            self._cores(use)
        else:
            self._accelerator(use)

    def _report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)

    def _within(self) -> Floats:
        return self.queries if self.gallery is None else self.gallery

    def _default_memory(self) -> int:
        threads = torch.get_num_threads()
        if len(self.queries) < MANY:
            return max(LEAST_MEMORY * threads, 2 * self.queries.nbytes // 5, len(self.queries) * self.length)
        return max(4 * LEAST_MEMORY * threads, self.queries.nbytes // 2)

    def _cores(self, use: Callable[[Candidates], None]) -> None:
        threads = torch.get_num_threads()
        memory = self.memory or self._default_memory()
        side = largest_side(len(self.queries), self.length, memory=memory, threads=threads)
        with full_precision():
            if self.gallery is None and symmetry_pays(len(self.queries), side, self.length):
                symmetric(self.queries, self.length, side=side, use=use, progress=self._report)
                return
            cut = choose_cut(len(self._within()), self.length, memory=memory // threads)
            sampled(self.queries, self.gallery, self.length, cut=cut, use=use, progress=self._report)

    def _accelerator(self, use: Callable[[Candidates], None]) -> None:
        queries = torch.from_numpy(self.queries).to(self.device)
        within = queries if self.gallery is None else torch.from_numpy(self.gallery).to(self.device)
        step = max(1, min(4096, (self.memory or ACCELERATOR_MEMORY) // (len(within) * 16)))
        cells = torch.empty((step, len(within)), dtype=torch.float32, device=self.device)
        for start in range(0, len(queries), step):
            mine = queries[start : start + step]
            similarities = cells[: len(mine)]
            with full_precision():
                torch.mm(mine, within.T, out=similarities)
            if self.gallery is None:
                similarities.diagonal(start).fill_(-torch.inf)
            best = similarities.topk(self.length, dim=1)
            use(Candidates(start, best.values.cpu().numpy(), best.indices.cpu().numpy()))
            self._report(start + len(mine), len(queries))

    def _faiss(self, use: Callable[[Candidates], None]) -> None:
        length = self.length + (self.gallery is None)
        nearest = _faiss_search(self.device, length)
        step = max(1, min(4096, (self.memory or self._default_memory()) // (length * BYTES_PER_CANDIDATE)))
        for start in range(0, len(self.queries), step):
            mine = self.queries[start : start + step]
            similarities, indices = nearest(mine, self._within(), length)
            if self.gallery is None:
                similarities, indices = _without_itself(similarities, indices, start)
            use(Candidates(start, similarities, indices))
            self._report(start + len(mine), len(self.queries))


def symmetry_pays(images: int, side: int, length: int) -> bool:
    """Say whether sorting candidates in twice costs less than half a product saves: with many images in large tiles."""
    return images >= MANY and side >= max(256, 4 * length)


def _faiss_search(device: str, length: int) -> Callable[[Floats, Floats, int], tuple[Floats, NDArray[np.int64]]]:
    try:
        import faiss  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ValueError("The faiss backend needs faiss; install mlrc[faiss-cpu] or mlrc[faiss-gpu].") from error
    kind = torch.device(device).type
    if kind == "cpu":
        return lambda rows, within, k: faiss.knn(rows, within, k, metric=faiss.METRIC_INNER_PRODUCT)
    if kind != "cuda" or not hasattr(faiss, "knn_gpu") or faiss.get_num_gpus() == 0:
        raise ValueError(
            f"The faiss that is installed must know the device {device!r}, but does not; "
            "give --device cpu, or the torch backend."
        )
    if length > FAISS_MOST:
        raise ValueError(
            f"faiss selects at most {FAISS_MOST} neighbours on a GPU, but {length} are needed; use the torch backend."
        )
    resources = faiss.StandardGpuResources()
    number = torch.device(device).index or 0
    return lambda rows, within, k: faiss.knn_gpu(
        resources, rows, within, k, metric=faiss.METRIC_INNER_PRODUCT, device=number
    )


def _without_itself(similarities: Floats, indices: NDArray[np.int64], start: int) -> tuple[Floats, NDArray[np.int64]]:
    """Drop each query from its candidates by its index, or the worst candidate where duplicates kept it out."""
    itself = indices == np.arange(start, start + len(indices))[:, None]
    itself[:, -1] |= ~itself.any(axis=1)
    shape = len(indices), indices.shape[1] - 1
    return similarities[~itself].reshape(shape), indices[~itself].reshape(shape)
