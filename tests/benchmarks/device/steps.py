"""Time of a training step by precision, launch and memory format, with the harness's own network, loss and optimizer.

The batch lies on the device already. `graph` captures the forward and backward pass of the whole network as CUDA graphs
by `torch.cuda.make_graphed_callables`; loss, miner and optimizer stay as they are. `step=graph` is the harness's own
way to that, which is counted in `harness_steps`.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mlrc.harness.machine.determinism import deterministic_device
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training import model as models
from mlrc.harness.training.optimization import Optimization
from mlrc.protocols.protocol import Protocol
from tests.benchmarks.device.setting import (
    Measurement,
    Row,
    Setting,
    bn_inception,
    float32_products,
    milliseconds_of,
    resnet50,
)

LOSS, PARAMS = "contrastive", {"pos_margin": 0.0, "neg_margin": 0.5}
PRECISIONS = ("ieee", "tf32", "bfloat16")
"""True float32; float32 whose products are of TensorFloat-32; autocast to bfloat16, all else true float32."""
CHECKED = 3
"""Steps after which the weights of both launches are compared."""


class Autocast(nn.Module):
    """A network under autocast without its cache of cast weights, which a graph cannot have."""

    def __init__(self, network: nn.Module, device: torch.device, *, enabled: bool) -> None:
        super().__init__()
        self.network, self._kind, self._enabled = network, device.type, enabled

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(self._kind, dtype=torch.bfloat16, enabled=self._enabled, cache_enabled=False):
            embeddings: Tensor = self.network(images).float()
        return embeddings


class Training:
    """One network on its way, step by step over the same batch."""

    def __init__(self, setting: Setting, protocol: Protocol, batch: int, *, bfloat16: bool, graph: bool) -> None:
        torch.manual_seed(0)
        spec, classes = LOSSES.find(LOSS), batch // 4
        model = models.build(protocol, seed=0, dataset="cub200").to(setting.device)
        model.train()
        images = torch.randn((batch, 3, protocol.crop, protocol.crop)).to(setting.device)
        self._images = images.contiguous(memory_format=torch.channels_last) if protocol.channels_last else images
        self._labels = torch.arange(classes).repeat_interleave(4).to(setting.device)
        loss = spec.make(num_classes=classes, embedding_size=protocol.embedding_size, params=PARAMS)
        assert isinstance(loss, nn.Module)
        self._loss = loss.to(setting.device)
        self._optimization = Optimization(
            protocol=protocol, dataset="cub200", model=model, loss=self._loss, spec=spec, params=PARAMS
        )
        self.model = model
        network: Any = Autocast(model, setting.device, enabled=bfloat16)
        network.train()
        if graph:
            before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            network = torch.cuda.make_graphed_callables(network, (self._images,))
            model.load_state_dict(before)  # statistics that the warm-up moved
        self._network: Callable[[Tensor], Tensor] = network

    def step(self) -> None:
        """Do one training step."""
        self._optimization.step(self._loss(self._network(self._images), self._labels))


def measurements(setting: Setting) -> Iterator[Measurement]:
    """Give one measurement per combination, the two launches of a combination in one."""
    sizes = (8,) if setting.small else (32, 180)
    trunks = {"BN-Inception": bn_inception, "ResNet-50": resnet50}
    for (name, protocol_of), batch in itertools.product(trunks.items(), sizes):
        kinds = itertools.product(PRECISIONS, (False, True))
        for precision, channels_last in [("ieee", False), ("bfloat16", True)] if setting.small else kinds:
            protocol = protocol_of(setting).vary({"batch_size": batch, "channels_last": channels_last})
            form = "channels last" if channels_last else "contiguous"

            def measure(protocol: Protocol = protocol, batch: int = batch, precision: str = precision) -> Row:
                return compared(setting, protocol, batch, precision)

            yield f"{name}, batch {batch}, {precision}, {form}", measure


def compared(setting: Setting, protocol: Protocol, batch: int, precision: str) -> Row:
    """Time a step with either launch, and say whether both give the same weights; on a CPU there is one launch."""
    deterministic_device(str(setting.device))
    found: dict[str, object] = {}
    weights: list[list[Tensor]] = []
    bfloat16 = precision == "bfloat16"
    with float32_products("tf32" if precision == "tf32" else "ieee"):
        for graph in (False, True) if setting.device.type == "cuda" else (False,):
            name = "graph" if graph else "eager"
            if setting.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(setting.device)
            training = Training(setting, protocol, batch, bfloat16=bfloat16, graph=graph)
            for _ in range(CHECKED):
                training.step()
            weights.append([tensor.clone() for tensor in training.model.state_dict().values()])
            found[f"{name} ms"] = milliseconds_of(setting, training.step, most=0.0 if setting.small else 0.4)
            if setting.device.type == "cuda":
                found[f"{name} GiB"] = round(torch.cuda.max_memory_allocated(setting.device) / 2**30, 2)
            found["finite"] = all(bool(tensor.isfinite().all()) for tensor in weights[-1])
            del training
    if len(weights) == 2:
        found["graph gives the bits of eager"] = all(map(torch.equal, *weights))
    return found
