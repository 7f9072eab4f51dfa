"""The job border: one job in, one outcome out, whatever happens in between; the same in every executor.

For scores, test images are read here and nowhere else, after training, and in no job of the search. A protocol that
chooses the epoch on the test set, and none but it, is given them during the training of its final models, too. Beside
this, `mlrc.harness.report.gallery` reads them for the report, when all is scored.
"""

import json
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from mlrc.harness.engine.identity import require_unchanged
from mlrc.harness.engine.inputs import images_of, inputs_of
from mlrc.harness.engine.repeat import DamagedError, EmbeddingFiles, score_run
from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, ScoreOutcome, Shortage, Workplace
from mlrc.harness.features.rows import Features
from mlrc.harness.images.dataset import ImageSet, Pixels
from mlrc.harness.machine.atomic import is_full
from mlrc.harness.machine.determinism import deterministic_device, in_force, seed_global_generators
from mlrc.harness.machine.file_errors import is_of_the_machine, sentence
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.job import FoldJob, Job, ScoreJob, rules
from mlrc.harness.plan.split import ClassSplit, as_asked, split
from mlrc.harness.training import model as models
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import OnValidation, StoppedError, Subset, Trained, embed, stream, train_fold
from mlrc.harness.training.reduction import principal_components
from mlrc.results.records.record import PCA, FoldRecord

NO_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "_ALLOC_FAILED",  # cuBLAS, cuDNN to 8, cuSOLVER, cuSPARSE
    "ALLOCATION_FAILED",  # cuDNN from 9 on, of the host's memory and of the device's
)
"""What torch says of the processor's memory, of CUDA's own and of its libraries', for which it has no class."""


DEVICE_FAULTS = ("CUDA error", "CUDNN_STATUS", "cuDNN error", "CUBLAS_STATUS", "device-side assert", "HIP error")
"""What torch says where a device or its libraries break, which leaves the process useless for whatever follows."""


def do(job: Job, workplace: Workplace, on_validation: OnValidation, stop: Callable[[], bool]) -> JobOutcome:
    """Do a job of any kind; raises what `perform` raises."""
    if isinstance(job, ScoreJob):
        return score(job, workplace)
    return perform(job, workplace, on_validation, stop)


def score(job: ScoreJob, workplace: Workplace, given: Sequence[NDArray[np.float32]] | None = None) -> ScoreOutcome:
    """Score one repeat from the embeddings on the disk, or from those `given`; every device gives the same numbers."""
    files = EmbeddingFiles(Path(job.embeddings))
    try:
        device = deterministic_device(workplace.device if workplace.device.startswith("cuda") else "cpu")
        images = as_asked(images_of(*workplace.roots[job.dataset]), job.protocol)
        _require_its_images(job, images)
        embeddings = [files.load(key) for key in job.fold_keys] if given is None else given
        task = Task.of(images, split(images, job.protocol).test)
        told = images.facts.pretraining
        scored = score_run(job, embeddings, task, workplace.environment, device=str(device), pretraining=told)
        return ScoreOutcome(job, scored)
    except DamagedError:
        return ScoreOutcome(job, None, damaged=files.damaged(job.fold_keys))
    except (Exception, SystemExit) as error:  # noqa: BLE001 the job border
        shortage = _shortage(error, workplace)
        return ScoreOutcome(job, None, message=_told(error, shortage), shortage=shortage)


def perform(job: FoldJob, workplace: Workplace, on_validation: OnValidation, stop: Callable[[], bool]) -> FoldOutcome:
    """Do one job; an exception becomes a record that tells it.

    Raises:
        StoppedError: `stop` said so, and the training left a checkpoint.
    """
    started, processor_started = time.perf_counter(), time.process_time()
    embeddings, weights = None, None
    shortage: Shortage = ""
    try:
        trained, embeddings = _train_and_embed(job, workplace, on_validation, stop)
        if workplace.save_models and job.stage == "final" and trained.model is not None:
            weights = save({name: tensor.contiguous() for name, tensor in trained.model.state_dict().items()})
    except StoppedError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 the job border: a failure is a record
        shortage = _shortage(error, workplace)
        trained, embeddings = Trained("failed", None, (), None, None, _told(error, shortage)), None
    seconds = trained.earlier_seconds + time.perf_counter() - started
    processor = trained.earlier_processor_seconds + time.process_time() - processor_started
    return FoldOutcome(job, record_of(job, trained, workplace, seconds, processor), embeddings, weights, shortage)


def _told(error: BaseException, shortage: Shortage) -> str:
    if shortage in ("disk", "files") and isinstance(error, OSError):
        return sentence(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"


def _shortage(error: BaseException, workplace: Workplace) -> Shortage:
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in NO_MEMORY):
        return "memory"
    if any(words in str(error) for words in DEVICE_FAULTS):
        return "device"
    if is_full(error):
        return "disk"
    places = (root for _, root in workplace.roots.values())
    return "files" if is_of_the_machine(error, [*places, *filter(None, (workplace.runs, workplace.cache))]) else ""


def record_of(
    job: FoldJob, trained: Trained, workplace: Workplace, seconds: float, processor_seconds: float | None = None
) -> FoldRecord:
    """Write down what came of a job."""
    settings = {**in_force(workplace.device), **({"step": trained.step} if trained.step else {})}
    return FoldRecord(
        key=job.key,
        seed=job.seed,
        dataset=job.dataset,
        fingerprint=job.fingerprint,
        cut=workplace.cuts.get(job.dataset) or job.protocol.cut.of(job.dataset),
        protocol=job.protocol.name,
        digest=rules(job.protocol),
        loss=job.loss,
        params=dict(job.params),
        stage=job.stage,
        number=job.number,
        search=job.search,
        fold=job.fold,
        outcome=trained.outcome,
        history=trained.history,
        best_epoch=trained.best_epoch,
        best_score=trained.best_score,
        seconds=round(seconds, 3),
        share=workplace.share,
        environment=replace(workplace.environment, settings=settings),
        message=trained.message,
        plugins={kind: workplace.origins[kind, name] for kind, name in workplace.plugins(job)},
        processor_seconds=None if processor_seconds is None else round(processor_seconds, 3),
        iterations=trained.iterations,
    )


def _train_and_embed(
    job: FoldJob, workplace: Workplace, on_validation: OnValidation, stop: Callable[[], bool]
) -> tuple[Trained, NDArray[np.float32] | None]:
    device = deterministic_device(workplace.device, job.protocol.precision)
    require_unchanged(job, workplace)
    images, pixels = inputs_of(job, workplace, device)
    images = as_asked(images, job.protocol)
    _require_its_images(job, images)
    classes = split(images, job.protocol)
    seed = stream(job, "model")
    width = pixels.width if isinstance(pixels, Features) else None
    model = models.build(job.protocol, seed=seed, weights=workplace.weights, dataset=job.dataset, width=width).to(
        device
    )
    if job.stage == "untrained":
        trained = Trained("done", model, (), None, None)
    else:
        seed_global_generators(stream(job, "training"))
        spec = workplace.loss(job.loss)
        train, validation = _parts(job, images, pixels, classes)
        if isinstance(train.pixels, Features) and job.protocol.scaling == "standard":
            model.fit(embed(model, train, job.protocol, device, features=True))
        trained = train_fold(
            job,
            spec,
            model,
            train,
            validation,
            device=device,
            on_validation=on_validation,
            checkpoint=Checkpoint(workplace.checkpoint(job), origin=_origin(job, workplace)),
            stop=stop,
        )
    if job.stage in ("search", "schedule") or trained.model is None:
        return trained, None

    def of(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        subset = Subset(pixels, images.labels, rows)
        return embed(model, subset, job.protocol, device, features=job.stage == "untrained")

    embeddings = of(classes.test)
    if job.loss == PCA:
        learnt = of(classes.folds[job.fold].train)
        embeddings = principal_components(learnt, embeddings, job.protocol.embedding_size)
    if not np.isfinite(embeddings).all():
        return trained._replace(outcome="diverged", message="the test embeddings were not finite"), None
    return trained, embeddings


def _require_its_images(job: Job, images: ImageSet) -> None:
    if job.fingerprint not in (images.fingerprint, images.earlier):
        raise ValueError(f"the images have fingerprint {images.fingerprint}, the job is for {job.fingerprint}")


def _parts(
    job: FoldJob, images: ImageSet, pixels: Pixels | Features, classes: ClassSplit
) -> tuple[Subset, Subset | None]:
    """Give the images that a job trains on, and those that choose its epoch, if any do."""
    train, validation = classes.folds[job.fold]
    if job.stage == "final" and job.protocol.two_stages:
        train, validation = np.union1d(train, validation), validation[:0]
    learnt = Subset(pixels, images.labels, train)
    if job.stage == "final" and job.protocol.epoch_choice == "best_on_test":
        _, queries, cameras = Task.of(images, classes.test)
        return learnt, Subset(pixels, images.labels, classes.test, queries, cameras)
    return learnt, Subset(pixels, images.labels, validation) if len(validation) else None


def _origin(job: FoldJob, workplace: Workplace) -> str:
    made = workplace.environment
    plugins = [str(workplace.origins[key]) for key in workplace.plugins(job)]
    return json.dumps([job.key, made.commit, made.device, sorted(made.versions.items()), *plugins])
