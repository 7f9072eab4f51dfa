"""Contrastive loss on the signal-to-noise distance, with a pull of every embedding towards zero mean.

    L = mean over active pairs [d(x_i, x_j) - pos_margin]_+  +  mean over active pairs [neg_margin - d(x_i, x_j)]_+
      + regularizer_weight  mean over i of |sum over dimensions of x_i|,      d(x, y) = var(x - y) / var(x)

of L2-normalised embeddings. T. Yuan, W. Deng, J. Tang, Y. Tang, B. Chen: Signal-to-Noise Ratio: A Robust Distance
Metric for Deep Metric Learning, CVPR 2019. The Reality Check (PML 0.9.88) regularised the normalised embeddings too;
PML 2.9 has no `regularizer_weight` and would regularise them as they are, so the regulariser normalises here.
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import SignalToNoiseRatioContrastiveLoss
from pytorch_metric_learning.regularizers import ZeroMeanRegularizer
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class SignalToNoiseContrastive(FullPrecision, SignalToNoiseRatioContrastiveLoss):
    """PML's `SignalToNoiseRatioContrastiveLoss`, in full precision."""


class NormalizedZeroMean(ZeroMeanRegularizer):
    """PML's `ZeroMeanRegularizer` of L2-normalised embeddings."""

    def compute_loss(self, embeddings: Tensor) -> dict[str, Any]:
        """Give |sum over dimensions| of every embedding, once normalised."""
        loss_dict: dict[str, Any] = super().compute_loss(nn.functional.normalize(embeddings))
        return loss_dict


def _build(
    num_classes: int, embedding_size: int, *, pos_margin: float, neg_margin: float, regularizer_weight: float
) -> nn.Module:
    del num_classes, embedding_size
    return SignalToNoiseContrastive(
        pos_margin=pos_margin,
        neg_margin=neg_margin,
        embedding_regularizer=NormalizedZeroMean(),
        embedding_reg_weight=regularizer_weight,
    )


SPEC = LossSpec(
    name="snr_contrastive",
    title="SNR Contrastive",
    source="Yuan et al., CVPR 2019; as in arXiv 2003.08505",
    space={
        "pos_margin": FloatDistribution(0, 2),
        "neg_margin": FloatDistribution(0, 2),
        "regularizer_weight": FloatDistribution(0, 1),
    },
    build=_build,
    batch="pairs",
    published={
        "cub200": {
            "pos_margin": 0.3264961701130519,
            "neg_margin": 0.844647202091156,
            "regularizer_weight": 0.13826002840338533,
        },
        "cars196": {
            "pos_margin": 0.16705097744495656,
            "neg_margin": 0.9337555876831508,
            "regularizer_weight": 2.3742497317464717e-16,
        },
        "sop": {
            "pos_margin": 0.3759348459680073,
            "neg_margin": 1.083163248707391,
            "regularizer_weight": 5.559067620937891e-18,
        },
    },
    under={
        "reality_check_batch_256": {
            "cub200": {
                "pos_margin": 0.11825107035256685,
                "neg_margin": 0.6822151282351671,
                "regularizer_weight": 0.47442474065768236,
            }
        },
    },
    note="Space and published optima of the Reality Check.",
)
