"""PNP loss, variant Dq: only the negatives ranked before a positive are penalised, ever less the more there are.

    L = mean over i of 1/N_i sum over positives p of 1 - (1 + R_ip)^{-alpha}
    R_ip = sum over negatives n of 1 / (1 + e^{-(cos_in - cos_ip)/anneal})

over images with positives, of which the image itself is one.
Z. Li, W. Min, J. Song, Y. Zhu, L. Kang, X. Wei, X. Wei, S. Jiang: Rethinking the Optimization of Average Precision:
Only Penalizing Negative Instances before Positive Ones is Enough, AAAI 2022.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import PNPLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class PNP(FullPrecision, PNPLoss):
    """PML's `PNPLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, alpha: float, anneal: float) -> nn.Module:
    del num_classes, embedding_size
    return PNP(alpha=alpha, anneal=anneal, variant="Dq")


SPEC = LossSpec(
    name="pnp",
    title="PNP-Dq",
    source="Li et al., AAAI 2022",
    space={
        "alpha": FloatDistribution(0.1, 10, log=True),
        "anneal": FloatDistribution(1e-3, 0.1, log=True),
    },
    build=_build,
    batch="pairs",
    note="The variant is the paper's best. Ranges are ours, around its alpha 4 and anneal 0.01.",
)
