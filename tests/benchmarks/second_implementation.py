"""`quick` a second time, from its documentation alone: is the best validation score of a loss here chance or a fault?

    python -m tests.benchmarks.second_implementation omniglot DATA --runs 10 > second.txt    # hours of a quiet machine

For normalised softmax and the contrastive loss, at given parameters, every run trains the four folds of `quick` by the
harness and by a second implementation: PIL for resizing and crops, plain PyTorch for network, batches, losses and
RMSprop, loops for MAP@R. Printed: for every epoch that is validated and for the best one, the mean over folds and runs
of either, the difference with its Welch p-value, uncorrected. `--crops ours` gives the second implementation the
harness's crops, `--order ours` its batches too: where a difference goes with one of them, that is its cause.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ArrayPixels, ImageSet
from mlrc.harness.images.transform import training_batch
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import model as models
from mlrc.harness.training.batches import drawn
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import Subset, stream, train_fold
from mlrc.losses.spec import Value
from mlrc.protocols.quick import QUICK

SIDE, CROP, BATCH, ITERATIONS, EPOCHS, EVERY = 32, 28, 32, 25, 16, 4
PARAMS: dict[str, dict[str, Value]] = {
    "normalized_softmax": {"loss_lr": 1e-3, "temperature": 0.1},
    "contrastive": {"pos_margin": 0.0, "neg_margin": 0.5},
}
Curve = dict[int, float]
"""Epoch to validation MAP@R in percent."""
BEST = 0
"""In the place of an epoch, whichever was best."""


def network() -> nn.Module:
    """Give four blocks, pooling and the linear layer, as docs/protocol.md has them."""
    layers: list[nn.Module] = []
    for before, after in zip((1, 16, 32, 64), (16, 32, 64, 128), strict=True):
        layers.append(nn.Conv2d(before, after, 3, padding=1, bias=False))
        if after < 128:
            layers.append(nn.MaxPool2d(2))
        layers += [nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 128))


def endless(labels: NDArray[np.int64], m: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Give batches: passes over all classes in a new order, m images of each, strung together and cut."""
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    left: list[int] = []
    while True:
        while len(left) < BATCH:
            for place in random.permutation(len(members)):
                left += random.choice(members[place], m, replace=len(members[place]) < m).tolist()
        yield np.array(left[:BATCH])
        del left[:BATCH]


def cropped(image: Image.Image, random: np.random.Generator) -> NDArray[np.float32]:
    """Cut a random box out of an image and resize it, by PIL."""
    for _ in range(10):
        area = SIDE * SIDE * random.uniform(0.5, 1.0)
        ratio = np.exp(random.uniform(np.log(0.75), np.log(1.33)))
        width, height = round(float(np.sqrt(area * ratio))), round(float(np.sqrt(area / ratio)))
        if 0 < width <= SIDE and 0 < height <= SIDE:
            left, top = int(random.integers(SIDE - width + 1)), int(random.integers(SIDE - height + 1))
            box = image.crop((left, top, left + width, top + height))
            return np.asarray(box.resize((CROP, CROP), Image.Resampling.BILINEAR), np.float32)
    return np.asarray(image.resize((CROP, CROP), Image.Resampling.BILINEAR), np.float32)


def batch_of(images: list[Image.Image], random: np.random.Generator | None) -> Tensor:
    """Give images `(n, 1, CROP, CROP)`, from −1 to 1: random crops, or the middle without a generator."""
    edge = (SIDE - CROP) // 2
    crops = [
        cropped(image, random) if random else np.asarray(image, np.float32)[edge : edge + CROP, edge : edge + CROP]
        for image in images
    ]
    return torch.from_numpy(np.stack(crops))[:, None] / 127.5 - 1


def value(kind: str, embeddings: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Give the loss of a batch, from its equation."""
    units = normalize(embeddings)
    if kind == "normalized_softmax":
        return cross_entropy(units @ normalize(weights, dim=0) / float(PARAMS[kind]["temperature"]), labels)
    squared = (units.unsqueeze(1) - units.unsqueeze(0)).square().sum(dim=2)
    itself = torch.eye(len(labels), dtype=torch.bool)
    distances = squared.masked_fill(itself, 1).sqrt()
    same = labels.unsqueeze(1) == labels.unsqueeze(0)
    pulls = (distances - float(PARAMS[kind]["pos_margin"])).relu()[same & ~itself]
    pushes = (float(PARAMS[kind]["neg_margin"]) - distances).relu()[~same]
    return sum((terms[terms > 0].mean() for terms in (pulls, pushes) if (terms > 0).any()), torch.zeros(()))


def map_at_r(embeddings: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Give MAP@R in percent, by its definition."""
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = []
    for i, similarities in enumerate(units @ units.T):
        similarities[i] = -np.inf
        wanted = labels == labels[i]
        positives = int(wanted.sum()) - 1
        hits = wanted[np.argsort(-similarities, kind="stable")[:positives]]
        found.append((np.cumsum(hits) / np.arange(1, positives + 1) * hits).mean())
    return 100 * float(np.mean(found))


def second(kind: str, images: ImageSet, small: list[Image.Image], job: FoldJob, asked: argparse.Namespace) -> Curve:
    """Train one fold by the second implementation."""
    train, validation = halves(images, job.fold)
    labels = np.unique(images.labels[train], return_inverse=True)[1]
    torch.manual_seed(stream(job, "a second implementation"))
    random = np.random.default_rng(stream(job, "a second implementation, crops"))
    model, weights = network(), nn.Parameter(torch.randn(128, len(np.unique(labels))))
    moves = torch.optim.RMSprop(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    of_loss = torch.optim.RMSprop([weights], lr=float(PARAMS[kind].get("loss_lr", 1)), momentum=0.9, weight_decay=1e-4)
    spec = LOSSES.find(kind)
    ours = drawn(labels, QUICK, job.dataset, spec.batch, seed=stream(job, "batches"))
    feed = ours if asked.order == "ours" else endless(labels, 1 if spec.batch == "classes" else 4, random)
    curve: Curve = {}
    for iteration in range(EPOCHS * ITERATIONS):
        rows = next(feed)
        if asked.crops == "ours":
            seed = stream(job, "augmentation")
            batch = training_batch(resized(small), train[rows], QUICK, seed=seed, iteration=iteration)
        else:
            batch = batch_of([small[index] for index in train[rows]], random)
        for optimizer in (moves, of_loss):
            optimizer.zero_grad()
        torch.autograd.backward(value(kind, model.train()(batch), torch.from_numpy(labels[rows]), weights))
        moves.step()
        if kind == "normalized_softmax":
            of_loss.step()
        epoch, within = divmod(iteration + 1, ITERATIONS)
        if not within and not epoch % EVERY:
            with torch.inference_mode():
                embedded = model.eval()(batch_of([small[index] for index in validation], None)).double().numpy()
            curve[epoch] = map_at_r(embedded, images.labels[validation])
    return curve


def resized(small: list[Image.Image]) -> ArrayPixels:
    """Give images of PIL as the harness's pixels."""
    return ArrayPixels(np.stack([np.asarray(image)[..., None] for image in small]))


def halves(images: ImageSet, fold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the training and validation images of a fold, by docs/protocol.md."""
    m = int(images.facts.official_trainval_classes or 0)
    length = m // 4
    order = [(int(fold / 4 * m) + step) % m for step in range(m)]
    validation = order[m - length :]
    of = images.labels
    return np.flatnonzero(np.isin(of, order[: m - length])), np.flatnonzero(np.isin(of, validation))


def first(kind: str, images: ImageSet, small: list[Image.Image], job: FoldJob) -> Curve:
    """Train one fold by the harness."""
    train, validation = (Subset(resized(small), images.labels, rows) for rows in halves(images, job.fold))
    curve: Curve = {}
    train_fold(
        job,
        LOSSES.find(kind),
        models.build(QUICK, seed=stream(job, "model"), dataset=job.dataset),
        train,
        validation,
        device=torch.device("cpu"),
        on_validation=lambda epoch, score, _: curve.update({epoch: score}),
        checkpoint=Checkpoint(None, origin=""),
        stop=lambda: False,
    )
    return {epoch: score for epoch, score in curve.items() if epoch}


def main(asked: argparse.Namespace) -> None:
    """Print the comparison of each loss, epoch by epoch."""
    torch.set_num_threads(1)
    images = open_dataset(asked.dataset, asked.root)
    pixels = images.pixels
    small = [
        Image.fromarray(pixels[index][..., 0]).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        for index in range(len(images.labels))
    ]
    for kind, params in PARAMS.items():
        curves: tuple[list[Curve], list[Curve]] = ([], [])
        for number in range(asked.runs):
            jobs = [
                FoldJob(
                    protocol=QUICK,
                    dataset=asked.dataset,
                    fingerprint=images.fingerprint,
                    loss=kind,
                    params=params,
                    stage="search",
                    number=number,
                    fold=fold,
                )
                for fold in range(4)
            ]
            curves[0].append(mean([first(kind, images, small, job) for job in jobs]))
            curves[1].append(mean([second(kind, images, small, job, asked) for job in jobs]))
        for epoch in curves[0][0]:
            what = f"{kind}, epoch {epoch}" if epoch != BEST else f"{kind}, best of each fold"
            told(what, *([curve[epoch] for curve in of] for of in curves))


def mean(curves: list[Curve]) -> Curve:
    """Give the mean over folds, epoch by epoch, and of each fold's best."""
    means = {epoch: float(np.mean([curve[epoch] for curve in curves])) for epoch in curves[0]}
    return means | {BEST: float(np.mean([max(curve.values()) for curve in curves]))}


def told(what: str, ours: list[float], theirs: list[float]) -> None:
    """Print means, difference and p-value."""
    p = stats.ttest_ind(ours, theirs, equal_var=False).pvalue if len(ours) > 1 else float("nan")
    apart = np.mean(ours) - np.mean(theirs)
    sys.stdout.write(f"{what:34} here {np.mean(ours):6.2f}  second {np.mean(theirs):6.2f}  {apart:+.2f}  p {p:.3f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("root", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--crops", choices=("second", "ours"), default="second")
    parser.add_argument("--order", choices=("second", "ours"), default="second")
    main(parser.parse_args())
