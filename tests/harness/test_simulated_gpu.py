"""The simulated GPU itself: it refuses what a GPU refuses, computes what a processor does, and counts."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from tests.harness.simulated_gpu import DEVICE, SimulatedGPU

BOTH = Counter({"copies to the host": 1, "waits": 1})
THERE_AND_WAIT = Counter({"copies to the device": 1, "waits": 1})


@pytest.fixture
def gpu() -> Iterator[SimulatedGPU]:
    gpu = SimulatedGPU()
    with gpu.at_work():
        yield gpu


@pytest.mark.parametrize(
    "mix",
    [
        lambda there, here: there + here,
        lambda there, here: here @ there,
        lambda there, here: torch.cat([there, here]),
        lambda there, here: here[there.long()],
        lambda there, here: there.index_select(0, here[0].long()),
        lambda there, here: torch.where(there > 0, here, there),
        lambda there, here: there.add_(here),
    ],
)
def test_tensors_of_both_sides_in_one_operation_are_refused(
    gpu: SimulatedGPU, mix: Callable[[Tensor, Tensor], Tensor]
) -> None:
    with pytest.raises(RuntimeError, match="found cuda:0 and cpu"):
        mix(torch.ones(2, 2, device=DEVICE), torch.ones(2, 2))


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda there: there * 2 + torch.tensor(1.0), Counter()),
        (lambda there: torch.zeros(3, device=there.device) + there[0], Counter()),
        (lambda there: there.clone().to(there.device).sum(), Counter()),
        (lambda there: there.sum().item(), BOTH),
        (lambda there: float(there.sum()), BOTH),
        (lambda there: bool(there.any()), BOTH),
        (lambda there: there.cpu(), BOTH),
        (lambda there: there.to("cpu"), BOTH),
        (lambda there: there.tolist(), BOTH),
        (lambda there: there.nonzero(), BOTH),
        (lambda there: torch.where(there > 0), BOTH),
        (lambda there: there[there > 0], BOTH),
        (lambda there: there.masked_select(there > 0), BOTH),
        (torch.unique, BOTH),
        (lambda there: there[torch.tensor([0, 2])], THERE_AND_WAIT),
        (lambda there: torch.ones(3).to(there.device), THERE_AND_WAIT),
        (lambda there: torch.ones(3).to("cuda:0", non_blocking=True), Counter({"copies to the device": 1})),
        (lambda there: torch.tensor([1.0], device=there.device), THERE_AND_WAIT),
        (lambda there: there.new_tensor([1.0]), THERE_AND_WAIT),
        (lambda there: there.copy_(torch.ones(3, 3)), THERE_AND_WAIT),
        (lambda there: torch.ones(3, 3).copy_(there), BOTH),
        (lambda there: there.clone().masked_fill_(there > 0, 0), Counter()),
    ],
)
def test_copies_and_waits_are_counted(
    gpu: SimulatedGPU, use: Callable[[Tensor], object], expected: Counter[str]
) -> None:
    there = torch.eye(3, device=DEVICE)
    gpu.take()
    use(there)
    assert gpu.take() == expected
    assert gpu.take() == Counter()


def test_what_is_computed_there_is_what_a_processor_computes(gpu: SimulatedGPU) -> None:
    def step(device: torch.device) -> tuple[torch.device, list[Tensor]]:
        torch.manual_seed(0)
        layer = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten()).to(device)
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
        found: Tensor = layer(torch.arange(50.0).reshape(2, 1, 5, 5).to(device)).square().mean()
        found.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return found.device, [one.detach().cpu() for one in (found, *layer.state_dict().values())]

    (there, found), (here, expected) = step(DEVICE), step(torch.device("cpu"))
    assert (there, here) == (DEVICE, torch.device("cpu"))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_threads_know_the_device_and_share_the_counts(gpu: SimulatedGPU) -> None:
    with gpu.threads(2) as pool:
        sums = [pool.submit(lambda: torch.ones(2).to(DEVICE).sum()) for _ in range(4)]
        assert [one.result().item() for one in sums] == [2.0] * 4
    assert gpu.take() == Counter({"copies to the device": 4, "copies to the host": 4, "waits": 8})
