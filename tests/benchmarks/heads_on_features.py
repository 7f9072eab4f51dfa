"""Two corrections held against the papers' direction: linear heads on the features of a pretrained trunk.

    python -m tests.benchmarks.heads_on_features FOLDER WEIGHTS    # minutes on one core

FOLDER has one sub-folder of photographs per class; WEIGHTS are SqueezeNet 1.1's. The trunk is run once; each head
trains by the numbers of its traditional protocol (optimizer, rates, batches) for `EPOCHS` passes over the first half of
the classes and is tested on the second. Printed: R@1 and MAP@R of every variant over `REPEATS` seeds with 95 %
intervals, and the difference of each variant to the first, seed by seed.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.metrics.evaluate import evaluate
from mlrc.harness.plan.parameters import buildable, given
from mlrc.harness.plugins import LOSSES, PROTOCOLS
from mlrc.harness.training import model as models
from mlrc.harness.training.batches import drawn, iterations_per_epoch
from mlrc.harness.training.fold import Subset, embed
from mlrc.harness.training.optimization import Optimization
from mlrc.losses.spec import MinedLoss, Value
from mlrc.protocols.protocol import Protocol
from mlrc.results.statistics.intervals import half_width

EPOCHS, REPEATS, SIZE, DATASET = 12, 5, 128, "cub200"


class Features(NamedTuple):
    """Pooled features `(images, 512)` with their classes, of one half."""

    values: torch.Tensor
    labels: NDArray[np.int64]


class Head(nn.Module):
    """What of a protocol's network remains on features: LayerNorm where it has one, and the linear layer."""

    def __init__(self, features: int, protocol: Protocol) -> None:
        super().__init__()
        self.trunk = nn.Identity()
        self.norm = nn.LayerNorm(features, elementwise_affine=False) if protocol.layer_norm else nn.Identity()
        self.head = nn.Linear(features, SIZE)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Give embeddings `(n, SIZE)`."""
        embeddings: torch.Tensor = self.head(self.norm(features))
        return embeddings


def read_halves(folder: Path, weights: Path) -> tuple[Features, Features]:
    """Run the trunk over all images once; the first half of the classes trains, the second is tested."""
    images = open_dataset(f"folder:{folder}", folder)
    protocol = PROTOCOLS.find("reality_check_small").set(["resize=128", "crop=112"])
    network = models.build(protocol, seed=0, weights=weights)
    labels = images.labels
    everything = Subset(images.pixels, labels, np.arange(len(labels)))
    values = torch.from_numpy(embed(network, everything, protocol, torch.device("cpu"), features=True))
    first = labels < (labels.max() + 1) // 2
    return Features(values[first], labels[first]), Features(values[~first], labels[~first])


def score(
    protocol: Protocol, loss: str, chosen: Mapping[str, Value], seed: int, train: Features, test: Features
) -> tuple[float, float]:
    """Train one head and give its R@1 and MAP@R in percent."""
    spec = LOSSES.find(loss)
    params = given(spec, protocol, DATASET, chosen)
    spec = buildable(spec, protocol, DATASET, params)
    torch.manual_seed(seed)
    head = Head(train.values.shape[1], protocol)
    made = spec.make(num_classes=int(train.labels.max()) + 1, embedding_size=SIZE, params=params)
    loss_of, miner = made if isinstance(made, MinedLoss) else (made, None)
    moves = Optimization(
        protocol=protocol,
        dataset=DATASET,
        model=head,  # type: ignore[arg-type] # what it needs of a network is trunk and parameters
        loss=loss_of,
        spec=spec,
        params=params,
    )
    labels = torch.from_numpy(train.labels)
    iterations = iterations_per_epoch(len(labels), protocol, DATASET)
    feed = drawn(train.labels, protocol, DATASET, spec.batch, seed=seed)
    for iteration in range(EPOCHS * iterations):
        if not iteration % iterations:
            moves.begin_epoch(iteration // iterations, ())
        rows = torch.from_numpy(next(feed))
        embeddings = head(train.values[rows])
        moves.step(loss_of(embeddings, labels[rows], miner(embeddings, labels[rows]) if miner else None))
    with torch.inference_mode():
        found = evaluate(head.eval()(test.values).numpy(), test.labels, cuts=(1,)).metrics
    return found["R@1"], found["MAP@R"]


NCA, MEAN_FIELD = (
    PROTOCOLS.find("traditional_proxy_nca_pp").set(["warm_up=0"]),
    PROTOCOLS.find("traditional_mean_field"),
)
FAST = {"loss_lr": 400.0}
VARIANTS: Mapping[str, tuple[Protocol, str, Mapping[str, Value]]] = {
    "ProxyNCA++": (NCA, "proxy_nca_pp", {}),
    "-prob, proxies start at 1/8": (NCA, "proxy_nca_classic", {**FAST, "scale": 9.0, "proxy_std": 1 / 8}),
    "-prob, proxies start at 1 (before)": (NCA, "proxy_nca_classic", {**FAST, "scale": 9.0}),
    "-fast": (NCA, "proxy_nca_pp", {"loss_lr": 0.004}),
    "-scale": (NCA, "proxy_nca_pp", {"temperature": 1.0}),
    "ProxyAnchor, 0.01": (MEAN_FIELD, "proxy_anchor", {}),
    "ProxyAnchor, 0.2 (before)": (MEAN_FIELD, "proxy_anchor", {"loss_lr": 0.2}),
    "MFCont": (MEAN_FIELD, "mean_field_contrastive", {}),
    "MFCWMS": (MEAN_FIELD, "mean_field_classwise_multi_similarity", {}),
    "MS + miner": (MEAN_FIELD, "multi_similarity_miner", {}),
}


def told(values: list[float]) -> str:
    """Write mean and half width."""
    return f"{sum(values) / len(values):6.2f} ± {half_width(values) or 0:.2f}"


def main(folder: Path, weights: Path) -> None:
    """Print a line per variant, as soon as it is known."""
    torch.set_num_threads(1)
    train, test = read_halves(folder, weights)
    first: list[tuple[float, float]] = []
    for title, (protocol, loss, chosen) in VARIANTS.items():
        found = [score(protocol, loss, chosen, seed, train, test) for seed in range(REPEATS)]
        if title in ("ProxyNCA++", "ProxyAnchor, 0.01"):
            first = found
        apart = [told([one[k] - base[k] for one, base in zip(found, first, strict=True)]) for k in (0, 1)]
        r1, map_r = (told([one[k] for one in found]) for k in (0, 1))
        print(f"{title:36} R@1 {r1}   MAP@R {map_r}   to the first: {apart[0]}, {apart[1]}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
