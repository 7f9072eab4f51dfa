"""Multi-similarity loss with the threshold-consistent margin, which gives all classes one scale of similarity.

    L = MS + weight ( mean over positive pairs with cos_ij <= margin_plus  of (margin_plus - cos_ij)
                    + mean over negative pairs with cos_ij >= margin_minus of (cos_ij - margin_minus) )

The margin regularises a loss of one's choice: here `mlrc.losses.multi_similarity`.
Q. Zhang, L. Xu, Q. Tang, J. Fang, Y. N. Wu, J. Tighe, Y. Xing: Threshold-Consistent Margin Loss for Open-World Deep
Metric Learning, ICLR 2024, arXiv 2307.04047.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import MultipleLosses, ThresholdConsistentMarginLoss
from torch import nn

from mlrc.losses.multi_similarity import SPEC as MULTI_SIMILARITY
from mlrc.losses.multi_similarity import MultiSimilarity
from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class ThresholdConsistentMargin(FullPrecision, ThresholdConsistentMarginLoss):
    """PML's `ThresholdConsistentMarginLoss`, in full precision."""


def _build(
    num_classes: int,
    embedding_size: int,
    *,
    alpha: float,
    beta: float,
    base: float,
    weight: float,
    margin_plus: float,
    margin_minus: float,
) -> nn.Module:
    del num_classes, embedding_size
    similarity = MultiSimilarity(alpha=alpha, beta=beta, base=base)
    consistency = ThresholdConsistentMargin(margin_plus=margin_plus, margin_minus=margin_minus)
    together: nn.Module = MultipleLosses([similarity, consistency], weights=[1, weight])
    return together


SPEC = LossSpec(
    name="threshold_consistent_margin",
    title="MS + TCM",
    source="arXiv 2307.04047",
    space={
        **MULTI_SIMILARITY.space,
        "weight": FloatDistribution(0, 2),
        "margin_plus": FloatDistribution(0.5, 1),
        "margin_minus": FloatDistribution(0, 0.9),
    },
    build=_build,
    batch="pairs",
    note="MS has the Reality Check's ranges; those of the margin are ours, around PML's weight 1, margins 0.9 and 0.5.",
)
