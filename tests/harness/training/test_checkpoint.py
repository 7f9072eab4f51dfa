"""A training that was stopped or killed goes on from its checkpoint and ends with the bits of an undisturbed one."""

import errno
import hashlib
import os
import pickle
import random
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.utils.loss_and_miner_utils import get_all_pairs_indices
from torch import Tensor, nn

from mlrc.harness.engine.perform import _origin, perform
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.machine.atomic import write_atomically
from mlrc.harness.machine.determinism import seed_global_generators
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.schedule import Recorded
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import checkpoint as checkpoints
from mlrc.harness.training import model as models
from mlrc.harness.training.checkpoint import Checkpoint, Course
from mlrc.harness.training.fold import StoppedError, Subset, Trained, train_fold
from mlrc.losses.spec import LossSpec, MinedLoss
from mlrc.protocols.protocol import PerDataset
from mlrc.results.records.record import Stage
from tests.harness.conftest import any_params

CPU = torch.device("cpu")
MINED = {"alpha": 2.0, "beta": 50.0, "base": 0.5, "epsilon": 0.1}
WITH_PROXIES = {"loss_lr": 0.01, "margin": 0.1, "alpha": 32.0}


class KilledError(Exception):
    """Stands for a SIGKILL."""


def _train(
    job: FoldJob,
    images: ImageSet,
    path: Path | None = None,
    *,
    iterations: int | None = None,
    kill_at: int | None = None,
    origin: str = "here",
    spec: LossSpec | None = None,
    validated: bool = True,
) -> Trained:
    """Train from scratch or from the checkpoint; stop after so many iterations, or die when an epoch was validated."""
    seed_global_generators(1 if path is None or not path.exists() else 2)
    left = iter(range(iterations)) if iterations is not None else None

    def kill(epoch: int, score: float, loss: float) -> None:
        if epoch == kill_at:
            raise KilledError

    train, validation = (Subset(images.pixels, images.labels, rows) for rows in (np.arange(36), np.arange(36, 48)))
    return train_fold(
        job,
        spec or LOSSES.find(job.loss),
        models.build(job.protocol, seed=job.seed),
        train,
        validation if validated else None,
        device=CPU,
        on_validation=kill,
        checkpoint=Checkpoint(path, origin),
        stop=lambda: left is not None and next(left, None) is None,
    )


def _bits(trained: Trained) -> dict[str, bytes]:
    assert trained.model is not None
    return {name: tensor.numpy().tobytes() for name, tensor in trained.model.state_dict().items()}


def _same(one: Trained, other: Trained) -> None:
    assert one.history == other.history
    assert (one.best_epoch, one.best_score) == (other.best_epoch, other.best_score)
    assert _bits(one) == _bits(other)


@pytest.mark.parametrize(
    ("loss", "params"),
    [("multi_similarity_miner", MINED), ("proxy_anchor", WITH_PROXIES)],
    ids=["with a miner", "with proxies"],
)
@pytest.mark.parametrize("iterations", [0, 1, 4, 5, 7])
def test_a_training_stopped_at_any_iteration_ends_with_the_same_bits(
    job: FoldJob, tiny_images: ImageSet, tmp_path: Path, loss: str, params: dict[str, float], iterations: int
) -> None:
    job = replace(job, loss=loss, params=params)
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        _train(job, tiny_images, path, iterations=iterations)
    _same(_train(job, tiny_images, path), _train(job, tiny_images))


class EverySecondBatchHalved(nn.Module):
    """A miner that counts its batches."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        self.calls += 1
        pairs = get_all_pairs_indices(labels)
        return tuple(indices[:: 2 if self.calls % 2 else 1] for indices in pairs)


def test_a_miner_goes_on_with_its_state(job: FoldJob, tiny_images: ImageSet, tmp_path: Path) -> None:
    def build(num_classes: int, embedding_size: int, *, pos_margin: float, neg_margin: float) -> MinedLoss:
        return MinedLoss(ContrastiveLoss(pos_margin, neg_margin), EverySecondBatchHalved())

    spec = replace(LOSSES.find("contrastive"), build=build)
    job = replace(job, loss="contrastive", params={"pos_margin": 0.0, "neg_margin": 0.5})
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        _train(job, tiny_images, path, iterations=5, spec=spec)
    _same(_train(job, tiny_images, path, spec=spec), _train(job, tiny_images, spec=spec))


@pytest.mark.parametrize(
    ("stage", "iterations"),
    [(stage, at) for stage, last in (("schedule", 11), ("final", 9)) for at in (0, 1, 2, 3, 4, 6, 9, 11) if at <= last],
)
def test_schedule_warm_up_and_clipping_go_on_where_they_were(
    job: FoldJob, tiny_images: ImageSet, tmp_path: Path, stage: Stage, iterations: int
) -> None:
    """Epochs of two iterations: the warm-up ends after 2, the rates fall after 3 by steps, a plateau or the record."""
    changes = {"two_stages": True, "folds": 1, "trials": 0, "validation_fraction": 0.5, "epoch_choice": "last"}
    how = {"optimizer": "adam", "loss_optimizer": "adamw", "clip_gradients": 1e-3, "warm_up": 2, "max_epochs": 6}
    falling = {"lr_step": PerDataset(3), "lr_decay": PerDataset(0.5), "plateau_patience": 1}
    protocol = job.protocol.vary({**changes, **how, **falling, "validation_interval": PerDataset(1), "lr": 1e-2})
    recorded = Recorded(steps=(3,), epochs=5) if stage == "final" else None
    job = replace(job, protocol=protocol, stage=stage, recorded=recorded, loss="proxy_anchor", params=WITH_PROXIES)
    path = tmp_path / "checkpoint.pt"
    validated = stage == "schedule"
    with pytest.raises(StoppedError):
        _train(job, tiny_images, path, iterations=iterations, validated=validated)
    resumed = _train(job, tiny_images, path, validated=validated)
    _same(resumed, _train(job, tiny_images, validated=validated))
    assert bool(resumed.history) is validated


def test_a_training_killed_after_each_of_its_validations_ends_with_the_same_bits(
    job: FoldJob, tiny_images: ImageSet, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pt"
    for epoch in (2, 4):
        with pytest.raises(KilledError):
            _train(job, tiny_images, path, kill_at=epoch)
    reads = tiny_images.pixels.read  # type: ignore[attr-defined] # the fixture's pixels remember
    reads.clear()
    resumed = _train(job, tiny_images, path)
    assert not reads, "the training was over, so nothing was left to do"
    _same(resumed, _train(job, tiny_images))


class _Drawing(nn.Module):
    """A loss that draws from every generator that libraries draw from behind our back."""

    def forward(self, embeddings: Tensor, labels: Tensor, indices: object = None) -> Tensor:
        noise = random.random() + np.random.rand() + torch.rand(()) + torch.randn(embeddings.shape)  # noqa: NPY002, S311
        return (embeddings * noise).square().mean()


@pytest.mark.parametrize("iterations", [1, 4])
def test_random_numbers_go_on_where_they_were(
    job: FoldJob, tiny_images: ImageSet, tmp_path: Path, iterations: int
) -> None:
    contrastive = LOSSES.find("contrastive")
    spec = replace(contrastive, space={}, build=lambda num_classes, embedding_size: _Drawing())
    job, path = replace(job, params={}), tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        _train(job, tiny_images, path, iterations=iterations, spec=spec)
    _same(_train(job, tiny_images, path, spec=spec), _train(job, tiny_images, spec=spec))


def test_the_training_of_every_registered_loss_goes_on_with_the_same_bits(
    job: FoldJob, tiny_images: ImageSet, tmp_path: Path
) -> None:
    """A loss with state outside its `state_dict`, or with a generator of its own, fails here."""
    job = replace(job, protocol=job.protocol.vary({"max_epochs": 2}))
    for name in LOSSES.names():
        job = replace(job, loss=name, params=any_params(name))
        with pytest.raises(StoppedError):
            _train(job, tiny_images, tmp_path / name, iterations=3)
        _same(_train(job, tiny_images, tmp_path / name), _train(job, tiny_images))


@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "of another origin"])
def test_a_checkpoint_that_is_torn_or_foreign_is_discarded_and_the_training_begins_anew(
    job: FoldJob, tiny_images: ImageSet, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(StoppedError):
        _train(job, tiny_images, path, iterations=5)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "empty": b"",
            "half": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "of another origin": whole,
        }[damage]
    )
    with pytest.raises(StoppedError):
        _train(job, tiny_images, path, iterations=0, origin="there" if damage == "of another origin" else "here")
    assert "the training begins anew" in capsys.readouterr().err
    # What lies there now is a fresh beginning.
    course = Checkpoint(path, "there" if damage == "of another origin" else "here").restore({}, CPU)
    assert course is not None
    assert course.iteration == 0


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    """Whoever can write into the runs folder can sign a file, so its content must be harmless by its form."""

    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "broken in"),)

    buffer = BytesIO()
    torch.save(Evil(), buffer)
    path = tmp_path / "checkpoint.pt"
    key = hashlib.sha256(b"here").digest()
    path.write_bytes(hashlib.blake2b(buffer.getvalue(), digest_size=32, key=key).digest() + buffer.getvalue())
    with pytest.raises(pickle.UnpicklingError):
        Checkpoint(path, "here").restore({}, CPU)
    assert not (tmp_path / "broken in").exists()


def test_a_job_that_goes_on_gives_the_record_of_one_that_was_not_disturbed(
    job: FoldJob, workplace: Workplace, tmp_path: Path
) -> None:
    place = replace(workplace, runs=tmp_path)
    job = replace(job, stage="final")
    undisturbed = perform(job, workplace, lambda *_: None, lambda: False)
    calls = iter(range(5))
    with pytest.raises(StoppedError):
        perform(job, place, lambda *_: None, lambda: next(calls, None) is None)
    resumed = perform(job, place, lambda *_: None, lambda: False)
    both = [replace(found.record, seconds=0, processor_seconds=None) for found in (resumed, undisturbed)]
    assert both[0] == both[1]
    assert resumed.record.iterations == undisturbed.record.iterations
    assert resumed.embeddings is not None
    assert undisturbed.embeddings is not None
    assert resumed.embeddings.tobytes() == undisturbed.embeddings.tobytes()


def test_the_time_spent_before_a_stop_is_counted(job: FoldJob, workplace: Workplace, tmp_path: Path) -> None:
    place = replace(workplace, runs=tmp_path)
    with pytest.raises(StoppedError):
        perform(job, place, lambda *_: None, iter([False, True]).__next__)
    path = place.checkpoint(job)
    assert path is not None
    origin = _origin(job, place)
    course = Checkpoint(path, origin).restore({}, CPU)
    assert course is not None
    assert course.earlier_seconds > 0
    assert course.earlier_processor_seconds > 0
    course.earlier_seconds, course.earlier_processor_seconds = 1000.0, 5000.0
    saved = torch.load(BytesIO(path.read_bytes()[32:]), weights_only=True)
    buffer = BytesIO()
    torch.save(saved | {"course": vars(course)}, buffer)
    key = hashlib.sha256(origin.encode()).digest()
    path.write_bytes(hashlib.blake2b(buffer.getvalue(), digest_size=32, key=key).digest() + buffer.getvalue())
    record = perform(job, place, lambda *_: None, lambda: False).record
    assert 1000 < record.seconds < 1100
    assert record.processor_seconds is not None
    assert 5000 < record.processor_seconds < 5100


class _Clock:
    def __init__(self, times: Iterable[float]) -> None:
        self._times = iter(times)

    def perf_counter(self) -> float:
        return next(self._times)

    def process_time(self) -> float:
        return 0.0


def test_checkpoints_become_rarer_where_writing_them_takes_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Begun at 0; asked at 1; written from 1 to 3, so that 2 seconds may be spent again 40 seconds later.
    monkeypatch.setattr(checkpoints, "time", _Clock([0, 1, 1, 3, 42.9, 43]))
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "here")
    assert checkpoint.due()
    checkpoint.save(Course(epoch_loss=torch.zeros(())), {}, CPU)
    assert [checkpoint.due(), checkpoint.due()] == [False, True]


def test_another_attempt_that_takes_the_unfinished_file_away_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(self: Path, target: Path) -> Path:
        raise FileNotFoundError(errno.ENOENT, "taken", str(self))

    checkpoint = Checkpoint(tmp_path / "job.pt", origin="here")
    monkeypatch.setattr(Path, "replace", taken)
    checkpoint.save(Course(epoch_loss=torch.zeros(())), {}, torch.device("cpu"))
    assert checkpoint.restore({}, torch.device("cpu")) is None


def test_a_write_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"whole")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]
