"""Tuplet margin loss with the intra-pair variance loss, the pairing in which its paper proposes the latter.

    L = tuplet margin + weight ( mean over positive pairs of [(1 - eps) E+ - cos_ij]_+^2
                               + mean over negative pairs of [cos_ij - (1 + eps) E-]_+^2 )

E+ and E- are the mean cosines of the batch's positive and negative pairs; the first term is
`mlrc.losses.tuplet_margin`. B. Yu, D. Tao: Deep Metric Learning with Tuplet Margin Loss, ICCV 2019.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import IntraPairVarianceLoss, MultipleLosses
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec
from mlrc.losses.tuplet_margin import SPEC as TUPLET_MARGIN
from mlrc.losses.tuplet_margin import TupletMargin


class IntraPairVariance(FullPrecision, IntraPairVarianceLoss):
    """PML's `IntraPairVarianceLoss`, in full precision."""


def _build(
    num_classes: int, embedding_size: int, *, margin: float, scale: float, eps: float, weight: float
) -> nn.Module:
    del num_classes, embedding_size
    tuplet, variance = TupletMargin(margin=margin, scale=scale), IntraPairVariance(pos_eps=eps, neg_eps=eps)
    together: nn.Module = MultipleLosses([tuplet, variance], weights=[1, weight])
    return together


SPEC = LossSpec(
    name="intra_pair_variance",
    title="Tuplet Margin + IPV",
    source="Yu, Tao, ICCV 2019",
    space={**TUPLET_MARGIN.space, "eps": FloatDistribution(0, 0.2), "weight": FloatDistribution(0, 2)},
    build=_build,
    batch="pairs",
    note="Ranges are ours, around the paper's 5.7 degrees, scale 64, eps 0.01 and weight 0.5.",
)
