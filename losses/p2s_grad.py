"""P2SGrad: the cosine to every class's weight drawn to its target of 1 or 0, so that gradients need no scale or margin.

    L = mean over i and classes c of (cos(x_i, w_c) - [c = y_i])^2

X. Zhang, R. Zhao, J. Yan, M. Gao, Y. Qiao, X. Wang, H. Li: P2SGrad: Refined Gradients for Optimizing Deep Face Models,
CVPR 2019, equation (11), as the loss with that gradient.
"""

from pytorch_metric_learning.losses import P2SGradLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class P2SGrad(FullPrecision, P2SGradLoss):
    """PML's `P2SGradLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int) -> nn.Module:
    return P2SGrad(embedding_size, num_classes)


SPEC = LossSpec(
    name="p2s_grad",
    title="P2SGrad",
    source="Zhang et al., CVPR 2019, eq. 11",
    space={LOSS_LR: LOSS_LR_RANGE},
    build=_build,
    batch="classes",
    note="It has no parameter but the learning rate of its weights.",
)
