"""When learning rates fall: against PyTorch's schedulers, and by hand."""

import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlrc.harness.plan.schedule import Recorded, factor, falls, recorded
from mlrc.protocols.protocol import PerDataset
from mlrc.protocols.quick import QUICK
from mlrc.protocols.traditional_mean_field import TRADITIONAL_MEAN_FIELD
from mlrc.protocols.traditional_mpa import TRADITIONAL_MPA
from mlrc.protocols.traditional_proxy_nca_pp import TRADITIONAL_PROXY_NCA_PP

NO_WARM_UP = replace(TRADITIONAL_PROXY_NCA_PP, warm_up=0, max_epochs=40)


def _rates(scheduler: torch.optim.lr_scheduler.LRScheduler, epochs: int) -> list[float]:
    """Give the learning rate of each epoch under a scheduler of PyTorch, from 1."""
    rates = []
    for _ in range(epochs):
        rates.append(float(scheduler.optimizer.param_groups[0]["lr"]))
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def _optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(1, 5))
def test_a_plateau_is_that_of_pytorch(scores: list[int], patience: int) -> None:
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(_optimizer(), mode="max", patience=patience)
    fallen = []
    for epoch, score in enumerate(scores, start=1):
        scheduler.optimizer.param_groups[0]["lr"] = 1.0  # so that it never stops at its smallest
        scheduler.step(score)
        if scheduler.optimizer.param_groups[0]["lr"] < 1.0:
            fallen.append(epoch)
    protocol = replace(NO_WARM_UP, plateau_patience=patience)
    assert falls([(0, 99.0), *enumerate(map(float, scores), start=1)], protocol) == tuple(fallen)


def test_falls_by_hand() -> None:
    protocol = replace(NO_WARM_UP, plateau_patience=2, warm_up=1)
    # Epochs 0 and 1 count for nothing. 4 is best; 5, 6, 7 are three without a better one: it falls, and counts anew.
    history = [(0, 90.0), (1, 80.0), (2, 10.0), (3, 20.0), (4, 30.0), (5, 30.0), (6, 30.002), (7, 1.0), (8, 2.0)]
    assert falls(history, protocol) == (7,)
    # Better than the best by more than a ten-thousandth of it, so that nothing falls.
    assert falls([*history[:6], (6, 30.004), *history[7:]], protocol) == ()
    assert falls([*history, (9, 3.0), (10, 4.0)], protocol) == (7, 10)


def test_what_stage_1_tells_stage_2() -> None:
    protocol = replace(NO_WARM_UP, plateau_patience=1, warm_up=1)
    history = [(0, 99.0), (1, 98.0), (2, 10.0), (3, 9.0), (4, 8.0), (5, 50.0), (6, 50.0), (7, 3.0)]
    # The first of two equal best epochs; what fell after it is of no use to stage 2.
    assert recorded(history, protocol) == Recorded(steps=(4,), epochs=5)
    assert falls(history, protocol) == (4, 7)
    with pytest.raises(ValueError, match="set max_epochs above warm_up"):
        recorded(history[:2], protocol)


@given(st.integers(1, 30), st.sampled_from([0.1, 0.25, 0.5]))
def test_steps_are_those_of_pytorch(every: int, decay: float) -> None:
    protocol = QUICK.vary({"lr_step": PerDataset(0, (("sop", every),)), "lr_decay": PerDataset(decay)})
    expected = _rates(torch.optim.lr_scheduler.StepLR(_optimizer(), every, decay), 70)
    assert [factor(done, (), protocol, "sop") for done in range(70)] == pytest.approx(expected)
    assert {factor(done, (), protocol, "cub200") for done in range(70)} == {1.0}


def test_recorded_steps_are_those_of_pytorch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = _rates(torch.optim.lr_scheduler.MultiStepLR(_optimizer(), [7, 19], 0.1), 30)
    assert [factor(done, (7, 19), NO_WARM_UP, "cub200") for done in range(30)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("protocol", "dataset", "by_epoch"),
    [
        (TRADITIONAL_MPA, "cub200", {1: 1, 20: 1, 21: 0.5, 40: 0.5, 41: 0.25, 60: 0.25}),
        (TRADITIONAL_MPA, "sop", {20: 1, 21: 0.5, 81: 0.0625, 100: 0.0625}),
        (TRADITIONAL_MEAN_FIELD, "cub200", {10: 1, 11: 0.5, 21: 0.25, 60: 0.5**5}),
        (TRADITIONAL_MEAN_FIELD, "cars196", {20: 1, 21: 0.5, 60: 0.25}),
        (TRADITIONAL_MEAN_FIELD, "inshop", {20: 1, 21: 0.25, 60: 0.0625}),
        (TRADITIONAL_PROXY_NCA_PP, "cub200", {1: 1, 45: 1}),
        (QUICK, "glyphs", {1: 1, 16: 1}),
    ],
)
def test_the_steps_of_each_protocol(protocol: object, dataset: str, by_epoch: dict[int, float]) -> None:
    found = {epoch: factor(epoch - 1, (), protocol, dataset) for epoch in by_epoch}  # type: ignore[arg-type]
    assert found == pytest.approx(by_epoch)
