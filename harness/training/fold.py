"""The training of one fold, read top to bottom, and the embedding of images with what came out of it."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlrc.harness.features.rows import Features
from mlrc.harness.images.dataset import Pixels
from mlrc.harness.images.device import ahead
from mlrc.harness.images.sending import aside, send
from mlrc.harness.images.transform import evaluation_batch, training_batch
from mlrc.harness.metrics.asked import similarity_of
from mlrc.harness.metrics.scores import ask
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.job import FoldJob, digest
from mlrc.harness.plan.parameters import buildable
from mlrc.harness.plan.schedule import falls
from mlrc.harness.training import model as models
from mlrc.harness.training.batches import drawn, iterations_per_epoch
from mlrc.harness.training.checkpoint import Checkpoint, Course, Stateful
from mlrc.harness.training.graphs import Capture, launched
from mlrc.harness.training.optimization import Optimization
from mlrc.losses.spec import LossSpec, MinedLoss
from mlrc.protocols.protocol import Protocol, of
from mlrc.results.records.record import Outcome

EVALUATION_BATCH = 256
"""Images per forward pass outside training on an accelerator; no score depends on it beyond rounding."""
EVALUATION_BATCH_ON_CORES = 32
"""On a processor, whose caches more of them overflow; 256 took more of the time and gigabytes more memory."""

ROWS_AT_ONCE = 4096
"""Of features per forward pass of a head outside training, on any device."""

FEEDERS = 2
"""Threads that prepare batches ahead of an accelerator; a processor core that trains has no time for any."""

OnValidation = Callable[[int, float, float], None]
"""Told (epoch, validation score in percent, mean training loss over the epoch); not a number where there is none: the
loss before training, the score of a training without validation."""


class StoppedError(Exception):
    """The training was asked to stop and has left a checkpoint."""


class Subset(NamedTuple):
    """Some images of a dataset: all that whoever is given them may read.

    Attributes:
        pixels: of the dataset, after the protocol's resize; or the features of a trunk that does not learn.
        labels: `(images of the dataset,)`.
        indices: of the images that count.
        queries: `(images that count,)`, true for those that ask while the others are their gallery; `None` where each
            asks all others.
        cameras: `(images that count,)`: images of a query's class and camera are not searched; `None` where all are.
    """

    pixels: Pixels | Features
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]
    queries: NDArray[np.bool_] | None = None
    cameras: NDArray[np.int64] | None = None


class Trained(NamedTuple):
    """What one training gave.

    Attributes:
        model: with the weights of the epoch that the protocol chooses; `None` when the training diverged.
        history: (epoch, validation score in percent), epoch 0 before training; empty without validation.
        best_epoch: of the best validation after epoch 0, with its `best_score`; `None` without one.
        message: why it diverged or failed.
        earlier_seconds: that processes before this one spent on it, and their `earlier_processor_seconds`.
        iterations: that it made, those of processes before this one included; `None` without a training.
        step: how its network was launched, see `mlrc.harness.training.graphs.Launch`.
    """

    outcome: Outcome
    model: models.Embedder | None
    history: tuple[tuple[int, float], ...]
    best_epoch: int | None
    best_score: float | None
    message: str = ""
    earlier_seconds: float = 0.0
    step: str = ""
    earlier_processor_seconds: float = 0.0
    iterations: int | None = None


def train_fold(
    job: FoldJob,
    spec: LossSpec,
    model: models.Embedder,
    train: Subset,
    validation: Subset | None,
    *,
    device: torch.device,
    on_validation: OnValidation,
    checkpoint: Checkpoint,
    stop: Callable[[], bool],
    capture: Capture | None = None,
) -> Trained:
    """Train one fold by the protocol's rules and keep the weights of the epoch that it chooses.

    Args:
        job: whose protocol, parameters and seed are followed.
        spec: of the job's loss.
        model: on `device`; trained in place.
        train: images of the classes to train on.
        validation: images that choose the best epoch and are their own gallery; `None` where the last one counts.
        device: to train on.
        on_validation: told of every validation.
        checkpoint: where the training goes on from, and where it leaves what it needs for that.
        stop: asked before every iteration whether to leave a checkpoint and stop.
        capture: of the network, in place of the device's own, where the protocol asks for a graph.

    Raises:
        StoppedError: it did.
        OSError: a checkpoint cannot be written.
    """
    protocol = job.protocol
    classes, train_labels = np.unique(train.labels[train.indices], return_inverse=True)
    torch.manual_seed(stream(job, "loss"))
    loss, miner = _loss(spec, job, len(classes), device)
    optimization = Optimization(
        protocol=protocol, dataset=job.dataset, model=model, loss=loss, spec=spec, params=job.params
    )
    optimizers = {f"optimizer {number}": optimizer for number, optimizer in enumerate(optimization.optimizers)}
    parts: dict[str, Stateful] = {"model": model, "loss": loss, **({"miner": miner} if miner else {}), **optimizers}

    course = checkpoint.restore(parts, device)
    if course is None:
        course = _begun(model, validation, on_validation, job=job, device=device)
    network, course.step = launched(model, protocol, job.dataset, device, capture)
    iterations = iterations_per_epoch(len(train.indices), protocol, job.dataset)
    epochs = job.recorded.epochs if job.recorded else of(protocol.max_epochs, job.dataset)
    feed = _batches(job, spec, train, train_labels, start=course.iteration, device=device)
    model.train()
    while not course.ended:
        if stop():
            checkpoint.save(course, parts, device)
            raise StoppedError
        if not course.iteration % iterations:
            optimization.begin_epoch(course.iteration // iterations, _steps(job, course))
        batch, batch_labels = next(feed)
        embeddings = network(batch)
        try:
            value = loss(embeddings, batch_labels, miner(embeddings, batch_labels) if miner else None)
            optimization.step(value)
        except Exception as error:
            if _finite(embeddings, course.epoch_loss, *loss.parameters()):
                raise
            epoch = 1 + course.iteration // iterations
            return _diverged(course, f"a number was not finite in epoch {epoch}, and the loss raised: {error}")
        course.epoch_loss += value.detach()
        course.iteration += 1
        epoch, within = divmod(course.iteration, iterations)
        if within:
            continue

        mean_loss = course.epoch_loss.item() / iterations
        course.epoch_loss.zero_()
        if not math.isfinite(mean_loss):
            return _diverged(course, f"the loss was not finite in epoch {epoch}")
        if epoch % protocol.validation_interval.of(job.dataset) and epoch != epochs:
            continue
        score = _judge(course, epoch, model, validation, job=job, device=device)
        if validation is not None and math.isnan(score):
            return _diverged(course, f"the validation embeddings were not finite after epoch {epoch}")
        course.ended = course.ended or epoch == epochs
        if checkpoint.due():
            checkpoint.save(course, parts, device)
        on_validation(epoch, score, mean_loss)
        model.train()
    return _done(course, model)


@torch.inference_mode()
def embed(
    model: models.Embedder, images: Subset, protocol: Protocol, device: torch.device, *, features: bool = False
) -> NDArray[np.float32]:
    """Give embeddings `(images, embedding_size)`, or with `features` the pooled output of the trunk."""
    model.eval()
    size = EVALUATION_BATCH_ON_CORES if device.type == "cpu" else EVALUATION_BATCH
    if isinstance(images.pixels, Features):
        size = ROWS_AT_ONCE

    def prepared(start: int) -> tuple[Tensor, ...]:
        return (_evaluated(images.pixels, images.indices[start : start + size], protocol, device),)

    network = model.features if features else model
    work = (partial(prepared, start) for start in range(0, len(images.indices), size))
    parts = [models.forward(network, batch, protocol, device) for (batch,) in _fed(work, device)]
    return torch.cat(parts).cpu().numpy()


def stream(job: FoldJob, purpose: str) -> int:
    """Give the 63-bit seed of one of the job's streams of random numbers."""
    return int(digest(job.seed, purpose)[:16], 16) >> 1


def _steps(job: FoldJob, course: Course) -> tuple[int, ...]:
    """Give the epochs after which stage 1 makes the learning rates fall, in either of the two stages."""
    if job.stage == "schedule":
        return falls(course.history, job.protocol)
    return job.recorded.steps if job.recorded else ()


def _begun(
    model: models.Embedder,
    validation: Subset | None,
    on_validation: OnValidation,
    *,
    job: FoldJob,
    device: torch.device,
) -> Course:
    """Give the course of a training before its first iteration; epoch 0 counts for the patience, not as a result."""
    course = Course(epoch_loss=torch.zeros((), device=device))
    if validation is not None:
        score = _validate(model, validation, job.protocol, device)
        on_validation(0, score, math.nan)
        course.history, course.patience_score = [(0, score)], score
    return course


def _batches(
    job: FoldJob, spec: LossSpec, train: Subset, labels: NDArray[np.int64], *, start: int, device: torch.device
) -> Iterator[tuple[Tensor, ...]]:
    """Give images and `labels` of each iteration from `start` on, prepared ahead where the device leaves the time."""
    rows_of_batches = drawn(labels, job.protocol, job.dataset, spec.batch, seed=stream(job, "batches"), start=start)
    augmentation = stream(job, "augmentation")

    def prepared(iteration: int, rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        images = train.indices[rows]
        if isinstance(train.pixels, Features):
            batch = train.pixels.drawn(images, seed=augmentation, iteration=iteration, device=device)
        else:
            batch = training_batch(
                train.pixels, images, job.protocol, seed=augmentation, iteration=iteration, device=device
            )
        return batch, *send((labels[rows],), device)

    return _fed((partial(prepared, *numbered) for numbered in enumerate(rows_of_batches, start=start)), device)


def _fed(work: Iterable[Callable[[], tuple[Tensor, ...]]], device: torch.device) -> Iterator[tuple[Tensor, ...]]:
    """Give what each work prepares: ahead of the training and beside it on CUDA, when it is asked for elsewhere."""
    if device.type != "cuda":
        return ahead(work, threads=0)
    beside = aside(device)
    return map(beside.taken, ahead((partial(beside.begun, one) for one in work), threads=FEEDERS))


def _evaluated(pixels: Pixels | Features, rows: NDArray[np.int64], protocol: Protocol, device: torch.device) -> Tensor:
    if isinstance(pixels, Features):
        return pixels.central(rows, device=device)
    return evaluation_batch(pixels, rows, protocol, device=device)


def _judge(
    course: Course,
    epoch: int,
    model: models.Embedder,
    validation: Subset | None,
    *,
    job: FoldJob,
    device: torch.device,
) -> float:
    """Validate at the end of an epoch, and note in the course what follows: the best weights so far, whether to end.

    Returns:
        The score in percent; not a number where nothing is validated, or where the embeddings are not finite.
    """
    score = math.nan if validation is None else _validate(model, validation, job.protocol, device)
    if math.isnan(score):
        return score
    course.history.append((epoch, score))
    if score > course.best_score:
        course.best_epoch, course.best_score = epoch, score
        course.best_weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if score > course.patience_score:
        course.patience_epoch, course.patience_score = epoch, score
    course.ended = epoch - course.patience_epoch > job.protocol.patience.of(job.dataset)
    return score


def _done(course: Course, model: models.Embedder) -> Trained:
    """Give the model with the weights of the best epoch, or of the last where nothing validated."""
    if course.best_weights is not None:
        model.load_state_dict(course.best_weights)
    return Trained(
        "done",
        model,
        tuple(course.history),
        course.best_epoch,
        None if course.best_epoch is None else course.best_score,
        **_spent(course),
    )


def _diverged(course: Course, message: str) -> Trained:
    return Trained("diverged", None, tuple(course.history), None, None, message, **_spent(course))


class _Spent(TypedDict):
    earlier_seconds: float
    step: str
    earlier_processor_seconds: float
    iterations: int


def _spent(course: Course) -> _Spent:
    return {
        "earlier_seconds": course.earlier_seconds,
        "step": course.step,
        "earlier_processor_seconds": course.earlier_processor_seconds,
        "iterations": course.iteration,
    }


def _finite(*tensors: Tensor) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _validate(model: models.Embedder, images: Subset, protocol: Protocol, device: torch.device) -> float:
    embeddings = embed(model, images, protocol, device)
    if not np.isfinite(embeddings).all():
        return math.nan
    task = Task(images.labels[images.indices], images.queries, images.cameras)
    found = ask(embeddings, task, device=str(device), similarity=similarity_of(protocol))
    return found.means()[protocol.selection_metric]


def _loss(spec: LossSpec, job: FoldJob, num_classes: int, device: torch.device) -> tuple[nn.Module, nn.Module | None]:
    made = buildable(spec, job.protocol, job.dataset, job.params).make(
        num_classes=num_classes, embedding_size=job.protocol.embedding_size, params=job.params
    )
    loss, miner = made if isinstance(made, MinedLoss) else (made, None)
    return loss.to(device), miner.to(device) if miner else None
