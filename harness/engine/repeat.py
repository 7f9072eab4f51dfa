"""The final stage's scores: from the test embeddings of a repeat's fold models to its `RunRecord`."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.machine.atomic import write_atomically
from mlrc.harness.metrics.asked import similarity_of
from mlrc.harness.metrics.scores import separated_and_concatenated
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.job import ScoreJob
from mlrc.protocols.protocol import of
from mlrc.results.records.per_class import PER_CLASS, sealed
from mlrc.results.records.record import Environment, RunRecord

_DIGEST_SIZE = 32


class DamagedError(Exception):
    """An embeddings file is not what was written, or not there."""


class EmbeddingFiles:
    """Test embeddings of fold models on the disk, `embeddings/<job key>.npy`, until their repeat is scored.

    A digest over the job's key and all before it ends each file, beyond what `numpy.load` reads.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of_run(cls, runs: Path) -> Self:
        """Give the files of a run in its folder."""
        return cls(runs / "embeddings")

    def held(self) -> set[str]:
        """Give the keys of the jobs whose embeddings are there."""
        return {path.stem for path in self.folder.glob("*.npy")}

    def save(self, key: str, embeddings: NDArray[np.float32]) -> None:
        """Write embeddings, whole or not at all."""
        content = BytesIO()
        np.save(content, embeddings)
        written = content.getvalue()
        write_atomically(self.folder / f"{key}.npy", written, _digest(key, written))

    def load(self, key: str) -> NDArray[np.float32]:
        """Read embeddings `(test images, dim)`.

        Raises:
            DamagedError: the file is not what was written, or not there.
            OSError: it is there and cannot be read.
        """
        path = self.folder / f"{key}.npy"
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise DamagedError(f"{path} is not there") from error
        written, told = content[:-_DIGEST_SIZE], content[-_DIGEST_SIZE:]
        if _digest(key, written) != told:
            raise DamagedError(f"{path} is not what was written")
        embeddings: NDArray[np.float32] = np.load(BytesIO(written), allow_pickle=False)
        return embeddings

    def damaged(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Give those of the keys whose files cannot be trusted."""
        found = []
        for key in keys:
            try:
                self.load(key)
            except DamagedError:
                found.append(key)
        return tuple(found)

    def remove(self, keys: Iterable[str]) -> None:
        """Delete the embeddings of a scored repeat, or damaged ones."""
        for key in keys:
            (self.folder / f"{key}.npy").unlink(missing_ok=True)


class ScoredRun(NamedTuple):
    """A repeat's ledger line, and its per-class sums for the file `per_class/<run key>.npz`."""

    record: RunRecord
    per_class: Mapping[str, NDArray[np.generic]]


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_SIZE, key=key.encode()).digest()


def score_run(
    job: ScoreJob,
    embeddings: Sequence[NDArray[np.float32]],
    task: Task,
    environment: Environment,
    *,
    device: str = "cpu",
    pretraining: str = "",
) -> ScoredRun:
    """Score one repeat on the test classes.

    Args:
        job: which repeat.
        embeddings: of each fold model, in fold order, `(test images, dim)`.
        task: of the test images.
        environment: that the record carries.
        device: that searches the neighbours.
        pretraining: what the data set says of which classes pretrained weights may have seen.
    """
    protocol = job.protocol
    ndcg_at: tuple[int, ...] = of(protocol.ndcg_at, job.dataset)
    key = job.key
    scores = separated_and_concatenated(
        embeddings,
        task,
        nmi_seed=int(key[:7], 16) if protocol.nmi.of(job.dataset) else None,  # scikit-learn takes 32 bits
        ndcg_at=ndcg_at,
        recall_at=protocol.recall_at.of(job.dataset),
        similarity=similarity_of(protocol),
        device=device,
    )
    record = RunRecord(
        key=key,
        dataset=job.dataset,
        fingerprint=job.fingerprint,
        cut=job.cut,
        protocol=protocol.name,
        digest=protocol.digest,
        loss=job.loss,
        params=job.params,
        number=job.number,
        search=job.search,
        fold_keys=job.fold_keys,
        test_classes=len(np.unique(task.labels)),
        test_images=len(task.labels),
        queries=None if task.queries is None else int(task.queries.sum()),
        cameras=None if task.cameras is None else len(np.unique(task.cameras)),
        left_out=scores.left_out,
        embedding_size=embeddings[0].shape[1],
        separated=scores.separated,
        concatenated=scores.concatenated,
        environment=environment,
        pretraining=pretraining if protocol.weights else "",
    )
    per_class: dict[str, NDArray[np.generic]] = {
        "classes": scores.concatenated_sums.classes,
        "counts": scores.concatenated_sums.counts,
    }
    for setting, sums in (("separated", scores.separated_sums), ("concatenated", scores.concatenated_sums)):
        per_class |= {f"{setting}/{metric}": values for metric, values in sums.sums.items()}
    return ScoredRun(record, per_class)


def write_per_class(runs: Path, scored: ScoredRun) -> str:
    """Write the per-class sums, whole or not at all, and give the SHA-256 of their file."""
    content = BytesIO()
    np.savez_compressed(content, allow_pickle=False, **sealed(scored.record.key, scored.per_class))
    write_atomically(runs / PER_CLASS / f"{scored.record.key}.npz", content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()
