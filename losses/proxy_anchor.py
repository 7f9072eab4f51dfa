"""Proxy-Anchor loss: one proxy per class, each an anchor that pulls its images and pushes all others.

    L = 1/|P+| sum over p in P+ of log(1 + sum over x in X_p+ of e^{-alpha (cos(x, p) - margin)})
      + 1/|P|  sum over p in P  of log(1 + sum over x in X_p- of e^{ alpha (cos(x, p) + margin)})

P are the proxies of all classes, P+ those of classes in the batch, X_p+ the images of p's class, X_p- the others.
S. Kim, D. Kim, M. Cho, S. Kwak: Proxy Anchor Loss for Deep Metric Learning, CVPR 2020, equation (4).
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import ProxyAnchorLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class ProxyAnchor(FullPrecision, ProxyAnchorLoss):
    """PML's `ProxyAnchorLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, margin: float, alpha: float) -> nn.Module:
    return ProxyAnchor(num_classes, embedding_size, margin=margin, alpha=alpha)


SPEC = LossSpec(
    name="proxy_anchor",
    title="ProxyAnchor",
    source="Kim et al., CVPR 2020, eq. 4",
    space={
        LOSS_LR: LOSS_LR_RANGE,
        "margin": FloatDistribution(0, 1),
        "alpha": FloatDistribution(0.01, 100),
    },
    build=_build,
    batch="classes",
    published={
        "cub200": {LOSS_LR: 1e-2, "margin": 0.1, "alpha": 32.0},
        "cars196": {LOSS_LR: 1e-2, "margin": 0.1, "alpha": 32.0},
        "sop": {LOSS_LR: 6e-2, "margin": 0.1, "alpha": 32.0},
    },
    note="Ranges are ours, around the paper's margin 0.1 and alpha 32. The published values are the paper's under "
    "AdamW, not the outcome of a search.",
)
