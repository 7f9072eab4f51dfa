"""A training on a GPU that is simulated: every loss keeps to the device; how often the harness copies and waits.

Our own part of a step is counted with a loss that adds nothing to it. On an H200 torch's
profiler saw 11 copies to the device, 6 to the host and 15 waits with the contrastive loss (see the benchmarks).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlrc.harness.images import device as images_device
from mlrc.harness.images.dataset import ArrayPixels, ImageSet, Pixels
from mlrc.harness.images.device import ResidentPixels, on_device
from mlrc.harness.images.sending import aside
from mlrc.harness.images.transform import constant
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import fold as training
from mlrc.harness.training import model as models
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import Subset, Trained, train_fold
from mlrc.losses.spec import LossSpec
from tests.harness.conftest import any_params
from tests.harness.simulated_gpu import DEVICE, SimulatedGPU, SimulatedStream, simulate_streams

STEPS = 2
OURS = Counter({"copies to the device": 2})
"""Of one step, images kept on the device or sent: a batch is one copy, its labels are another, and nothing waits."""
MOST_OF_A_LOSS = Counter({"copies to the device": 8, "copies to the host": 16, "waits": 18})
"""Of what a loss and its miner add to a step; ranked list's waits are the most, the manifold loss's copies."""


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> SimulatedStream:
    """The stream of the trainings."""
    return simulate_streams(monkeypatch)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, stream: SimulatedStream) -> Iterator[SimulatedGPU]:
    gpu = SimulatedGPU()
    monkeypatch.setattr(images_device, "ThreadPoolExecutor", gpu.threads)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 2**30))
    constant.cache_clear()
    aside.cache_clear()
    with gpu.at_work():
        yield gpu
    constant.cache_clear()  # of tensors that were there
    aside.cache_clear()


class Silent(nn.Module):
    """A loss that copies nothing and waits for nothing, with parameters of its own."""

    def __init__(self, num_classes: int, embedding_size: int) -> None:
        super().__init__()
        self.proxies = nn.Parameter(torch.ones(num_classes, embedding_size))

    def forward(self, embeddings: Tensor, labels: Tensor, indices: object = None) -> Tensor:
        del indices
        return (embeddings - self.proxies.index_select(0, labels)).square().mean()


SILENT = replace(
    LOSSES.find("proxy_anchor"),
    name="silent",
    build=Silent,
    space={"loss_lr": LOSSES.find("proxy_anchor").space["loss_lr"]},
)


def _train(
    gpu: SimulatedGPU, job: FoldJob, images: ImageSet, spec: LossSpec, *, resident: bool, epochs: int = 2
) -> tuple[Trained, list[Counter[str]]]:
    """Train with a validation before and after, and give the counts of each step but an epoch's first."""
    protocol = job.protocol.vary({"iterations_per_epoch": STEPS, "max_epochs": epochs})
    job = replace(
        job,
        protocol=protocol,
        loss=spec.name,
        params={"loss_lr": 0.01} if spec.name == "silent" else any_params(spec.name),
    )
    array = ArrayPixels(np.stack([images.pixels[index] for index in range(len(images.pixels))]))
    pixels: Pixels = on_device(array, DEVICE) if resident else array
    assert isinstance(pixels, ResidentPixels) == resident
    counts: list[Counter[str]] = []

    def stop() -> bool:
        counts.append(gpu.take())
        return False

    train, validation = (Subset(pixels, images.labels, indices) for indices in (np.arange(36), np.arange(36, 48)))
    trained = train_fold(
        job,
        spec,
        models.build(protocol, seed=job.seed).to(DEVICE),
        train,
        validation,
        device=DEVICE,
        on_validation=lambda *_: None,
        checkpoint=Checkpoint(None, origin=""),
        stop=stop,
    )
    return trained, [step for number, step in enumerate(counts) if number % STEPS]


@pytest.fixture
def in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let batches be prepared when they are asked for, so that each is counted in its step."""
    monkeypatch.setattr(training, "FEEDERS", 0)


@pytest.mark.usefixtures("in_turn")
@pytest.mark.parametrize("resident", [True, False])
def test_our_part_of_a_step_is_two_copies_and_no_wait(
    gpu: SimulatedGPU, job: FoldJob, tiny_images: ImageSet, resident: bool
) -> None:
    trained, steps = _train(gpu, job, tiny_images, SILENT, resident=resident)
    assert trained.outcome == "done"
    assert steps
    assert all(step == OURS for step in steps), steps


@pytest.mark.usefixtures("in_turn")
@pytest.mark.parametrize("loss", LOSSES.names())
def test_every_loss_trains_and_is_validated_on_the_device(
    gpu: SimulatedGPU, job: FoldJob, tiny_images: ImageSet, loss: str
) -> None:
    trained, steps = _train(gpu, job, tiny_images, LOSSES.find(loss), resident=True, epochs=1)
    assert trained.outcome == "done", trained.message
    assert [epoch for epoch, _ in trained.history] == [0, 1]
    assert all(step - OURS <= MOST_OF_A_LOSS for step in steps), steps


def test_batches_that_threads_prepare_are_those_that_are_prepared_in_turn(
    gpu: SimulatedGPU, job: FoldJob, tiny_images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, _ = _train(gpu, job, tiny_images, SILENT, resident=False)
    monkeypatch.setattr(training, "FEEDERS", 0)
    in_turn, _ = _train(gpu, job, tiny_images, SILENT, resident=False)
    assert ahead.history == in_turn.history
    resident, _ = _train(gpu, job, tiny_images, SILENT, resident=True)
    assert resident.history == in_turn.history


def test_batches_are_prepared_on_a_stream_for_which_the_training_waits_on_the_device_alone(
    gpu: SimulatedGPU, stream: SimulatedStream, job: FoldJob, tiny_images: ImageSet
) -> None:
    trained, _ = _train(gpu, job, tiny_images, SILENT, resident=False)
    batches, embedded = 2 * STEPS, len(trained.history)  # the 12 validation images are one batch each time
    assert len(stream.waited) == batches + embedded
    assert len({id(event) for event in stream.waited}) == len(stream.waited)
    assert {id(event.of) for event in stream.waited} == {id(aside(DEVICE).stream)}
    assert id(aside(DEVICE).stream) != id(stream)
    assert len(stream.reads) == 2 * batches + embedded  # images and labels, and images alone


class LabelsElsewhere(Silent):
    """A loss that keeps a tensor on the processor, as a GPU does not forgive."""

    def forward(self, embeddings: Tensor, labels: Tensor, indices: object = None) -> Tensor:
        return super().forward(embeddings, labels) + (torch.ones(8) * embeddings).sum()


def test_a_loss_that_mixes_devices_fails(gpu: SimulatedGPU, job: FoldJob, tiny_images: ImageSet) -> None:
    with pytest.raises(RuntimeError, match="all tensors to be on the same device, but mul found cuda:0 and cpu"):
        _train(gpu, job, tiny_images, replace(SILENT, build=LabelsElsewhere), resident=True)
