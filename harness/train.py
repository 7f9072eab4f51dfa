"""The training of one fold, read top to bottom, and the embedding of images with what came out of it."""

import copy
import math
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness import model as models
from harness.batches import batches
from harness.images.dataset import Pixels
from harness.images.transform import evaluation_batch, training_batch
from harness.metrics import retrieval
from harness.plan import FoldJob, digest
from losses.spec import LOSS_LR, LossSpec, MinedLoss
from protocols.protocol import Protocol
from results.record import Outcome

EVALUATION_BATCH = 256
"""Images per forward pass outside training; no score depends on it beyond rounding."""

OnValidation = Callable[[int, float], None]


class Subset(NamedTuple):
    """Some images of a dataset: all that whoever is given them may read.

    Attributes:
        pixels: of the dataset, after the protocol's resize.
        labels: `(images of the dataset,)`.
        indices: of the images that count.
    """

    pixels: Pixels
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]


class Trained(NamedTuple):
    """What one training gave.

    Attributes:
        model: with the weights of the best validation; `None` when the training diverged.
        history: (epoch, validation score in percent), epoch 0 before training.
        best_epoch: of the best validation after epoch 0, with its `best_score`; `None` without one.
    """

    outcome: Outcome
    model: models.Embedder | None
    history: tuple[tuple[int, float], ...]
    best_epoch: int | None
    best_score: float | None
    message: str = ""


def train_fold(
    job: FoldJob,
    spec: LossSpec,
    model: models.Embedder,
    train: Subset,
    validation: Subset,
    *,
    device: torch.device,
    on_validation: OnValidation,
) -> Trained:
    """Train one fold by the protocol's rules (Reality Check, protocol A3) and keep its best-validation weights.

    Args:
        job: whose protocol, parameters and seed are followed.
        spec: of the job's loss.
        model: on `device`; trained in place.
        train: images of the fold's training classes.
        validation: images of its validation classes, which are their own gallery.
        device: to train on.
        on_validation: told (epoch, score) at every validation.
    """
    protocol = job.protocol
    classes, train_labels = np.unique(train.labels[train.indices], return_inverse=True)
    torch.manual_seed(stream(job, "loss"))
    loss, miner = _loss(spec, job, len(classes), device)
    optimizers = [
        _optimizer(
            protocol.optimizer, model, lr=protocol.lr, momentum=protocol.momentum, weight_decay=protocol.weight_decay
        )
    ]
    if LOSS_LR in job.params:
        decay = protocol.loss_weight_decay if spec.weight_decay is None else spec.weight_decay
        lr = float(job.params[LOSS_LR])
        optimizers.append(
            _optimizer(protocol.loss_optimizer, loss, lr=lr, momentum=protocol.loss_momentum, weight_decay=decay)
        )

    m = protocol.images_per_class_pairs if spec.batch == "pairs" else protocol.images_per_class_classes
    stream_of_batches = enumerate(
        batches(train_labels, batch_size=protocol.batch_size, images_per_class=m, seed=stream(job, "batches"))
    )
    interval = protocol.validation_interval.of(job.dataset)
    patience = protocol.patience.of(job.dataset)
    score = _validate(model, validation, protocol, device)
    on_validation(0, score)
    history = [(0, score)]
    patience_epoch, patience_score = 0, score  # epoch 0 counts for the patience, not as a result
    best_epoch, best_score, best_weights = None, -math.inf, None
    for epoch in range(1, protocol.max_epochs + 1):
        model.train()
        losses_finite = torch.ones((), dtype=torch.bool, device=device)
        for iteration, rows in islice(stream_of_batches, protocol.iterations_per_epoch):
            batch = training_batch(
                train.pixels, train.indices[rows], protocol, seed=stream(job, "augmentation"), iteration=iteration
            )
            batch_labels = torch.from_numpy(train_labels[rows]).to(device)
            embeddings = _forward(model, batch, protocol, device)
            value = loss(embeddings, batch_labels, miner(embeddings, batch_labels) if miner else None)
            for optimizer in optimizers:
                optimizer.zero_grad()
            value.backward()
            for optimizer in optimizers:
                optimizer.step()
            losses_finite &= value.detach().isfinite()
        if not losses_finite:
            return Trained("diverged", None, tuple(history), None, None, f"the loss was not finite in epoch {epoch}")
        if epoch % interval and epoch != protocol.max_epochs:
            continue
        score = _validate(model, validation, protocol, device)
        if math.isnan(score):
            message = f"the validation embeddings were not finite after epoch {epoch}"
            return Trained("diverged", None, tuple(history), None, None, message)
        on_validation(epoch, score)
        history.append((epoch, score))
        if score > best_score:
            best_epoch, best_score, best_weights = epoch, score, copy.deepcopy(model.state_dict())
        if score > patience_score:
            patience_epoch, patience_score = epoch, score
        if epoch - patience_epoch > patience:
            break
    assert best_weights is not None  # noqa: S101 the last epoch is always validated
    model.load_state_dict(best_weights)
    return Trained("done", model, tuple(history), best_epoch, best_score)


@torch.inference_mode()
def embed(
    model: models.Embedder, images: Subset, protocol: Protocol, device: torch.device, *, features: bool = False
) -> NDArray[np.float32]:
    """Give embeddings `(images, embedding_size)`, or with `features` the pooled output of the trunk."""
    model.eval()
    parts = []
    for start in range(0, len(images.indices), EVALUATION_BATCH):
        batch = evaluation_batch(images.pixels, images.indices[start : start + EVALUATION_BATCH], protocol)
        parts.append(_forward(model.features if features else model, batch, protocol, device).cpu().numpy())
    return np.concatenate(parts)


def stream(job: FoldJob, purpose: str) -> int:
    """Give the 63-bit seed of one of the job's streams of random numbers."""
    return int(digest(job.seed, purpose)[:16], 16) >> 1


def _forward(network: Callable[[Tensor], Tensor], batch: Tensor, protocol: Protocol, device: torch.device) -> Tensor:
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=protocol.precision == "bfloat16"):
        return network(batch.to(device, non_blocking=True)).float()


def _validate(model: models.Embedder, images: Subset, protocol: Protocol, device: torch.device) -> float:
    embeddings = embed(model, images, protocol, device)
    if not np.isfinite(embeddings).all():
        return math.nan
    scores = retrieval(embeddings, images.labels[images.indices], device=str(device)).means()
    return scores[protocol.selection_metric]


def _loss(spec: LossSpec, job: FoldJob, num_classes: int, device: torch.device) -> tuple[nn.Module, nn.Module | None]:
    made = spec.make(num_classes=num_classes, embedding_size=job.protocol.embedding_size, params=job.params)
    loss, miner = made if isinstance(made, MinedLoss) else (made, None)
    return loss.to(device), miner


def _optimizer(
    name: str, module: nn.Module, *, lr: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    kinds = {"rmsprop": torch.optim.RMSprop}
    return kinds[name](module.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)
