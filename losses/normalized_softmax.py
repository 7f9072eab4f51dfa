"""Normalised softmax: classification by the cosine to one weight per class, with a temperature.

    L = mean over i of -log softmax_c(cos(x_i, w_c) / T)_{y_i}

F. Wang, X. Xiang, J. Cheng, A. L. Yuille: NormFace, ACM MM 2017; A. Zhai, H.-Y. Wu: Classification is a Strong Baseline
for Deep Metric Learning, BMVC 2019.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import NormalizedSoftmaxLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class NormalizedSoftmax(FullPrecision, NormalizedSoftmaxLoss):
    """PML's `NormalizedSoftmaxLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, temperature: float) -> nn.Module:
    return NormalizedSoftmax(num_classes, embedding_size, temperature=temperature)


SPEC = LossSpec(
    name="normalized_softmax",
    title="N. Softmax",
    source="Wang et al., ACM MM 2017; Zhai, Wu, BMVC 2019; as in arXiv 2003.08505",
    space={LOSS_LR: LOSS_LR_RANGE, "temperature": FloatDistribution(0.01, 100, log=True)},
    build=_build,
    batch="classes",
    published={
        "cub200": {LOSS_LR: 0.004468915155818225, "temperature": 0.10874714987070239},
        "cars196": {LOSS_LR: 0.011046164985524668, "temperature": 0.08863250090946041},
        "sop": {LOSS_LR: 0.0005468337161961759, "temperature": 0.06306243924788482},
    },
    under={
        "reality_check_batch_256": {"cub200": {LOSS_LR: 0.0720269808251637, "temperature": 0.07077487175272634}},
    },
    recommended={"temperature": 0.05},  # of Zhai and Wu, by PML's documentation
    note="Space and published optima of the Reality Check.",
)
