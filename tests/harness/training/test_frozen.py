"""A head on features that a trunk gave once: the bits of a trunk in the loop that does not learn."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlrc.harness.features.rows import Features
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.images.transform import evaluation_batch
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import fold as training
from mlrc.harness.training import model as models
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.extraction import features_of
from mlrc.harness.training.fold import OnValidation, StoppedError, Subset, Trained, train_fold
from mlrc.protocols.protocol import Protocol
from tests.harness.conftest import SpyPixels

CPU = torch.device("cpu")
TRAIN, VALIDATION = np.arange(64), np.arange(64, 96)
BATCH = 32
PARAMS = {
    "contrastive": {"pos_margin": 0.2, "neg_margin": 0.6},
    "proxy_anchor": {"margin": 0.1, "alpha": 16.0, "loss_lr": 1e-2},
}


@pytest.fixture
def rules(tiny_protocol: Protocol) -> Protocol:
    return tiny_protocol.vary({"trains": "head", "batch_size": BATCH, "iterations_per_epoch": 5, "max_epochs": 6})


def _features(images: ImageSet, rules: Protocol, folder: Path | None = None, threads: int = 1) -> Features:
    return features_of(images, rules, weights=None, folder=folder, devices=[CPU], threads=threads)


def _job(rules: Protocol, loss: str) -> FoldJob:
    study = Study(protocol=rules, dataset="tiny", fingerprint="0123456789abcdef", loss=loss)
    return study.jobs("search", 0, PARAMS[loss])[0]


class _InTheLoop(nn.Module):
    """A network whose trunk sees the images of every batch, and does not learn."""

    def __init__(self, embedder: models.Embedder, trunk: models.FrozenTrunk) -> None:
        super().__init__()
        self.trunk, self.embedder = trunk, embedder

    def features(self, images: Tensor) -> Tensor:
        features: Tensor = self.trunk(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        embeddings: Tensor = self.embedder(self.features(images))
        return embeddings

    def train(self, mode: bool = True) -> "_InTheLoop":
        self.embedder.train(mode)
        return self


def _train(
    job: FoldJob,
    images: ImageSet,
    pixels: object,
    model: nn.Module,
    on_validation: OnValidation = lambda *_: None,
    checkpoint: Path | None = None,
    stops: Iterator[bool] | None = None,
) -> Trained:
    return train_fold(
        job,
        LOSSES.find(job.loss),
        model,  # type: ignore[arg-type] # what a training asks of a network, the stand-in has
        Subset(pixels, images.labels, TRAIN),  # type: ignore[arg-type]
        Subset(pixels, images.labels, VALIDATION),  # type: ignore[arg-type]
        device=CPU,
        on_validation=on_validation,
        checkpoint=Checkpoint(checkpoint, origin=""),
        stop=lambda: next(stops) if stops else False,
    )


@pytest.mark.parametrize("head", ["linear", "mlp:24"])
@pytest.mark.parametrize("loss", PARAMS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_head_on_features_is_bit_by_bit_that_of_a_network_whose_trunk_does_not_learn(
    monkeypatch: pytest.MonkeyPatch,
    tiny_images: ImageSet,
    rules: Protocol,
    loss: str,
    head: str,
    channels_last: bool,
) -> None:
    job = _job(rules.vary({"head": head, "channels_last": channels_last}), loss)
    features = _features(tiny_images, job.protocol)
    head_alone = models.build(job.protocol, seed=job.seed, width=features.width)
    first = _train(job, tiny_images, features, head_alone)

    def central(pixels: SpyPixels, rows: object, protocol: Protocol, **_: object) -> Tensor:
        return evaluation_batch(pixels, rows, protocol)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "training_batch", central)
    inside = models.build(job.protocol, seed=job.seed, width=features.width)
    network = _InTheLoop(inside, models.frozen_trunk(job.protocol))
    second = _train(job, tiny_images, tiny_images.pixels, network)
    assert first.history == second.history
    assert len(first.history) == 4
    for name, weights in head_alone.state_dict().items():
        assert torch.equal(weights, inside.state_dict()[name])


@pytest.mark.parametrize("views", [0, 3])
def test_a_head_goes_on_from_its_checkpoint_with_the_same_bits(
    tmp_path: Path, tiny_images: ImageSet, rules: Protocol, views: int
) -> None:
    job = _job(rules.vary({"views": views}), "proxy_anchor")
    features = _features(tiny_images, job.protocol)
    whole, resumed = (models.build(job.protocol, seed=1, width=features.width) for _ in range(2))
    undisturbed = _train(job, tiny_images, features, whole)
    path = tmp_path / "checkpoints" / "job.pt"
    path.parent.mkdir()
    with pytest.raises(StoppedError):
        _train(job, tiny_images, features, resumed, checkpoint=path, stops=iter([*[False] * 17, True]))
    again = models.build(job.protocol, seed=2, width=features.width)
    assert _train(job, tiny_images, features, again, checkpoint=path).history == undisturbed.history
    assert all(torch.equal(one, again.state_dict()[name]) for name, one in whole.state_dict().items())


def test_a_training_draws_a_view_of_each_image_in_each_iteration_from_its_seed(
    tiny_images: ImageSet, rules: Protocol
) -> None:
    features = _features(tiny_images, rules.vary({"views": 3}))
    rows = features._rows.reshape(4, len(features), -1)
    images = np.arange(40)
    first, again = (features.drawn(images, seed=5, iteration=9) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, features.drawn(images, seed=5, iteration=10))
    assert not torch.equal(first, features.drawn(images, seed=6, iteration=9))
    found = [{view for view in range(4) if torch.equal(row, rows[view, image])} for image, row in enumerate(first)]
    assert all(found)  # of its own views, two of which may be the same crop
    assert {views.pop() for views in found if len(views) == 1} == {0, 1, 2, 3}
    assert torch.equal(features.central(images), rows[0, :40])


def test_views_are_augmented_images_drawn_from_the_image_s_own_seed(tiny_images: ImageSet, rules: Protocol) -> None:
    few, many = (_features(tiny_images, rules.vary({"views": views})) for views in (1, 2))
    assert torch.equal(few._rows, many._rows[: 2 * len(few)])
    of_half = replace(
        tiny_images,
        labels=tiny_images.labels[:50],
        pixels=SpyPixels(np.stack([tiny_images.pixels[index] for index in range(50)])),
    )
    half = _features(of_half, rules.vary({"views": 1}))._rows.reshape(2, 50, -1)
    assert torch.equal(half[1], few._rows.reshape(2, 96, -1)[1, :50])
    assert not torch.equal(half[0], half[1])
    other = _features(tiny_images, rules.vary({"views": 1, "seed": 1}))
    assert not torch.equal(few._rows, other._rows)


def test_a_trunk_is_asked_of_nothing_once_its_features_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_images: ImageSet, rules: Protocol
) -> None:
    first = _features(tiny_images, rules, tmp_path)
    monkeypatch.setattr("mlrc.harness.training.extraction.frozen_trunk", None)
    monkeypatch.setattr("mlrc.harness.training.extraction.find_trunk", None)
    assert torch.equal(first._rows, _features(tiny_images, rules.vary({"lr": 0.5, "trials": 7}), tmp_path)._rows)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"views": 1},
        {"crop": 12},
        {"resize": 18},
        {"mean": (0.25,)},
        {"std": (0.25,)},
        {"pooling": "max"},
        {"maximum": 2.0},
        {"precision": "bfloat16"},
        {"channels_last": True},
    ],
)
def test_other_rules_for_the_trunk_have_a_file_of_their_own(
    tmp_path: Path, tiny_images: ImageSet, rules: Protocol, change: dict[str, object]
) -> None:
    _features(tiny_images, rules, tmp_path)
    _features(tiny_images, rules.vary(change), tmp_path)
    assert len(list(tmp_path.glob("features-*"))) == 2


@pytest.mark.parametrize("views", [0, 2])
def test_the_bits_are_the_same_whatever_the_number_of_threads(
    tmp_path: Path, tiny_images: ImageSet, rules: Protocol, views: int
) -> None:
    of_views = rules.vary({"views": views})
    for threads in (1, 3):
        _features(tiny_images, of_views, tmp_path / str(threads), threads)
    one, three = (next((tmp_path / str(threads)).glob("*/features.npy")).read_bytes() for threads in (1, 3))
    assert one == three
    assert torch.equal(_features(tiny_images, of_views)._rows, _features(tiny_images, of_views, tmp_path / "1")._rows)
