"""Histogram loss: the probability that a negative pair is more similar than a positive one, from two histograms.

    L = sum over bins r of h_r- sum over bins q <= r of h_q+

h+ and h- are the histograms of the cosines of the batch's positive and negative pairs on [-1, 1]; each cosine is shared
linearly between the two nearest nodes.
E. Ustinova, V. Lempitsky: Learning Deep Embeddings with Histogram Loss, NIPS 2016. PML 2.9 runs over the last node
where a cosine is 1.
"""

from typing import Any

import torch
from optuna.distributions import IntDistribution
from pytorch_metric_learning.losses import HistogramLoss
from pytorch_metric_learning.utils import common_functions as c_f
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class Histogram(FullPrecision, HistogramLoss):
    """PML's `HistogramLoss` in full precision, of all pairs of the batch; it takes no miner."""

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """Give PML's loss dictionary."""
        c_f.labels_required(labels)
        c_f.indices_tuple_not_supported(indices_tuple)
        c_f.ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        once = torch.ones(len(labels), len(labels), dtype=torch.bool, device=labels.device).triu(1)
        same = labels.unsqueeze(1) == labels
        cosines = self.distance(embeddings)
        positive, negative = cosines[same & once], cosines[~same & once]
        if len(positive) == 0 or len(negative) == 0:
            zero: dict[str, Any] = self.zero_losses()
            return zero
        reversals = (self.compute_density(negative) * self.compute_density(positive).cumsum(0)).sum()
        return {"loss": {"losses": reversals, "indices": None, "reduction_type": "already_reduced"}}

    def compute_density(self, distances: Tensor) -> Tensor:
        """Give the histogram of cosines `(pairs,)` over the nodes, of sum 1."""
        bins = round(2 / self.delta)
        place = (distances.clamp(-1, 1) + 1) / self.delta
        lower = place.detach().floor().long().clamp(max=bins - 1)
        share = place - lower
        nodes = distances.new_zeros(bins + 1)
        return nodes.scatter_add(0, lower, 1 - share).scatter_add(0, lower + 1, share) / len(distances)


def _build(num_classes: int, embedding_size: int, *, n_bins: int) -> nn.Module:
    del num_classes, embedding_size
    return Histogram(n_bins=n_bins)


SPEC = LossSpec(
    name="histogram",
    title="Histogram",
    source="Ustinova, Lempitsky, NIPS 2016",
    space={"n_bins": IntDistribution(10, 500, log=True)},
    build=_build,
    batch="pairs",
    note="The range is ours, around the paper's 100 to 200.",
)
