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
from mlrc.losses.spec import EVERY, LOSS_LR, LOSS_LR_RANGE, LossSpec


class ProxyAnchor(FullPrecision, ProxyAnchorLoss):
    """PML's `ProxyAnchorLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, margin: float, alpha: float) -> nn.Module:
    return ProxyAnchor(num_classes, embedding_size, margin=margin, alpha=alpha)


_PAPER = {"margin": 0.1, "alpha": 32.0}

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
    under={
        "traditional_mean_field": {
            "cub200": {LOSS_LR: 1e-2, **_PAPER},
            "cars196": {LOSS_LR: 1e-2, **_PAPER},
            "sop": {LOSS_LR: 6e-2, **_PAPER},
            "inshop": {LOSS_LR: 6e-2, **_PAPER},
            EVERY: {LOSS_LR: 1e-2, **_PAPER},
        },
        "traditional_mpa": {EVERY: {LOSS_LR: 1e-2, **_PAPER}, "sop": {LOSS_LR: 5e-2, **_PAPER}},
        "traditional_proxy_nca_pp": {
            EVERY: {LOSS_LR: 0.4, **_PAPER},
            "sop": {LOSS_LR: 2.4, **_PAPER},
            "inshop": {LOSS_LR: 2.4, **_PAPER},
        },
        "reality_check": {EVERY: {LOSS_LR: 1e-2, **_PAPER}},
    },
    recommended=_PAPER,  # also by PML's documentation
    note="Ranges are ours, around the paper's margin 0.1 and alpha 32. Its proxies learn 100 times as fast as "
    "the trunk, as the paper says for AdamW; under ProxyNCA++'s Adam with eps 1 that is a choice of ours, as is the "
    "rate of sweeps under the Reality Check's rules.",
)
