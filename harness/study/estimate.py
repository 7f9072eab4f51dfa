"""What a comparison will cost, before it is begun: counts are exact, hours an upper bound from a short calibration.

The calibration is the training loop itself, with each loss and the images of one fold, for a few iterations on the
device of the run. It reads no test image and leaves no file.
"""

import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import torch

from mlrc.harness.features.rows import Features
from mlrc.harness.images.cache import cached
from mlrc.harness.images.dataset import Pixels
from mlrc.harness.images.device import on_device
from mlrc.harness.machine.determinism import deterministic_device
from mlrc.harness.metrics.scores import ask
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.parameters import space
from mlrc.harness.plan.search import propose
from mlrc.harness.plan.split import split
from mlrc.harness.plan.study import Study, cost, repeats
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.comparison import Comparison
from mlrc.harness.study.disk import megabytes, needed
from mlrc.harness.training import model as models
from mlrc.harness.training.batches import iterations_per_epoch
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.extraction import features_of
from mlrc.harness.training.fold import StoppedError, Subset, embed, train_fold
from mlrc.protocols.protocol import of
from mlrc.results.records.record import BASELINES

WARM_UP, MEASURED, MEASURED_OF_A_HEAD = 2, 10, 200
MOST_SECONDS = 5.0
"""Of measured iterations per loss; at least one is measured."""
EMBEDDED = 64
"""Images whose embedding is timed; a second time, as the first one warms up."""
ENDLESS = 1_000_000
"""Iterations of an epoch that the calibration does not see the end of."""

Clock = Callable[[], float]


class Estimate(NamedTuple):
    """What a comparison costs at most.

    Attributes:
        rows: per study and for all: loss, search trainings, final trainings, iterations, seconds per iteration, hours.
        hours: of all, with the trainings that run at once.
        at_once: how many do.
        disk: bytes of the runs folder.
    """

    rows: tuple[tuple[str, ...], ...]
    hours: float
    at_once: int
    disk: int

    def __str__(self) -> str:
        return (
            f"{self.hours:.2f} hours at most with {self.at_once} trainings at once; patience usually ends them "
            f"earlier. The runs folder takes up to {megabytes(self.disk)}."
        )


def estimate(comparison: Comparison, workers: int, *, clock: Clock = time.perf_counter) -> Estimate:
    """Say what a comparison costs at most, with so many worker processes.

    Trainings that share a GPU are counted as one after the other, and no more at once than processors and jobs that do
    not wait for each other: the folds of a batch of trials, or, where there is no search, of all repeats.
    """
    device = deterministic_device(comparison.workplace.device, comparison.studies[0].protocol.precision)
    studies = comparison.studies
    protocol, dataset = studies[0].protocol, studies[0].dataset
    folds = split(comparison.images, protocol).folds
    pixels = _given(comparison, device)
    image = _seconds_per_image(comparison, pixels, device, clock)
    epoch = max(iterations_per_epoch(len(fold.train), protocol, dataset) for fold in folds)
    if any(study.two_stages for study in studies):  # the second one trains on all
        epoch = max(epoch, iterations_per_epoch(len(folds[0].train) + len(folds[0].validation), protocol, dataset))
    epochs = of(protocol.max_epochs, dataset)
    validated = max(len(fold.validation) for fold in folds)
    if protocol.epoch_choice == "best_on_test":
        validated = max(validated, len(comparison.test))
    validations = 1 + math.ceil(epochs / protocol.validation_interval.of(dataset))

    rows: list[tuple[str, ...]] = []
    totals: list[float] = [0, 0, 0, 0.0]
    steps: dict[str, float] = {}  # of a loss's searches one alone is timed
    for study, label in zip(studies, names(studies), strict=True):
        searches, finals, all_epochs = cost(study)
        trainings = 0 if study.loss in BASELINES else searches + finals
        if trainings and study.loss not in steps:
            steps[study.loss] = seconds_per_iteration(comparison, study, pixels, device, clock)
        step = steps[study.loss] if trainings else math.nan
        seconds = (trainings * validations * validated + finals * len(comparison.test)) * image
        seconds += all_epochs * epoch * step if trainings else 0.0
        row = (searches, finals, all_epochs * epoch, seconds / 3600)
        totals = [total + value for total, value in zip(totals, row, strict=True)]
        rows.append(_row(label, row, f"{step:.3f}" if trainings else "–"))
    places = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    independent = protocol.folds * sum(map(_independent, studies))
    at_once = min(workers, places if device.type == "cpu" else len(comparison.devices), independent)
    rows.append(_row("all", totals, ""))
    disk = needed(comparison, workers, models_kept=False)
    return Estimate(tuple(rows), totals[3] / at_once, at_once, disk)


def seconds_per_iteration(
    comparison: Comparison, study: Study, pixels: Pixels | Features, device: torch.device, clock: Clock
) -> float:
    """Time training iterations of one loss, with the parameters of its first trial, on the first fold's images."""
    spec, protocol = LOSSES.find(study.loss), study.protocol
    params = study.params
    if params is None:
        ranges = space(spec, protocol, study.dataset)
        params = propose(ranges, (), seed=study.seed, startup=protocol.startup_trials, sampler=protocol.sampler)
    (job, *_) = Study(
        protocol=protocol.vary({"iterations_per_epoch": ENDLESS, "warm_up": 0}),
        dataset=study.dataset,
        fingerprint=study.fingerprint,
        loss=study.loss,
        params=study.params,
    ).jobs("search", 0, params)
    times: list[float] = []
    enough = MEASURED_OF_A_HEAD if protocol.trains == "head" else MEASURED

    def stop() -> bool:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock())
        measured = len(times) - 1 - WARM_UP
        return measured >= enough or (measured > 0 and times[-1] - times[WARM_UP] > MOST_SECONDS)

    labels = comparison.images.labels
    with suppress(StoppedError):
        train_fold(
            job,
            spec,
            _model(comparison, pixels).to(device),
            Subset(pixels, labels, split(comparison.images, protocol).folds[0].train),
            None,
            device=device,
            on_validation=lambda *_: None,
            checkpoint=Checkpoint(None, origin=""),
            stop=stop,
        )
    return statistics.median(
        later - earlier for earlier, later in zip(times[WARM_UP:], times[WARM_UP + 1 :], strict=False)
    )


def names(studies: Sequence[Study]) -> list[str]:
    """Give the loss of each study, with the number of its search where it has several."""
    several = {study.loss for study in studies if study.search}
    return [f"{one.loss}, search {one.search}" if one.loss in several else one.loss for one in studies]


def _independent(study: Study) -> int:
    """Give the number of trials or repeats that may be done at once; the untrained trunk's take hardly any time."""
    if study.loss in BASELINES:
        return 1
    return min(study.trials, study.protocol.parallel_trials) if study.trials else repeats(study)


def _seconds_per_image(comparison: Comparison, pixels: Pixels | Features, device: torch.device, clock: Clock) -> float:
    """Time the embedding of training images, as validation and test do it."""
    protocol = comparison.studies[0].protocol
    images, labels = split(comparison.images, protocol).folds[0].train, comparison.images.labels
    subset = Subset(pixels, labels, images if protocol.trains == "head" else images[:EMBEDDED])
    model = _model(comparison, pixels).to(device)
    embed(model, subset, protocol, device)
    started = clock()
    found = embed(model, subset, protocol, device)
    if protocol.trains == "head":  # beside a whole network the search takes no time
        ask(found, Task(labels[subset.indices]), device=str(device))
    return (clock() - started) / len(subset.indices)


def _given(comparison: Comparison, device: torch.device) -> Pixels | Features:
    """Give what a network is given of the images, as a worker has it."""
    protocol, folder, weights = (
        comparison.studies[0].protocol,
        comparison.workplace.cache,
        comparison.workplace.weights,
    )
    if protocol.trains == "head":
        return features_of(comparison.images, protocol, weights=weights, folder=folder, devices=[device]).on(device)
    return on_device(cached(comparison.images, protocol.resize, folder=folder), device)


def _model(comparison: Comparison, pixels: Pixels | Features) -> models.Embedder:
    study = comparison.studies[0]
    return models.build(
        study.protocol,
        seed=0,
        weights=comparison.workplace.weights,
        dataset=study.dataset,
        width=pixels.width if isinstance(pixels, Features) else None,
    )


def _row(name: str, row: Sequence[float], step: str) -> tuple[str, ...]:
    searches, finals, iterations, hours = row
    return name, str(searches), str(finals), f"{iterations:,}", step, f"{hours:.2f}"
