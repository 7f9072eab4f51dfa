"""ProxyNCA as the Reality Check ran it: the probability of the target's proxy among all proxies.

    L = mean over i of -log softmax_a(-s d(x_i, p_a))_{y_i}

d is the squared Euclidean distance of L2-normalised vectors. This is PML's `ProxyNCALoss`; the paper leaves the target
out of the denominator (`losses.proxy_nca_classic`). As in PML, then and now, an image whose probability underflows to 0
is dropped from the mean; where all are, PML gives NaN and this gives 0.
Y. Movshovitz-Attias, A. Toshev, T. K. Leung, S. Ioffe, S. Singh: No Fuss Distance Metric Learning using Proxies,
ICCV 2017.
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import ProxyNCALoss
from torch import nn

from losses.full_precision import FullPrecision
from losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class ProxyNCA(FullPrecision, ProxyNCALoss):
    """PML's `ProxyNCALoss` in full precision; 0 instead of NaN where every probability underflows."""

    def nca_computation(self, *arguments: Any) -> dict[str, Any]:
        """Give PML's loss dictionary."""
        loss_dict: dict[str, Any] = super().nca_computation(*arguments)
        return loss_dict if len(loss_dict["loss"]["losses"]) else self.zero_losses()


def _build(num_classes: int, embedding_size: int, *, softmax_scale: float) -> nn.Module:
    return ProxyNCA(num_classes, embedding_size, softmax_scale=softmax_scale)


SPEC = LossSpec(
    name="proxy_nca",
    title="ProxyNCA",
    source="Movshovitz-Attias et al., ICCV 2017; as in arXiv 2003.08505",
    space={LOSS_LR: LOSS_LR_RANGE, "softmax_scale": FloatDistribution(0.01, 100)},
    build=_build,
    batch="classes",
    published={
        "cub200": {LOSS_LR: 0.00604165660972788, "softmax_scale": 13.984289168473772},
        "cars196": {LOSS_LR: 0.004434315704710762, "softmax_scale": 7.970526800311791},
        "sop": {LOSS_LR: 0.0005288960472656574, "softmax_scale": 10.733628921647782},
    },
    note="Space and published optima of the Reality Check.",
)
