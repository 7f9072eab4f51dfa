"""Supervised contrastive loss: every image's positives among all others, as a softmax with a temperature.

    L = mean over i of -1/|P_i| sum over p in P_i of log[ e^{cos_ip/T} / sum over j != i of e^{cos_ij/T} ]

over images with positives P_i.
P. Khosla, P. Teterwak, C. Wang, A. Sarna, Y. Tian, P. Isola, A. Maschinot, C. Liu, D. Krishnan: Supervised Contrastive
Learning, NeurIPS 2020, equation (2).
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import SupConLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class SupCon(FullPrecision, SupConLoss):
    """PML's `SupConLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, temperature: float) -> nn.Module:
    del num_classes, embedding_size
    return SupCon(temperature=temperature)


SPEC = LossSpec(
    name="supcon",
    title="SupCon",
    source="Khosla et al., NeurIPS 2020, eq. 2",
    space={
        "temperature": FloatDistribution(1e-3, 10, log=True),
    },
    build=_build,
    batch="pairs",
    note="The range is ours, around the paper's 0.07 to 0.1.",
)
