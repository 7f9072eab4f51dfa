"""The job border: one `FoldJob` in, one `FoldOutcome` out, whatever happens in between; the same in every executor.

For scores, test images are read here and nowhere else, after training, and in no job of the search. A protocol that
chooses the epoch on the test set, and none but it, is given them during the training of its final models, too. Beside
this, `harness.gallery` reads them for the report, when all is scored.
"""

import json
import os
import random
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from harness import model as models
from harness.atomic import is_full
from harness.checkpoint import Checkpoint
from harness.environment import device_name, resolve_device
from harness.images.cache import cached
from harness.images.dataset import ImageSet, Pixels, open_dataset
from harness.images.device import on_device
from harness.plan import FoldJob, rules
from harness.plugins import LOSSES
from harness.score import Task
from harness.train import OnValidation, StoppedError, Subset, Trained, embed, stream, train_fold
from protocols.protocol import Protocol
from protocols.splits import FoldImages, class_folds, fold_images, images_of, trainval_classes
from results.record import Environment, FoldRecord

Shortage = Literal["", "memory", "disk"]
NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says of the processor's memory, of CUDA's own and of cuBLAS's, for which it has no class."""
THREADS = 1
"""Torch threads of a job, always the same number: sums of floats depend on it, and scores on them."""
_CUBLAS_WORKSPACE = ":4096:8"
"""What cuBLAS needs to know before its first product to give the same bits again (torch's notes on reproducibility)."""


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What a job finds where it is done; nothing here changes a result.

    Attributes:
        roots: dataset name in the jobs to (name to open it by, root folder).
        device: to train on.
        weights: file of the trunk's weights, if the protocol asks for any.
        cache: folder of the decode-once caches; `None` decodes at every access.
        environment: that its records carry.
        runs: folder of the run, for checkpoints and logs; `None` keeps neither.
        share: of the device that a job has.
        save_models: whether the outcomes of the final stage carry the weights that were scored.
    """

    roots: Mapping[str, tuple[str, Path]]
    device: str
    environment: Environment
    weights: Path | None = None
    cache: Path | None = None
    runs: Path | None = None
    share: float = 1.0
    save_models: bool = False

    def found_here(self) -> "Workplace":
        """Give the workplace with this machine and its device in the environment, which the driver can't know."""
        here = replace(self.environment, device=device_name(torch.device(self.device)), host=socket.gethostname())
        return replace(self, environment=here)

    def checkpoint(self, job: FoldJob) -> Path | None:
        """Where the job's checkpoint is kept."""
        return checkpoint_path(self.runs, job.key) if self.runs else None


def checkpoint_path(runs: Path, key: str) -> Path:
    """Where the checkpoint of a job is kept while it is at work."""
    return runs / "checkpoints" / f"{key}.pt"


class FoldOutcome(NamedTuple):
    """What came of a job.

    Attributes:
        record: its ledger line.
        embeddings: `(test images, dim)`, outside the search.
        weights: the model that gave the embeddings in safetensors' format, where it was asked for.
        shortage: of what the machine had too little, if that is why it failed.
    """

    job: FoldJob
    record: FoldRecord
    embeddings: NDArray[np.float32] | None
    weights: bytes | None = None
    shortage: Shortage = ""


class ClassSplit(NamedTuple):
    """Image indices of a dataset under a protocol."""

    folds: tuple[FoldImages, ...]
    test: NDArray[np.int64]


def split(images: ImageSet, protocol: Protocol) -> ClassSplit:
    """Split a dataset by the protocol's cut and folds.

    Raises:
        ValueError: the set has no official split although the protocol asks for it, or too few classes.
    """
    cut = protocol.cut.of(images.facts.name)
    boundary = _trainval_classes(images, cut)
    folds = class_folds(boundary, folds=protocol.folds, validation_fraction=protocol.validation_fraction)
    return ClassSplit(tuple(fold_images(images.labels, fold) for fold in folds), test_images(images, cut))


def test_images(images: ImageSet, cut: str) -> NDArray[np.int64]:
    """Give the indices of the test images under a cut, `half` or `official`; raises what `split` raises."""
    return images_of(images.labels, np.arange(_trainval_classes(images, cut), len(images.class_names)))


def _trainval_classes(images: ImageSet, cut: str) -> int:
    if cut != "official":
        return trainval_classes(len(images.class_names))
    if images.facts.official_trainval_classes is None:
        raise ValueError(f"Dataset {images.facts.name!r} has no official class-disjoint split; use --set cut=half.")
    return images.facts.official_trainval_classes


def task(images: ImageSet, test: NDArray[np.int64]) -> Task:
    """Give what the test images are asked: the dataset's queries its gallery, or each of them all others."""
    return Task(images.labels[test], None if images.queries is None else images.queries[test])


def perform(job: FoldJob, workplace: Workplace, on_validation: OnValidation, stop: Callable[[], bool]) -> FoldOutcome:
    """Do one job; an exception becomes a record that tells it.

    Raises:
        StoppedError: `stop` said so, and the training left a checkpoint.
    """
    started = time.perf_counter()
    embeddings, weights = None, None
    shortage: Shortage = ""
    try:
        trained, embeddings = _train_and_embed(job, workplace, on_validation, stop)
        if workplace.save_models and job.stage == "final" and trained.model is not None:
            weights = save({name: tensor.contiguous() for name, tensor in trained.model.state_dict().items()})
    except StoppedError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 the job border: a failure is a record
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        trained, shortage, embeddings = Trained("failed", None, (), None, None, message), _shortage(error), None
    seconds = trained.earlier_seconds + time.perf_counter() - started
    return FoldOutcome(job, record_of(job, trained, workplace, seconds), embeddings, weights, shortage)


def _shortage(error: BaseException) -> Shortage:
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in NO_MEMORY):
        return "memory"
    return "disk" if is_full(error) else ""


def record_of(job: FoldJob, trained: Trained, workplace: Workplace, seconds: float) -> FoldRecord:
    """Write down what came of a job."""
    return FoldRecord(
        key=job.key,
        seed=job.seed,
        dataset=job.dataset,
        fingerprint=job.fingerprint,
        cut=job.protocol.cut.of(job.dataset),
        protocol=job.protocol.name,
        digest=rules(job.protocol),
        loss=job.loss,
        params=dict(job.params),
        stage=job.stage,
        number=job.number,
        fold=job.fold,
        outcome=trained.outcome,
        history=trained.history,
        best_epoch=trained.best_epoch,
        best_score=trained.best_score,
        seconds=round(seconds, 3),
        share=workplace.share,
        environment=workplace.environment,
        message=trained.message,
    )


def _train_and_embed(
    job: FoldJob, workplace: Workplace, on_validation: OnValidation, stop: Callable[[], bool]
) -> tuple[Trained, NDArray[np.float32] | None]:
    device = prepared(workplace.device)
    images, pixels = _opened(*workplace.roots[job.dataset], job.protocol.resize, workplace.cache, device)
    if images.fingerprint != job.fingerprint:
        raise ValueError(f"the images have fingerprint {images.fingerprint}, the job is for {job.fingerprint}")
    classes = split(images, job.protocol)
    seed = stream(job, "model")
    model = models.build(job.protocol, seed=seed, weights=workplace.weights, dataset=job.dataset).to(device)
    if job.stage == "untrained":
        trained = Trained("done", model, (), None, None)
    else:
        _seed_global_generators(stream(job, "training"))
        spec = LOSSES.find(job.loss)
        train, validation = _parts(job, images, pixels, classes)
        trained = train_fold(
            job,
            spec,
            model,
            train,
            validation,
            device=device,
            on_validation=on_validation,
            checkpoint=Checkpoint(workplace.checkpoint(job), origin=_origin(job, workplace.environment)),
            stop=stop,
        )
    if job.stage in ("search", "schedule") or trained.model is None:
        return trained, None
    subset = Subset(pixels, images.labels, classes.test)
    embeddings = embed(trained.model, subset, job.protocol, device, features=job.stage == "untrained")
    if not np.isfinite(embeddings).all():
        return trained._replace(outcome="diverged", message="the test embeddings were not finite"), None
    return trained, embeddings


def _parts(job: FoldJob, images: ImageSet, pixels: Pixels, classes: ClassSplit) -> tuple[Subset, Subset | None]:
    """Give the images that a job trains on, and those that choose its epoch, if any do."""
    train, validation = classes.folds[job.fold]
    if job.stage == "final" and job.protocol.two_stages:
        train, validation = np.union1d(train, validation), validation[:0]
    learnt = Subset(pixels, images.labels, train)
    if job.stage == "final" and job.protocol.epoch_choice == "best_on_test":
        return learnt, Subset(pixels, images.labels, classes.test, task(images, classes.test).queries)
    return learnt, Subset(pixels, images.labels, validation) if len(validation) else None


def prepared(name: str) -> torch.device:
    """Bring torch to where the same job gives the same bits on this device, and float32 is float32.

    Raises:
        ValueError: there is no such device on this machine.
    """
    torch.set_num_threads(THREADS)
    device = resolve_device(name)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", _CUBLAS_WORKSPACE)
        torch.cuda.set_device(device)
        torch.use_deterministic_algorithms(True, warn_only=True)
        _refuse_tf32()
    return device


def _refuse_tf32() -> None:
    """Let float32 be all of its 24 bits: by default torch takes 11 of them, TensorFloat-32, in convolutions on CUDA."""
    if not hasattr(torch.backends.cudnn, "conv"):  # before torch 2.9
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        return
    places: list[Any] = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]
    for place in places:
        place.fp32_precision = "ieee"


def _origin(job: FoldJob, environment: Environment) -> str:
    return json.dumps([job.key, environment.commit, environment.device, sorted(environment.versions.items())])


@lru_cache(maxsize=2)
def _opened(name: str, root: Path, side: int, cache: Path | None, device: torch.device) -> tuple[ImageSet, Pixels]:
    images = open_dataset(name, root)
    return images, on_device(cached(images, side, folder=cache), device)


def _seed_global_generators(seed: int) -> None:
    """Seed what libraries draw from behind our back: PML's miners and samplers use the global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 it is that generator which must be seeded
    torch.manual_seed(seed)
