"""ProxyNCA++: the probability of the target's proxy among all proxies, sharpened by a temperature.

    L = mean_i of -log softmax_a(-d(x_i, p_a) / T)_{y_i}

over the proxies of all classes; d is the squared Euclidean distance of L2-normalised vectors, T = 1/9 in the paper.
E. W. Teh, T. DeVries, G. W. Taylor: ProxyNCA++: Revisiting and Revitalizing Proxy Neighborhood Component Analysis,
ECCV 2020, arXiv 2004.01113. Equal to PML's `ProxyNCALoss(softmax_scale=1/T)`, but in log space: where the target's
probability underflows PML drops the image, and gives NaN when it drops all.
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils import common_functions as c_f
from torch import Tensor, nn

from mlrc.losses.parts.proxy_loss import ProxyLoss, per_image
from mlrc.losses.spec import EVERY, LOSS_LR, LOSS_LR_RANGE, LossSpec


class ProxyNCAPlusPlusLoss(ProxyLoss):
    """ProxyNCA++; `proxies` is `(num_classes, dim)`. One sub-loss, one element per image."""

    def __init__(self, num_classes: int, embedding_size: int, temperature: float = 1 / 9, **kwargs: Any) -> None:
        super().__init__((num_classes, embedding_size), **kwargs)
        self.temperature = temperature
        self.add_to_recordable_attributes(name="temperature", is_stat=False)

    def compare(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Give each image's negative log-probability of its own proxy."""
        distances = self.get_logits(embeddings) / self.temperature
        similarities = distances if self.distance.is_inverted else -distances
        return {"loss": per_image(nn.functional.cross_entropy(similarities, labels, reduction="none") * weights)}

    def get_default_distance(self) -> LpDistance:
        """Compare by the squared Euclidean distance of unit vectors."""
        return LpDistance(power=2)

    def get_default_weight_init_func(self) -> c_f.TorchInitWrapper:
        """Initialise as the paper's code does, with standard deviation 1/8."""
        return c_f.TorchInitWrapper(nn.init.normal_, std=1 / 8)


def _build(num_classes: int, embedding_size: int, *, temperature: float) -> nn.Module:
    return ProxyNCAPlusPlusLoss(num_classes, embedding_size, temperature)


_PAPER = {"temperature": 1 / 9}

SPEC = LossSpec(
    name="proxy_nca_pp",
    title="ProxyNCA++",
    source="arXiv 2004.01113",
    space={LOSS_LR: LOSS_LR_RANGE, "temperature": FloatDistribution(0.01, 100, log=True)},
    build=_build,
    batch="pairs",
    under={
        "traditional_proxy_nca_pp": {
            "cub200": {LOSS_LR: 4e2, **_PAPER},
            "cars196": {LOSS_LR: 4e2, **_PAPER},
            "sop": {LOSS_LR: 2.4e2, **_PAPER},
            "inshop": {LOSS_LR: 2.4e3, **_PAPER},
            EVERY: {LOSS_LR: 4e2, **_PAPER},
        },
    },
    recommended=_PAPER,
    note="Class-balanced batches are part of the paper's method. The range of the temperature is ours, around its 1/9. "
    "Its learning rates of the proxies, 240 to 2,400 under Adam with eps 1, belong to its own protocol.",
)
