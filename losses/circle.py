"""Circle loss: similarities weighed by how far each is from its optimum, so that the boundary is a circle.

    L = mean over i of log(1 + sum over n of e^{g [cos_in + m]_+ (cos_in - m)}
                             * sum over p of e^{-g [1 + m - cos_ip]_+ (cos_ip - 1 + m)})

over the anchors that have positives p and negatives n; no gradient flows through the weights in brackets. PML's
default mean runs over the terms above 0 instead, and so over others in float32 than in float64.
Y. Sun, C. Cheng, Y. Zhang, C. Zhang, L. Zheng, Z. Wang, Y. Wei: Circle Loss, CVPR 2020, equation (6).
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import CircleLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class Circle(FullPrecision, CircleLoss):
    """PML's `CircleLoss`, in full precision, averaged over all anchors that have a positive and a negative."""

    def _compute_loss(self, mat: Tensor, pos_mask: Tensor, neg_mask: Tensor) -> dict[str, Any]:
        anchors = ((pos_mask.sum(dim=1) > 0) & (neg_mask.sum(dim=1) > 0)).nonzero().squeeze(1)
        if not len(anchors):
            zero: dict[str, Any] = self.zero_losses()
            return zero
        losses = super()._compute_loss(mat, pos_mask, neg_mask)["loss"]["losses"]
        return {"loss": {"losses": losses[anchors], "indices": anchors, "reduction_type": "element"}}

    def get_default_reducer(self) -> MeanReducer:
        """Average over all of them."""
        return MeanReducer()


def _build(num_classes: int, embedding_size: int, *, m: float, gamma: float) -> nn.Module:
    del num_classes, embedding_size
    return Circle(m=m, gamma=gamma)


SPEC = LossSpec(
    name="circle",
    title="Circle",
    source="Sun et al., CVPR 2020, eq. 6",
    space={
        "m": FloatDistribution(0, 1),
        "gamma": FloatDistribution(1, 512, log=True),
    },
    build=_build,
    batch="pairs",
    note="Ranges are ours, around the paper's m 0.25 to 0.4 and gamma 80 to 256.",
)
