"""Learning rates, warm-up, clipping and weight decay of real trainings, step by step against values by hand."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.schedule import Recorded
from mlrc.harness.training import model as models
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import Subset, Trained, train_fold
from mlrc.harness.training.optimization import Optimization
from mlrc.losses.spec import LossSpec
from mlrc.protocols.protocol import PerDataset
from tests.harness.stand_ins import Proxies, proxy_spec, scripted

CPU = torch.device("cpu")
TRAIN, VALIDATION = np.arange(36), np.arange(36, 48)


class Step(NamedTuple):
    """What one iteration did: rates of trunk, head and loss; weights and gradients of each before and after."""

    rates: tuple[float, float, float]
    before: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]
    after: Mapping[str, Tensor]
    steps_of_trunk: int


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Note every iteration of the trainings that follow."""
    found: list[Step] = []
    step = Optimization.step

    def noted(self: Optimization, value: Tensor) -> None:
        named = dict(self._model.named_parameters()) | {"proxies": self.optimizers[1].param_groups[0]["params"][0]}
        before = {name: parameter.detach().clone() for name, parameter in named.items()}
        step(self, value)
        (trunk, head), (loss,) = self.optimizers[0].param_groups, self.optimizers[1].param_groups
        gradients = {name: parameter.grad.clone() for name, parameter in named.items() if parameter.grad is not None}
        after = {name: parameter.detach().clone() for name, parameter in named.items()}
        taken = int(self.optimizers[0].state[trunk["params"][0]]["step"])
        found.append(Step((trunk["lr"], head["lr"], loss["lr"]), before, gradients, after, taken))

    monkeypatch.setattr(Optimization, "step", noted)
    return found


def _train(job: FoldJob, images: ImageSet, spec: LossSpec | None = None, validation: bool = True) -> Trained:
    learnt, judged = (Subset(images.pixels, images.labels, rows) for rows in (TRAIN, VALIDATION))
    return train_fold(
        job,
        spec or proxy_spec([]),
        models.build(job.protocol, seed=job.seed),
        learnt,
        judged if validation else None,
        device=CPU,
        on_validation=lambda *_: None,
        checkpoint=Checkpoint(None, origin=""),
        stop=lambda: False,
    )


def _with(job: FoldJob, **changes: object) -> FoldJob:
    """Two iterations per epoch, every epoch validated; the rate of the proxies is the protocol's."""
    always = {"validation_interval": PerDataset(1), "patience": PerDataset(99), "loss_lr": PerDataset(0.4)}
    return replace(job, protocol=job.protocol.vary({"lr": 0.2, **always, **changes}), params={})


def test_rates_follow_steps_and_warm_up(job: FoldJob, tiny_images: ImageSet, steps: list[Step]) -> None:
    job = _with(job, warm_up=1, lr_step=PerDataset(2), lr_decay=PerDataset(0.5), max_epochs=5)
    _train(job, tiny_images)
    assert [step.rates for step in steps] == [
        *[(0.0, 0.2, 0.4)] * 2,  # the warm-up
        *[(0.2, 0.2, 0.4)] * 2,
        *[(0.1, 0.1, 0.2)] * 4,  # epochs 3 and 4
        *[(0.05, 0.05, 0.1)] * 2,
    ]


def test_a_constant_rate_is_constant(job: FoldJob, tiny_images: ImageSet, steps: list[Step]) -> None:
    _train(_with(job, max_epochs=3), tiny_images)
    assert {step.rates for step in steps} == {(0.2, 0.2, 0.4)}


def test_stage_1_falls_on_its_plateau_and_stage_2_falls_and_ends_as_stage_1_did(
    job: FoldJob, tiny_images: ImageSet, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = _with(
        job,
        two_stages=True,
        epoch_choice="last",
        folds=1,
        trials=0,
        validation_fraction=0.5,
        plateau_patience=1,
        lr_decay=PerDataset(0.1),
        max_epochs=7,
    )
    # Best in epochs 1 and 6; epochs 2 and 3 are two without a better one.
    scripted(monkeypatch, [1, 5, 4, 3, 5, 6, 9, 1])
    trained = _train(replace(job, stage="schedule"), tiny_images)
    rates = [step.rates[0] for step in steps[::2]]
    assert rates == pytest.approx([0.2, 0.2, 0.2, 0.02, 0.02, 0.02, 0.02])
    assert trained.best_epoch == 6
    steps.clear()
    stage_2 = _train(
        replace(job, stage="final", recorded=Recorded(steps=(3,), epochs=6)), tiny_images, validation=False
    )
    assert [step.rates[0] for step in steps] == pytest.approx([0.2] * 6 + [0.02] * 6)
    assert (stage_2.history, stage_2.best_epoch, stage_2.best_score) == ((), None, None)


def test_in_the_warm_up_the_trunk_stands_still_and_then_begins_without_memory(
    job: FoldJob, tiny_images: ImageSet, steps: list[Step]
) -> None:
    _train(_with(job, optimizer="adam", warm_up=1, max_epochs=2), tiny_images)
    for number, step in enumerate(steps):
        for name, before in step.before.items():
            still = torch.equal(before, step.after[name])
            assert still is (number < 2 and name.startswith("trunk.")), (number, name)
        assert all(gradient.abs().max() > 0 for name, gradient in step.gradients.items() if name.endswith("weight"))
    assert [step.steps_of_trunk for step in steps] == [1, 2, 1, 2]


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_first_steps_of_adam_by_hand(name: str, job: FoldJob, tiny_images: ImageSet, steps: list[Step]) -> None:
    decay, eps, rate = 0.01, 1.0, 0.2
    job = _with(job, optimizer=name, weight_decay=decay, optimizer_eps=eps, max_epochs=1)
    _train(job, tiny_images)
    first = second = torch.zeros(())
    for number, step in enumerate(steps, start=1):
        weight, gradient = step.before["head.weight"], step.gradients["head.weight"]
        if name == "adam":  # decay is part of the gradient
            gradient = gradient + decay * weight
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        moved = rate * first / (1 - 0.9**number) / ((second / (1 - 0.999**number)).sqrt() + eps)
        shrunk = weight * (1 - rate * decay) if name == "adamw" else weight
        torch.testing.assert_close(step.after["head.weight"], shrunk - moved)


def test_the_first_step_of_rmsprop_by_hand(job: FoldJob, tiny_images: ImageSet, steps: list[Step]) -> None:
    _train(_with(job, optimizer_eps=0.5, max_epochs=1), tiny_images)
    weight, gradient = steps[0].before["head.weight"], steps[0].gradients["head.weight"]
    gradient = gradient + 1e-4 * weight
    expected = weight - 0.2 * gradient / ((0.01 * gradient**2).sqrt() + 0.5)
    torch.testing.assert_close(steps[0].after["head.weight"], expected)


class _Steep(Proxies):
    def forward(self, embeddings: Tensor, labels: Tensor, indices: object = None) -> Tensor:
        return 1e4 * super().forward(embeddings, labels, indices)


def test_gradients_of_the_model_are_clipped_and_those_of_the_loss_are_not(
    job: FoldJob, tiny_images: ImageSet, steps: list[Step]
) -> None:
    def build(num_classes: int, embedding_size: int) -> nn.Module:
        return _Steep(num_classes, embedding_size)

    spec = replace(proxy_spec([]), build=build)
    _train(_with(job, lr=1e-6, max_epochs=1, clip_gradients=10.0), tiny_images, spec)
    clipped, largest_of_loss = steps[0].gradients, steps[0].gradients["proxies"].abs().max()
    assert largest_of_loss > 10
    assert max(gradient.abs().max() for name, gradient in clipped.items() if name != "proxies") == 10
    steps.clear()
    _train(_with(job, lr=1e-6, max_epochs=1), tiny_images, spec)
    unclipped = steps[0].gradients
    assert max(gradient.abs().max() for gradient in unclipped.values()) > 10


def test_a_rate_among_the_parameters_goes_before_the_protocol_s(
    job: FoldJob, tiny_images: ImageSet, steps: list[Step]
) -> None:
    job = _with(job, max_epochs=1)
    _train(replace(job, params={"loss_lr": 0.03125}), tiny_images)
    assert {step.rates for step in steps} == {(0.2, 0.2, 0.03125)}


def test_numbers_per_dataset_are_those_of_the_job_s(job: FoldJob, tiny_images: ImageSet, steps: list[Step]) -> None:
    changes = {
        "lr": PerDataset(0.2, (("tiny", 0.3),)),
        "loss_lr": PerDataset(0.4, (("tiny", 0.5),)),
        "max_epochs": PerDataset(9, (("tiny", 1),)),
        "batch_size": PerDataset(32, (("tiny", 12),)),
        "iterations_per_epoch": 0,
    }
    _train(_with(job, **changes), tiny_images)
    assert [step.rates for step in steps] == [(0.3, 0.3, 0.5)] * math.floor(len(TRAIN) / 12)
