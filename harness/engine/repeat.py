"""The final stage's scores: from the test embeddings of a repeat's fold models to its `RunRecord`."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlrc.harness.machine.atomic import write_atomically
from mlrc.harness.metrics.scores import separated_and_concatenated
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.job import digest
from mlrc.harness.plan.study import Study
from mlrc.protocols.protocol import of
from mlrc.results.records.record import Environment, FoldRecord, RunRecord


class EmbeddingFiles:
    """Test embeddings of fold models on the disk, `embeddings/<job key>.npy`, until their repeat is scored."""

    def __init__(self, runs: Path) -> None:
        self.folder = runs / "embeddings"

    def held(self) -> set[str]:
        """Give the keys of the jobs whose embeddings are there."""
        return {path.stem for path in self.folder.glob("*.npy")}

    def save(self, key: str, embeddings: NDArray[np.float32]) -> None:
        """Write embeddings, whole or not at all."""
        content = BytesIO()
        np.save(content, embeddings)
        write_atomically(self.folder / f"{key}.npy", content.getvalue())

    def load(self, key: str) -> NDArray[np.float32]:
        """Read embeddings `(test images, dim)`."""
        embeddings: NDArray[np.float32] = np.load(self.folder / f"{key}.npy")
        return embeddings

    def remove(self, keys: Sequence[str]) -> None:
        """Delete the embeddings of a scored repeat."""
        for key in keys:
            (self.folder / f"{key}.npy").unlink(missing_ok=True)


class ScoredRun(NamedTuple):
    """A repeat's ledger line, and its per-class sums for the file `per_class/<run key>.npz`."""

    record: RunRecord
    per_class: Mapping[str, NDArray[np.generic]]


def score_run(
    study: Study,
    folds: Sequence[FoldRecord],
    embeddings: Sequence[NDArray[np.float32]],
    task: Task,
    environment: Environment,
) -> ScoredRun:
    """Score one repeat on the test classes.

    Args:
        study: of the repeat.
        folds: its records, in fold order.
        embeddings: of each fold model, `(test images, dim)`.
        task: of the test images.
        environment: of the scoring process.
    """
    protocol = study.protocol
    ndcg_at: tuple[int, ...] = of(protocol.ndcg_at, study.dataset)
    key = digest([fold.key for fold in folds])[:16]
    scores = separated_and_concatenated(
        embeddings,
        task,
        nmi_seed=int(key[:7], 16) if protocol.nmi.of(study.dataset) else None,  # scikit-learn takes 32 bits
        ndcg_at=ndcg_at,
        recall_at=protocol.recall_at.of(study.dataset),
    )
    record = RunRecord(
        key=key,
        dataset=study.dataset,
        fingerprint=study.fingerprint,
        cut=folds[0].cut,
        protocol=protocol.name,
        digest=protocol.digest,
        loss=study.loss,
        params=folds[0].params,
        number=folds[0].number,
        fold_keys=tuple(fold.key for fold in folds),
        test_classes=len(np.unique(task.labels)),
        test_images=len(task.labels),
        queries=None if task.queries is None else int(task.queries.sum()),
        cameras=None if task.cameras is None else len(np.unique(task.cameras)),
        left_out=scores.left_out,
        embedding_size=embeddings[0].shape[1],
        separated=scores.separated,
        concatenated=scores.concatenated,
        environment=environment,
    )
    per_class: dict[str, NDArray[np.generic]] = {
        "classes": scores.concatenated_sums.classes,
        "counts": scores.concatenated_sums.counts,
    }
    for setting, sums in (("separated", scores.separated_sums), ("concatenated", scores.concatenated_sums)):
        per_class |= {f"{setting}/{metric}": values for metric, values in sums.sums.items()}
    return ScoredRun(record, per_class)


def write_per_class(runs: Path, scored: ScoredRun) -> None:
    """Write the per-class sums, whole or not at all."""
    content = BytesIO()
    np.savez_compressed(content, allow_pickle=False, **scored.per_class)
    write_atomically(runs / "per_class" / f"{scored.record.key}.npz", content.getvalue())
