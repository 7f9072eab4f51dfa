"""Ranked list loss: positives within a ball around every image, negatives outside a larger one, hard ones weighed more.

    L = mean over i of (1 - 1/2) sum over p of w_ip [d_ip - (alpha - margin)]_+ / sum of w_ip
                     +      1/2  sum over n of w_in [alpha - d_in]_+           / sum of w_in
    w_ip = e^{positive_temperature (d_ip - alpha + margin)},  w_in = e^{negative_temperature (alpha - d_in)}

d is the Euclidean distance of L2-normalised embeddings. X. Wang, Y. Hua, E. Kodirov, G. Hu, R. Garnier,
N. M. Robertson: Ranked List Loss for Deep Metric Learning, CVPR 2019.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import RankedListLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class RankedList(FullPrecision, RankedListLoss):
    """PML's `RankedListLoss`, in full precision."""


def _build(
    num_classes: int,
    embedding_size: int,
    *,
    alpha: float,
    margin: float,
    negative_temperature: float,
    positive_temperature: float,
) -> nn.Module:
    del num_classes, embedding_size
    loss = RankedList(margin=margin, alpha=alpha, Tn=0)
    # PML warns of an overflow above 5, where the paper takes 10: set afterwards; e^{20 * 2} is far from it
    loss.Tn, loss.Tp = negative_temperature, positive_temperature
    return loss


SPEC = LossSpec(
    name="ranked_list",
    title="Ranked List",
    source="Wang et al., CVPR 2019",
    space={
        "alpha": FloatDistribution(0.4, 2),
        "margin": FloatDistribution(0, 1),
        "negative_temperature": FloatDistribution(0, 20),
        "positive_temperature": FloatDistribution(0, 20),
    },
    build=_build,
    batch="pairs",
    note="Ranges are ours, around the paper's alpha 1.2, margin 0.4 and temperatures 0 to 10.",
)
