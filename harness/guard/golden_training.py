"""Golden trainings: where the weights go in the first steps of every protocol's training, on made-up images.

The canary notices wrong training in minutes, these name it in seconds: learning rates and their falls, the kind of
optimizer, momentum, weight decay, eps, clipping, warm-up, and with them batches, crops, pooling and the first weights.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from mlrc.harness.guard.canary import PARAMS
from mlrc.harness.images.dataset import ArrayPixels, ImageSet
from mlrc.harness.machine.determinism import THREADS
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.schedule import Recorded
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import model as models
from mlrc.harness.training.checkpoint import Checkpoint, Course, Stateful
from mlrc.harness.training.extraction import features_of
from mlrc.harness.training.fold import Subset, train_fold
from mlrc.losses.spec import LOSS_LR
from mlrc.protocols.datasets.facts import DatasetFacts
from mlrc.protocols.protocol import PerDataset, Protocol

DATASET = "cub200"
"""Whose numbers hold where a protocol has some per dataset."""

CLASSES, PER_CLASS, SIDE = 12, 4, 16


def of_training(protocol: Protocol, loss: str, device: torch.device) -> dict[str, float]:
    """Train one of the canary's losses on tiny images through the warm-up, an epoch, and one after a fall of the rates.

    Returns:
        the mean loss of the last epoch; of trunk, head and the loss's own weights how far they went from the first
        ones, and how far along these, which is where weight decay takes them.
    """
    small = _miniature(protocol)
    epochs = small.warm_up + 2
    given = small.loss_lr.of(DATASET) > 0
    job = FoldJob(
        protocol=small,
        dataset=DATASET,
        fingerprint="",
        loss=loss,
        params={name: value for name, value in PARAMS[loss].items() if not (given and name == LOSS_LR)},
        stage="final",
        number=0,
        fold=0,
        recorded=Recorded(steps=(epochs - 1,), epochs=epochs),
    )
    witness = _Witness()
    mean_losses: list[float] = []
    with torch.random.fork_rng(devices=[]), _threads_of_a_job():
        train_fold(
            job,
            LOSSES.find(loss),
            models.build(small, seed=job.seed, dataset=DATASET).to(device),
            _given(small),
            None,
            device=device,
            on_validation=lambda *told: mean_losses.append(told[2]),
            checkpoint=witness,
            stop=lambda: False,
        )
    found = {"loss of the last epoch": mean_losses[-1]}
    for what, now in witness.weights().items():
        first = witness.first[what]
        way = now - first
        found[f"way of the {what}"] = float(way.norm())
        found[f"way of the {what} along its first weights"] = float(way @ first / first.norm())
    return found


@contextmanager
def _threads_of_a_job() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _Witness(Checkpoint):
    """Sees the parts of a training before its first step, as a checkpoint does, and keeps their weights."""

    def __init__(self) -> None:
        super().__init__(None, origin="")

    def restore(self, parts: Mapping[str, Stateful], device: torch.device) -> Course | None:
        self._parts = parts
        self.first = self.weights()
        return super().restore(parts, device)

    def weights(self) -> dict[str, Tensor]:
        """Give the weights of trunk, head and loss, each as one float64 vector."""
        found: dict[str, list[Tensor]] = {}
        for what, part in (("model", self._parts["model"]), ("loss", self._parts["loss"])):
            assert isinstance(part, nn.Module)  # noqa: S101 as train_fold gives them
            for name, parameter in part.named_parameters():
                whose = what if what == "loss" else name.partition(".")[0]
                found.setdefault(whose, []).append(parameter.detach().flatten().cpu().double())
        return {what: torch.cat(weights) for what, weights in found.items()}


def _miniature(protocol: Protocol) -> Protocol:
    """Give a protocol that trains by the same rules on images of 16 pixels; its other numbers are the same for all."""
    return replace(
        protocol,
        name="miniature",
        version=1,
        family="reality_check",
        trunk="small_conv",
        weights="",
        resize=SIDE,
        crop=SIDE,
        embedding_size=8,
        batch_size=16,
        iterations_per_epoch=3,
        max_epochs=protocol.warm_up + 2,
        folds=1,
        validation_fraction=0.0,
        epoch_choice="last",
        two_stages=False,
        trials=0,
        startup_trials=0,
        repeats=1,
        ndcg_at=(1,),
        recall_at=PerDataset((1,)),
        nmi=PerDataset(False),
        selection_metric="MAP@R",
        validation_interval=PerDataset(1),
        patience=PerDataset(1),
        cut=PerDataset("half"),
    )


def _given(protocol: Protocol) -> Subset:
    """Give the images, or where the head alone is trained, their features."""
    images = _images(1 if protocol.channels == "grey" else 3)
    if protocol.trains == "all":
        return Subset(images.pixels, images.labels, np.arange(len(images.labels)))
    features = features_of(images, protocol, weights=None, folder=None, devices=[torch.device("cpu")])
    return Subset(features, images.labels, np.arange(len(images.labels)))


def _images(channels: int) -> ImageSet:
    """Give classes of noisy copies of one random image each."""
    generator = np.random.default_rng(20030850)
    patterns = generator.integers(0, 256, (CLASSES, 1, SIDE, SIDE, channels))
    noise = generator.integers(-60, 60, (CLASSES, PER_CLASS, SIDE, SIDE, channels))
    array = np.clip(patterns + noise, 0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE, channels)
    return ImageSet(
        facts=DatasetFacts(name=DATASET, title="made up", source="made up", licence="none"),
        fingerprint="",
        labels=np.repeat(np.arange(CLASSES), PER_CLASS),
        class_names=tuple(map(str, range(CLASSES))),
        pixels=ArrayPixels(array),
    )
