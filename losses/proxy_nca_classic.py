"""ProxyNCA as first published: the target's proxy against all others, the target itself not in the denominator.

    L = mean_i of -log[ e^{-s d(x_i, p_y)} / sum over z != y of e^{-s d(x_i, p_z)} ]

d is the squared Euclidean distance of L2-normalised vectors; the value can be negative.
Y. Movshovitz-Attias, A. Toshev, T. K. Leung, S. Ioffe, S. Singh: No Fuss Distance Metric Learning using Proxies,
ICCV 2017, where s = 1; equation (3) of arXiv 2004.01113. PML's `ProxyNCALoss`, which sums over all proxies, is
`mlrc.losses.proxy_nca`.
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils import common_functions as c_f
from torch import Tensor, inf, nn

from mlrc.losses.parts.proxy_loss import ProxyLoss, per_image
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class ProxyNCAClassicLoss(ProxyLoss):
    """ProxyNCA with the target's proxy left out of the denominator; needs two classes at least.

    `proxies` is `(num_classes, dim)`. One sub-loss, one element per image.
    """

    def __init__(self, num_classes: int, embedding_size: int, scale: float = 1, **kwargs: Any) -> None:
        if num_classes < 2:
            raise ValueError(f"ProxyNCA must have two classes at least to tell apart, but got {num_classes}.")
        super().__init__((num_classes, embedding_size), **kwargs)
        self.scale = scale
        self.add_to_recordable_attributes(name="scale", is_stat=False)

    def compare(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Give each image's distance to its proxy plus the log-sum over the others, in log space throughout."""
        distances = self.scale * self.get_logits(embeddings)
        similarities = distances if self.distance.is_inverted else -distances
        own = nn.functional.one_hot(labels, self.num_classes).bool()
        others = similarities.masked_fill(own, -inf).logsumexp(dim=1)
        return {"loss": per_image((others - similarities[own]) * weights)}

    def get_default_distance(self) -> LpDistance:
        """Compare by the squared Euclidean distance of unit vectors."""
        return LpDistance(power=2)


def _build(num_classes: int, embedding_size: int, *, scale: float, proxy_std: float = 1.0) -> nn.Module:
    start = c_f.TorchInitWrapper(nn.init.normal_, std=proxy_std)
    return ProxyNCAClassicLoss(num_classes, embedding_size, scale, weight_init_func=start)


SPEC = LossSpec(
    name="proxy_nca_classic",
    title="ProxyNCA (original)",
    source="Movshovitz-Attias et al., ICCV 2017",
    space={LOSS_LR: LOSS_LR_RANGE, "scale": FloatDistribution(0.01, 100)},
    build=_build,
    batch="classes",
    recommended={"scale": 1.0},  # the paper has no scale
    settable={"proxy_std": FloatDistribution(1e-3, 10, log=True)},
    note="The range of the scale, 1 in the paper, is that of the Reality Check's ProxyNCA. Its proxies "
    "start with standard deviation proxy_std, 1 unless set; the value does not depend on it, but how fast they turn "
    "does. ProxyNCA++'s start with 1/8.",
)
