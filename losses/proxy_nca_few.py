"""ProxyNCA with fewer proxies than classes, each class's given beforehand or each image's the nearest.

    L = mean over i and j of -log[ e^{-s d(x_i, q_j)} / sum over proxies z != q_j of e^{-s d(x_i, z)} ]

j runs over the images of i's class in the batch, i itself excepted where there is another; q_j is the proxy of j:
`static`, that of its class c, which is proxy c mod P; `dynamic`, the proxy nearest to j. d is the squared Euclidean
distance of L2-normalised vectors. With as many proxies as classes, static is ProxyNCA.
Y. Movshovitz-Attias, A. Toshev, T. K. Leung, S. Ioffe, S. Singh: No Fuss Distance Metric Learning using Proxies,
ICCV 2017, static and dynamic assignment.
"""

from typing import Any, Literal

from optuna.distributions import CategoricalDistribution, FloatDistribution
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor, inf, nn

from mlrc.losses.parts.proxy_loss import ProxyLoss, per_image
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec

Assignment = Literal["static", "dynamic"]


class FewProxiesLoss(ProxyLoss):
    """ProxyNCA with `proxies` `(num_proxies, dim)`, two at least. One sub-loss, one element per image."""

    def __init__(
        self,
        num_proxies: int,
        embedding_size: int,
        scale: float = 1,
        assignment: Assignment = "static",
        **kwargs: Any,
    ) -> None:
        if num_proxies < 2:
            raise ValueError(f"There must be two proxies at least, but got {num_proxies}; give a larger share.")
        super().__init__((num_proxies, embedding_size), **kwargs)
        self.scale, self.assignment = scale, assignment
        self.add_to_recordable_attributes(name="scale", is_stat=False)

    def compare(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Give each image's mean loss over the proxies of its class's images in the batch."""
        similarities = self.scale * self.get_logits(embeddings)
        if not self.distance.is_inverted:
            similarities = -similarities
        nearest = labels % self.num_classes if self.assignment == "static" else similarities.detach().argmax(dim=1)
        shares = self._shares(labels, nn.functional.one_hot(nearest, self.num_classes).to(similarities.dtype))
        others = _without_each(similarities)
        return {"loss": per_image((shares * (others - similarities)).sum(dim=1) * weights)}

    def _shares(self, labels: Tensor, proxies_of: Tensor) -> Tensor:
        """Give how often each proxy is that of another image of one's class, `(batch, proxies)`, rows that sum to 1."""
        same = labels.unsqueeze(1) == labels.unsqueeze(0)
        alone = same.sum(dim=1) == 1
        same.fill_diagonal_(False)
        counts = same.to(proxies_of.dtype) @ proxies_of
        counts[alone] = proxies_of[alone]
        return counts / counts.sum(dim=1, keepdim=True)

    def get_default_distance(self) -> LpDistance:
        """Compare by the squared Euclidean distance of unit vectors."""
        return LpDistance(power=2)


def _without_each(similarities: Tensor) -> Tensor:
    """Give, for each proxy, the log-sum of e^s over all others, `(batch, proxies)`, with no proxies-by-proxies tensor.

    log(sum - e^s) loses all digits where e^s is the sum, so the largest of each row has a log-sum of its own.
    """
    largest = similarities.argmax(dim=1, keepdim=True)
    whole = similarities.logsumexp(dim=1, keepdim=True)
    without_largest = similarities.scatter(1, largest, -inf).logsumexp(dim=1, keepdim=True)
    share = (similarities - whole).exp().scatter(1, largest, 0)
    return (whole + (-share).log1p()).scatter(1, largest, without_largest)


def _build(
    num_classes: int,
    embedding_size: int,
    *,
    scale: float,
    share_of_classes: float = 0.5,
    assignment: Assignment = "static",
) -> nn.Module:
    proxies = min(num_classes, max(2, round(share_of_classes * num_classes)))
    return FewProxiesLoss(proxies, embedding_size, scale, assignment)


SPEC = LossSpec(
    name="proxy_nca_few",
    title="ProxyNCA, few proxies",
    source="Movshovitz-Attias et al., ICCV 2017",
    space={LOSS_LR: LOSS_LR_RANGE, "scale": FloatDistribution(0.01, 100)},
    build=_build,
    batch="pairs",
    recommended={"scale": 1.0},  # the paper has no scale
    settable={
        "share_of_classes": FloatDistribution(0.001, 1),
        "assignment": CategoricalDistribution(("static", "dynamic")),
    },
    note="Half as many proxies as classes unless share_of_classes is set; the range of the scale, 1 in the paper, is "
    "that of the Reality Check's ProxyNCA.",
)
