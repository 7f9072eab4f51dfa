"""ArcFace: normalised softmax whose target has to win by a margin of the angle.

    L = mean over i of -log[ e^{s cos(theta_y + m)} / (e^{s cos(theta_y + m)} + sum over c != y of e^{s cos theta_c}) ]

theta_c is the angle of the image to the weight of class c; m is given in degrees.
J. Deng, J. Guo, N. Xue, S. Zafeiriou: ArcFace, CVPR 2019, equation (3), which the Reality Check ran as it stands.
PML 2.9 goes on differently where theta + m exceeds 180 degrees, and before torch 2.15 its gradient is NaN where an
image coincides with its class's weight; so the target's term is written anew here.
"""

import math

import torch
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import ArcFaceLoss
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class ArcFace(FullPrecision, ArcFaceLoss):
    """PML's `ArcFaceLoss` in full precision, with the paper's cos(theta + m) at every angle."""

    def modify_cosine_of_target_classes(self, cosine_of_target_classes: Tensor) -> Tensor:
        """Turn cos(theta) into cos(theta + m), by the addition theorem."""
        cosine = short_of_one(cosine_of_target_classes)
        return cosine * math.cos(self.margin) - (1 - cosine**2).sqrt() * math.sin(self.margin)


def short_of_one(cosines: Tensor) -> Tensor:
    """Clamp cosines to where their angle has a gradient: to 1 - 1e-7 in float32, as the study did."""
    furthest = 1 - torch.finfo(cosines.dtype).eps
    return cosines.clamp(-furthest, furthest)


def _build(num_classes: int, embedding_size: int, *, margin: float, scale: float) -> nn.Module:
    return ArcFace(num_classes, embedding_size, margin=margin, scale=scale)


SPEC = LossSpec(
    name="arcface",
    title="ArcFace",
    source="Deng et al., CVPR 2019, eq. 3; as in arXiv 2003.08505",
    space={LOSS_LR: LOSS_LR_RANGE, "margin": FloatDistribution(0, 90), "scale": FloatDistribution(0.01, 300)},
    build=_build,
    batch="classes",
    published={
        "cub200": {LOSS_LR: 0.0051384088179694, "margin": 23.225935497468093, "scale": 99.99999999999999},
        "cars196": {LOSS_LR: 7.398518179078544e-06, "margin": 20.52230893710211, "scale": 49.501652066223656},
        "sop": {LOSS_LR: 0.0020186601854510562, "margin": 18.63185573324141, "scale": 220.36285192573413},
    },
    under={
        "reality_check_batch_256": {
            "cub200": {LOSS_LR: 0.039577693613117096, "margin": 23.148015731563405, "scale": 78.86617186973587}
        },
    },
    recommended={"margin": 28.6, "scale": 64.0},  # 0.5 radians and 64: the paper's, by PML's documentation
    note="Space and published optima of the Reality Check; scale's upper bound is the widest, that of SOP (200 on CUB "
    "and Cars, 100 before it was widened).",
)
