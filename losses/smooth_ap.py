"""Smooth-AP: average precision of every image's ranking of the batch, its steps replaced by sigmoids.

    L = mean over i of 1 - 1/|P_i| sum over p in P_i of R(p, P_i) / R(p, B)
    R(p, S) = 1 + sum over j in S, j != p, of 1 / (1 + e^{-(cos_ij - cos_ip)/T})

P_i are the batch's images of i's class, itself included, as in the authors' code; B is the batch. i runs over images
that have another of their class. A. Brown, W. Xie, V. Kalogeiton, A. Zisserman: Smooth-AP: Smoothing the Path Towards
Large-Scale Image Retrieval, ECCV 2020. PML 2.9 wants the batch sorted by class and equally many images of
each, and groups it rightly only if there are as many classes as images of each.
"""

from typing import Any

import torch
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import SmoothAPLoss
from pytorch_metric_learning.utils import common_functions as c_f
from pytorch_metric_learning.utils import loss_and_miner_utils as lmu
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class SmoothAP(FullPrecision, SmoothAPLoss):
    """PML's `SmoothAPLoss` in full precision, for batches of any classes in any order."""

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """Give PML's loss dictionary: one element per image that has a positive."""
        c_f.labels_required(labels)
        c_f.ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        same = labels.unsqueeze(1) == labels
        queries = (same.sum(dim=1) > 1).nonzero().squeeze(1)
        if len(queries) == 0:
            zero: dict[str, Any] = self.zero_losses()
            return zero
        cosines, positives = self.distance(embeddings)[queries], same[queries]
        ahead = ((cosines.unsqueeze(1) - cosines.unsqueeze(2)) / self.temperature).sigmoid()  # [i, p, j]: j before p
        ahead = ahead * ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        precision = (1 + (ahead * positives.unsqueeze(1)).sum(dim=2)) / (1 + ahead.sum(dim=2))
        average_precision = (precision * positives).sum(dim=1) / positives.sum(dim=1)
        weights = lmu.convert_to_weights(indices_tuple, labels, dtype=embeddings.dtype)[queries]
        return {"loss": {"losses": (1 - average_precision) * weights, "indices": queries, "reduction_type": "element"}}


def _build(num_classes: int, embedding_size: int, *, temperature: float) -> nn.Module:
    del num_classes, embedding_size
    return SmoothAP(temperature=temperature)


SPEC = LossSpec(
    name="smooth_ap",
    title="Smooth-AP",
    source="Brown et al., ECCV 2020",
    space={"temperature": FloatDistribution(1e-3, 1, log=True)},
    build=_build,
    batch="pairs",
    note="The range is ours, around the paper's 0.01.",
)
