"""Proxy triplet loss: an image is nearer to its class's proxy than to every other, by a margin.

    L = mean over i and classes c != y_i of [d(x_i, p_y) - d(x_i, p_c) + margin]_+

d is the squared Euclidean distance of L2-normalised vectors.
Y. Movshovitz-Attias, A. Toshev, T. K. Leung, S. Ioffe, S. Singh: No Fuss Distance Metric Learning using Proxies,
ICCV 2017: the triplet loss with proxies in the place of positive and negative. There a negative is sampled; here the
mean over all takes the place of its expectation.
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor, nn

from mlrc.losses.parts.proxy_loss import ProxyLoss, per_image
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class ProxyTripletLoss(ProxyLoss):
    """Proxy triplet; `proxies` is `(num_classes, dim)`. One sub-loss, one element per image; needs two classes."""

    def __init__(self, num_classes: int, embedding_size: int, margin: float = 0.2, **kwargs: Any) -> None:
        if num_classes < 2:
            raise ValueError(f"The proxy triplet must have two classes at least to tell apart, but got {num_classes}.")
        super().__init__((num_classes, embedding_size), **kwargs)
        self.margin = margin
        self.add_to_recordable_attributes(name="margin", is_stat=False)

    def compare(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Give each image's mean violation over the other classes."""
        distances = self.get_logits(embeddings)
        if self.distance.is_inverted:
            distances = -distances
        own = nn.functional.one_hot(labels, self.num_classes).bool()
        violations = (distances[own].unsqueeze(1) - distances + self.margin).relu().masked_fill(own, 0)
        return {"loss": per_image(violations.sum(dim=1) / (self.num_classes - 1) * weights)}

    def get_default_distance(self) -> LpDistance:
        """Compare by the squared Euclidean distance of unit vectors."""
        return LpDistance(power=2)


def _build(num_classes: int, embedding_size: int, *, margin: float) -> nn.Module:
    return ProxyTripletLoss(num_classes, embedding_size, margin)


SPEC = LossSpec(
    name="proxy_triplet",
    title="Proxy triplet",
    source="Movshovitz-Attias et al., ICCV 2017",
    space={LOSS_LR: LOSS_LR_RANGE, "margin": FloatDistribution(-0.2, 2)},
    build=_build,
    batch="classes",
    recommended={"margin": 0.2},
    note="The range is the Reality Check's of the triplet margin; the recommended margin is ours.",
)
