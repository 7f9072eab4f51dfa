"""The network as a graph: a capture stands in for CUDA's that warms up and reuses its memory as that one does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlrc.harness.engine.perform import record_of
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.machine.environment import current
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import model as models
from mlrc.harness.training.checkpoint import Checkpoint
from mlrc.harness.training.fold import StoppedError, Subset, Trained, train_fold
from mlrc.harness.training.graphs import Capture, Network, launched
from mlrc.protocols.protocol import PerDataset
from mlrc.protocols.quick import QUICK
from tests.harness.conftest import any_params

CPU = torch.device("cpu")
GRAPH = QUICK.vary({"step": "graph"})


def like_cuda(network: nn.Module, batch: Tensor) -> Network:
    """Replay both passes in memory that is always the same, after three to warm up, as `make_graphed_callables`."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    for _ in range(3):
        torch.autograd.grad(network(batch).sum(), weights)
    given, kept = batch.clone(), network(batch).detach()
    gradients = [torch.empty_like(weight) for weight in weights]
    passed: list[Tensor] = []

    class Graphed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, images: Tensor, *_: Tensor) -> Any:
            with torch.enable_grad():
                passed[:] = [network(given.copy_(images))]
            kept.copy_(passed[0].detach())
            return kept.detach()

        @staticmethod
        def backward(ctx: Any, *incoming: Tensor) -> Any:
            for place, one in zip(gradients, torch.autograd.grad(passed[0], weights, incoming[0]), strict=True):
                place.copy_(one)
            return None, *(place.detach() for place in gradients)

    return lambda images: Graphed.apply(images, *weights)


def _trained(
    job: FoldJob,
    images: ImageSet,
    loss: str,
    capture: Capture | None,
    *,
    checkpoint: Path | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Trained, dict[str, Tensor]]:
    protocol = job.protocol.vary(
        {"step": "graph", "iterations_per_epoch": 3, "max_epochs": 2, "validation_interval": PerDataset(1)}
    )
    job = replace(job, protocol=protocol, loss=loss, params=any_params(loss))
    model = models.build(protocol, seed=1)
    torch.manual_seed(3)
    trained = train_fold(
        job,
        LOSSES.find(loss),
        model,
        Subset(images.pixels, images.labels, np.arange(36)),
        Subset(images.pixels, images.labels, np.arange(36, 48)),
        device=CPU,
        on_validation=lambda *_: None,
        checkpoint=Checkpoint(checkpoint, origin=""),
        stop=stop,
        capture=capture,
    )
    return trained, model.state_dict()


@pytest.mark.parametrize("loss", ["contrastive", "multi_similarity_miner", "multi_proxy_anchor"])
def test_a_training_by_graphs_gives_the_bits_of_an_eager_one(job: FoldJob, tiny_images: ImageSet, loss: str) -> None:
    (eager, expected), (graph, found) = (_trained(job, tiny_images, loss, capture) for capture in (None, like_cuda))
    assert graph.step == "graph"
    assert eager.step == "eager: the network cannot be captured as a graph, since there are no CUDA graphs on cpu"
    assert graph.history == eager.history
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_it_does_so_if_it_was_stopped_and_captured_again(job: FoldJob, tiny_images: ImageSet, tmp_path: Path) -> None:
    whole, expected = _trained(job, tiny_images, "multi_proxy_anchor", like_cuda)
    asked = iter([False] * 4 + [True])
    with pytest.raises(StoppedError):
        _trained(
            job, tiny_images, "multi_proxy_anchor", like_cuda, checkpoint=tmp_path / "one", stop=lambda: next(asked)
        )
    gone_on, found = _trained(job, tiny_images, "multi_proxy_anchor", like_cuda, checkpoint=tmp_path / "one")
    assert gone_on.history == whole.history
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("changes", [{}, {"precision": "bfloat16", "channels_last": True}, {"frozen_batch_norm": True}])
def test_a_capture_leaves_statistics_and_generators_as_they_were(changes: dict[str, object]) -> None:
    protocol = GRAPH.vary(changes)
    model = models.build(protocol, seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    launch = launched(model, protocol, "glyphs", CPU, like_cuda)
    assert launch.told == "graph"
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(weight.grad is None for weight in model.parameters())


def test_embeddings_that_a_loss_keeps_are_not_written_over_by_the_next_step() -> None:
    model = models.build(GRAPH, seed=0)
    network, _ = launched(model, GRAPH, "glyphs", CPU, like_cuda)
    shape = (32, 1, GRAPH.crop, GRAPH.crop)
    first = network(torch.zeros(shape)).detach()
    kept = first.clone()
    network(torch.rand(shape))
    assert torch.equal(first, kept)


def _raises(network: nn.Module, batch: Tensor) -> Network:
    raise RuntimeError("operation not permitted when stream is capturing.\nMore of it")


def _off_by_little(network: nn.Module, batch: Tensor) -> Network:
    return lambda images: network(images) * 1.0000001


@pytest.mark.parametrize(
    ("capture", "why"),
    [
        (_raises, "the capture failed (operation not permitted when stream is capturing)"),
        (_off_by_little, "its replay gave other bits"),
        (None, "there are no CUDA graphs on cpu"),
    ],
)
def test_what_cannot_be_captured_runs_eager_and_says_why(
    capture: Capture | None, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    model = models.build(GRAPH, seed=0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    launch = launched(model, GRAPH, "glyphs", CPU, capture)
    assert launch.told == f"eager: the network cannot be captured as a graph, since {why}"
    assert capfd.readouterr().err == f"{launch.told}; the training goes on with the same numbers.\n"
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    images = torch.rand(32, 1, GRAPH.crop, GRAPH.crop)
    assert torch.equal(launch.network(images), models.forward(model, images, GRAPH, CPU))


def test_a_network_that_draws_random_numbers_is_not_captured() -> None:
    model = models.build(GRAPH, seed=0)
    model.head = nn.Sequential(nn.Dropout(0.5), model.head)
    generator = torch.get_rng_state()
    assert launched(model, GRAPH, "glyphs", CPU, like_cuda).told.endswith("since it draws random numbers")
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_record_says_how_the_network_was_launched_where_the_protocol_asks_for_a_graph(
    job: FoldJob, tmp_path: Path
) -> None:
    place = Workplace(roots={"glyphs": ("glyphs", tmp_path)}, device="cpu", environment=current(CPU))
    trained = Trained("done", None, (), None, None, step="graph")
    assert record_of(job, trained, place, 1.0).environment.settings == {"step": "graph"}
    assert record_of(job, trained._replace(step=""), place, 1.0).environment.settings == {}


def test_the_default_leaves_the_digest_alone() -> None:
    assert QUICK.step == "eager"
    assert QUICK.vary({"step": "eager"}).digest == QUICK.digest != GRAPH.digest
    assert GRAPH.name == "quick+step=graph"
