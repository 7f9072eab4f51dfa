"""SphereFace: large-margin softmax with weights of length one.

    L = mean over i of -log[ e^{|x| psi(theta_y)} / (e^{|x| psi(theta_y)} + sum over c != y of e^{|x| cos theta_c}) ]
    psi(theta) = (-1)^k cos(m theta) - 2k  for theta in [k pi/m, (k + 1) pi/m]

W. Liu, Y. Wen, Z. Yu, M. Li, B. Raj, L. Song: SphereFace, CVPR 2017.
"""

from optuna.distributions import IntDistribution
from pytorch_metric_learning.losses import SphereFaceLoss
from torch import nn

from mlrc.losses.large_margin_softmax import LargeMarginSoftmax
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class SphereFace(LargeMarginSoftmax, SphereFaceLoss):
    """PML's `SphereFaceLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, margin: int) -> nn.Module:
    return SphereFace(num_classes, embedding_size, margin=margin)


SPEC = LossSpec(
    name="sphereface",
    title="SphereFace",
    source="Liu et al., CVPR 2017",
    space={
        LOSS_LR: LOSS_LR_RANGE,
        "margin": IntDistribution(1, 4),
    },
    build=_build,
    batch="classes",
    note="The margins are those of the paper.",
)
