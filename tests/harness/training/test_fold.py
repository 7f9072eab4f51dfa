"""The training of one fold: which epochs count, when it stops, which parameters learn, that it repeats bit by bit."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import fold as training
from mlrc.harness.training import model as models
from mlrc.harness.training import optimization
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import OnValidation, Subset, Trained, embed, train_fold
from mlrc.losses.spec import LossSpec
from mlrc.protocols.protocol import PerDataset
from tests.harness.conftest import SpyPixels
from tests.harness.stand_ins import Proxies, proxy_spec, scripted

CPU = torch.device("cpu")
TRAIN, VALIDATION = np.arange(36), np.arange(36, 48)
Silent = OnValidation


def _train(
    job: FoldJob,
    images: ImageSet,
    on_validation: OnValidation,
    spec: LossSpec | None = None,
    model: models.Embedder | None = None,
) -> Trained:
    train, validation = (Subset(images.pixels, images.labels, indices) for indices in (TRAIN, VALIDATION))
    return train_fold(
        job,
        spec or LOSSES.find(job.loss),
        model or models.build(job.protocol, seed=job.seed),
        train,
        validation,
        device=CPU,
        on_validation=on_validation,
        checkpoint=Checkpoint(None, origin=""),
        stop=lambda: False,
    )


def _with(job: FoldJob, **changes: object) -> FoldJob:
    return replace(job, protocol=job.protocol.vary(changes))


@pytest.mark.parametrize(
    ("scores", "history", "best"),
    [
        # Strictly greater: of equal scores the first stays.
        ([1, 5, 5, 5, 5, 5], [0, 2, 4, 6], 2),
        # `epoch - best_epoch > patience` with patience 3: 4 - 2 does not stop, 6 - 2 does.
        ([1, 5, 4, 4, 9, 9], [0, 2, 4, 6], 2),
        # A better score moves the end.
        ([1, 2, 3, 4, 5, 4], [0, 2, 4, 6, 8, 10], 8),
        # The model before training counts for the patience, not as a result.
        ([9, 5, 6, 7, 8, 9], [0, 2, 4], 4),
    ],
)
def test_the_best_epoch_and_the_stop_follow_protocol_a3(
    monkeypatch: pytest.MonkeyPatch,
    job: FoldJob,
    tiny_images: ImageSet,
    silent: Silent,
    scores: list[float],
    history: list[int],
    best: int,
) -> None:
    scripted(monkeypatch, scores)
    trained = _train(_with(job, patience=PerDataset(3), max_epochs=10), tiny_images, silent)
    assert [epoch for epoch, _ in trained.history] == history
    assert (trained.best_epoch, trained.best_score) == (best, scores[best // 2])


def test_the_last_epoch_is_validated_though_the_interval_misses_it(
    monkeypatch: pytest.MonkeyPatch, job: FoldJob, tiny_images: ImageSet, silent: Silent
) -> None:
    scripted(monkeypatch, [1, 2, 3])
    trained = _train(_with(job, max_epochs=3), tiny_images, silent)
    assert [epoch for epoch, _ in trained.history] == [0, 2, 3]


def test_the_model_is_that_of_the_best_epoch(
    monkeypatch: pytest.MonkeyPatch, job: FoldJob, tiny_images: ImageSet
) -> None:
    scripted(monkeypatch, [1, 5, 4])
    model = models.build(job.protocol, seed=job.seed)
    at = {}

    def copy_weights(epoch: int, score: float, loss: float) -> None:
        at[epoch] = copy.deepcopy(model)

    trained = _train(job, tiny_images, copy_weights, model=model)
    assert trained.model is not None
    assert _same(trained.model, at[2])
    assert not _same(trained.model, at[4])


def _same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def test_the_same_job_gives_the_same_weights_whatever_the_global_generators_did(
    job: FoldJob, tiny_images: ImageSet, silent: Silent
) -> None:
    first = _train(job, tiny_images, silent)
    torch.rand(7)
    np.random.rand(7)  # noqa: NPY002 a library that draws from it must not matter
    again = _train(job, tiny_images, silent)
    assert first.history == again.history
    assert first.model is not None
    assert again.model is not None
    assert _same(first.model, again.model)


def test_another_repeat_gives_other_weights(job: FoldJob, tiny_images: ImageSet, silent: Silent) -> None:
    first, other = _train(job, tiny_images, silent), _train(replace(job, number=1), tiny_images, silent)
    assert first.model is not None
    assert other.model is not None
    assert not _same(first.model, other.model)


def test_training_reads_no_image_outside_its_fold(job: FoldJob, tiny_images: ImageSet, silent: Silent) -> None:
    _train(job, tiny_images, silent)
    assert isinstance(tiny_images.pixels, SpyPixels)
    assert tiny_images.pixels.read <= set(TRAIN) | set(VALIDATION)
    assert set(VALIDATION) <= tiny_images.pixels.read


def test_the_loss_s_own_parameters_learn_at_their_own_rate(job: FoldJob, tiny_images: ImageSet, silent: Silent) -> None:
    moved = {}
    for rate in (1e-6, 1e-2):
        made: list[Proxies] = []
        _train(replace(job, params={"loss_lr": rate}), tiny_images, silent, proxy_spec(made))
        moved[rate] = (made[0].proxies - 1).abs().max().item()
    assert 0 < moved[1e-6] < 1e-3
    assert moved[1e-2] > 1e-2


def test_labels_are_numbered_within_the_fold_s_training_classes(
    job: FoldJob, tiny_images: ImageSet, silent: Silent
) -> None:
    made: list[Proxies] = []
    job = replace(job, params={"loss_lr": 1e-3})
    images = replace(tiny_images, labels=tiny_images.labels * 10 + 5)
    _train(_with(job, iterations_per_epoch=9), images, silent, proxy_spec(made))
    assert made[0].proxies.shape == (6, 8)
    assert made[0].seen == set(range(6))


@pytest.mark.parametrize(("own", "expected"), [(None, 1e-4), (0.0, 0.0)])
def test_weight_decay_of_the_loss_is_its_spec_s_or_else_the_protocol_s(
    monkeypatch: pytest.MonkeyPatch,
    job: FoldJob,
    tiny_images: ImageSet,
    silent: Silent,
    own: float | None,
    expected: float,
) -> None:
    asked = []
    optimizer = optimization._optimizer

    def note(name: str, groups: list[list[nn.Parameter]], **numbers: float) -> torch.optim.Optimizer:
        asked.append(numbers)
        return optimizer(name, groups, **numbers)

    monkeypatch.setattr(optimization, "_optimizer", note)
    _train(replace(job, params={"loss_lr": 1e-3}), tiny_images, silent, proxy_spec([], own))
    assert asked == [
        {"lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-4, "eps": 1e-8},
        {"lr": 1e-3, "momentum": 0.9, "weight_decay": expected, "eps": 1e-8},
    ]


class _NotFinite(nn.Module):
    def forward(self, embeddings: Tensor, labels: Tensor, indices: object = None) -> Tensor:
        return embeddings.sum() * float("nan")


def test_a_loss_that_is_not_finite_is_a_diverged_training_that_says_so(
    job: FoldJob, tiny_images: ImageSet, silent: Silent
) -> None:
    spec = replace(proxy_spec([]), space={}, build=lambda num_classes, embedding_size: _NotFinite())
    trained = _train(replace(job, params={}), tiny_images, silent, spec)
    assert (trained.outcome, trained.model, trained.best_score) == ("diverged", None, None)
    assert trained.message == "the loss was not finite in epoch 1"


class _RaisesAfterwards(nn.Module):
    """Gives a number that is none, and raises at the embeddings that come of it."""

    def __init__(self, first: float) -> None:
        super().__init__()
        self._factors = [first]

    def forward(self, embeddings: Tensor, labels: Tensor, indices: object = None) -> Tensor:
        if not self._factors:
            raise ValueError("cannot sort these distances")
        return embeddings.sum() * self._factors.pop()


def test_a_loss_that_raises_because_a_number_is_not_finite_has_diverged_and_any_other_raises(
    job: FoldJob, tiny_images: ImageSet, silent: Silent
) -> None:
    def spec_of(first: float) -> LossSpec:
        return replace(proxy_spec([]), space={}, build=lambda num_classes, embedding_size: _RaisesAfterwards(first))

    trained = _train(replace(job, params={}), tiny_images, silent, spec_of(float("nan")))
    assert (trained.outcome, trained.model) == ("diverged", None)
    assert trained.message == ("a number was not finite in epoch 1, and the loss raised: cannot sort these distances")
    with pytest.raises(ValueError, match="cannot sort these distances"):
        _train(replace(job, params={}), tiny_images, silent, spec_of(1.0))


def test_validation_embeddings_that_are_not_finite_are_a_diverged_training(
    monkeypatch: pytest.MonkeyPatch, job: FoldJob, tiny_images: ImageSet, silent: Silent
) -> None:
    scripted(monkeypatch, [1, float("nan")])
    trained = _train(job, tiny_images, silent)
    assert (trained.outcome, trained.model) == ("diverged", None)
    assert trained.message == "the validation embeddings were not finite after epoch 2"


def test_embedding_in_one_batch_or_in_several_is_the_same(
    monkeypatch: pytest.MonkeyPatch, job: FoldJob, tiny_images: ImageSet
) -> None:
    model = models.build(job.protocol, seed=1)
    images = Subset(tiny_images.pixels, tiny_images.labels, np.arange(50))
    whole = embed(model, images, job.protocol, CPU)
    monkeypatch.setattr(training, "EVALUATION_BATCH_ON_CORES", 7)
    np.testing.assert_allclose(embed(model, images, job.protocol, CPU), whole, rtol=1e-5, atol=1e-6)
    assert whole.shape == (50, 8)


@pytest.mark.parametrize(("device", "sizes"), [("cpu", [32, 18]), ("cuda:0", [50]), ("mps", [50])])
def test_images_are_embedded_in_batches_that_suit_the_device(
    monkeypatch: pytest.MonkeyPatch, job: FoldJob, tiny_images: ImageSet, device: str, sizes: list[int]
) -> None:
    seen: list[int] = []

    def forward(network: object, batch: Tensor, *_: object) -> Tensor:
        seen.append(len(batch))
        return batch.mean(dim=(2, 3))

    monkeypatch.setattr(training, "evaluation_batch", lambda pixels, rows, *_, **__: torch.ones(len(rows), 8, 1, 1))
    monkeypatch.setattr(models, "forward", forward)
    monkeypatch.setattr(training, "_fed", lambda work, device: (one() for one in work))  # no stream of a GPU here
    images = Subset(tiny_images.pixels, tiny_images.labels, np.arange(50))
    embed(models.build(job.protocol, seed=1), images, job.protocol, torch.device(device))
    assert seen == sizes
