"""NT-Xent: every positive pair against the anchor's negatives, as a softmax with a temperature.

    L = mean over positive pairs (a, p) of -log[ e^{cos_ap/T} / (e^{cos_ap/T} + sum over n of e^{cos_an/T}) + 1e-20 ]

K. Sohn, NIPS 2016; T. Chen, S. Kornblith, M. Norouzi, G. Hinton: A Simple Framework for Contrastive Learning of Visual
Representations, ICML 2020, equation (1), with labels. The 1e-20 is the Reality Check's (PML 0.9.88): a pair whose
probability is below it has no gradient. PML 2.9 adds 1e-38 instead, which at the small temperatures of the published
optima is another loss; so the pairs' term is written anew here, in log space.
"""

import math
from typing import Any

import torch
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import NTXentLoss
from torch import Tensor, inf, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec

FLOOR = math.log(1e-20)


class NTXent(FullPrecision, NTXentLoss):
    """PML's `NTXentLoss` in full precision, with the floor of the study under its probabilities."""

    def _compute_loss(
        self, pos_pairs: Tensor, neg_pairs: Tensor, indices_tuple: tuple[Tensor, Tensor, Tensor, Tensor]
    ) -> dict[str, Any]:
        anchors, positives, negative_anchors, _ = indices_tuple
        if len(anchors) == 0 or len(negative_anchors) == 0:
            zero: dict[str, Any] = self.zero_losses()
            return zero
        own = negative_anchors.unsqueeze(0) == anchors.unsqueeze(1)  # (positive pairs, negative pairs)
        positive = pos_pairs / self.temperature
        negatives = (neg_pairs / self.temperature).expand(own.shape).masked_fill(~own, -inf).logsumexp(dim=1)
        probability = positive - torch.logaddexp(positive, negatives)
        losses = -torch.logaddexp(probability, torch.full_like(probability, FLOOR))
        return {"loss": {"losses": losses, "indices": (anchors, positives), "reduction_type": "pos_pair"}}


def _build(num_classes: int, embedding_size: int, *, temperature: float) -> nn.Module:
    del num_classes, embedding_size
    return NTXent(temperature=temperature)


SPEC = LossSpec(
    name="ntxent",
    title="NT-Xent",
    source="Sohn, NIPS 2016; Chen et al., ICML 2020; as in arXiv 2003.08505",
    space={"temperature": FloatDistribution(1e-5, 100, log=True)},
    build=_build,
    batch="pairs",
    published={
        "cub200": {"temperature": 0.009103293472234443},
        "cars196": {"temperature": 0.021926078981238835},
        "sop": {"temperature": 0.00024011856920638322},
    },
    under={
        "reality_check_batch_256": {"cub200": {"temperature": 0.04153385922331847}},
    },
    recommended={"temperature": 0.1},  # SimCLR's on ImageNet, by its code's README (on CIFAR-10 0.5)
    note="Space and published optima of the Reality Check; the lower bound is the widest, that of Cars and SOP (1e-4 "
    "on CUB, 1e-2 before it was widened).",
)
