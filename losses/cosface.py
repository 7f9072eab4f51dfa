"""CosFace: normalised softmax whose target has to win by a margin of the cosine.

    L = mean over i of -log[ e^{s (cos_y - m)} / (e^{s (cos_y - m)} + sum over c != y of e^{s cos_c}) ]

cos_c is the cosine of the image to the weight of class c.
H. Wang, Y. Wang, Z. Zhou, X. Ji, D. Gong, J. Zhou, Z. Li, W. Liu: CosFace, CVPR 2018, equation (4).
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import CosFaceLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class CosFace(FullPrecision, CosFaceLoss):
    """PML's `CosFaceLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, margin: float, scale: float) -> nn.Module:
    return CosFace(num_classes, embedding_size, margin=margin, scale=scale)


SPEC = LossSpec(
    name="cosface",
    title="CosFace",
    source="Wang et al., CVPR 2018, eq. 4; as in arXiv 2003.08505",
    space={LOSS_LR: LOSS_LR_RANGE, "margin": FloatDistribution(0, 1), "scale": FloatDistribution(0.01, 200)},
    build=_build,
    batch="classes",
    published={
        "cub200": {LOSS_LR: 0.002534656552818513, "margin": 0.6182274964043883, "scale": 100.0},
        "cars196": {LOSS_LR: 0.007412989546153142, "margin": 0.4324395938515616, "scale": 161.59659966544234},
        "sop": {LOSS_LR: 0.002160669660440832, "margin": 0.33641251795254073, "scale": 99.9999999999995},
    },
    under={
        "reality_check_batch_256": {
            "cub200": {LOSS_LR: 0.003998195661426562, "margin": 0.41446362660802355, "scale": 88.23371721804443}
        },
    },
    recommended={"margin": 0.35, "scale": 64.0},  # PML's, whose documentation has 0.25 to 0.45 and 64 as the paper's
    note="Space and published optima of the Reality Check; scale's upper bound is the widened one (100 before).",
)
