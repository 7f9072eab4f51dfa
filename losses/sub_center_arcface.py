"""Sub-centre ArcFace: ArcFace with several weights per class, of which the nearest to the image counts.

The loss of `mlrc.losses.arcface` with cos(theta_c) = max over k of cos(x, w_ck), k = 1..3.
J. Deng, J. Guo, T. Liu, M. Gong, S. Zafeiriou: Sub-center ArcFace: Boosting Face Recognition by Large-scale Noisy Web
Faces, ECCV 2020.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import SubCenterArcFaceLoss
from torch import nn

from mlrc.losses.arcface import ArcFace
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class SubCenterArcFace(ArcFace, SubCenterArcFaceLoss):
    """PML's `SubCenterArcFaceLoss`, with the target's term of `ArcFace`."""


def _build(num_classes: int, embedding_size: int, *, margin: float, scale: float) -> nn.Module:
    return SubCenterArcFace(
        num_classes=num_classes, embedding_size=embedding_size, margin=margin, scale=scale, sub_centers=3
    )


SPEC = LossSpec(
    name="sub_center_arcface",
    title="Sub-center ArcFace",
    source="Deng et al., ECCV 2020",
    space={LOSS_LR: LOSS_LR_RANGE, "margin": FloatDistribution(0, 90), "scale": FloatDistribution(0.01, 300)},
    build=_build,
    batch="classes",
    note="Three centres per class, the paper's number; the ranges are the Reality Check's of ArcFace.",
)
