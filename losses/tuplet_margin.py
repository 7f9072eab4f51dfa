"""Tuplet margin loss: every positive pair against all negatives of its anchor, its angle slackened by a margin.

    L = mean over positive pairs (a, p) of log(1 + sum over n of e^{scale (cos theta_an - cos(theta_ap - margin))})

the margin in degrees. B. Yu, D. Tao: Deep Metric Learning with Tuplet Margin Loss, ICCV 2019. PML 2.9 is
NaN where two images of a class coincide, since the angle has no gradient there; the cosine is kept below 1 here.
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import TupletMarginLoss
from torch import Tensor, nn

from mlrc.losses.arcface import short_of_one
from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class TupletMargin(FullPrecision, TupletMarginLoss):
    """PML's `TupletMarginLoss` in full precision, with a gradient at every angle."""

    def _compute_loss(self, pos_pairs: Tensor | list[Any], neg_pairs: Tensor, indices_tuple: Any) -> dict[str, Any]:
        bounded = short_of_one(pos_pairs) if isinstance(pos_pairs, Tensor) else pos_pairs
        loss_dict: dict[str, Any] = super()._compute_loss(bounded, neg_pairs, indices_tuple)
        return loss_dict


def _build(num_classes: int, embedding_size: int, *, margin: float, scale: float) -> nn.Module:
    del num_classes, embedding_size
    return TupletMargin(margin=margin, scale=scale)


SPEC = LossSpec(
    name="tuplet_margin",
    title="Tuplet Margin",
    source="Yu, Tao, ICCV 2019",
    space={"margin": FloatDistribution(0, 30), "scale": FloatDistribution(1, 200)},
    build=_build,
    batch="pairs",
    note="Ranges are ours, around the paper's 5.7 degrees and scale 64.",
)
