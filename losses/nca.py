"""Neighbourhood component analysis: the probability that an image's random neighbour in the batch is of its class.

    L = mean over i of -log[ sum over p of e^{-s d_ip} / sum over j != i of e^{-s d_ij} ]

d is the squared Euclidean distance of L2-normalised embeddings; i runs over images with positives p.
J. Goldberger, G. E. Hinton, S. Roweis, R. Salakhutdinov: Neighbourhood Components Analysis, NIPS 2004. In log space, as
`mlrc.losses.proxy_nca`: PML 2.9 gives NaN for a batch without positive pairs.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import NCALoss
from torch import nn

from mlrc.losses.proxy_nca import LogSpaceNCA
from mlrc.losses.spec import LossSpec


class NCA(LogSpaceNCA, NCALoss):
    """PML's `NCALoss`, in log space."""


def _build(num_classes: int, embedding_size: int, *, softmax_scale: float) -> nn.Module:
    del num_classes, embedding_size
    return NCA(softmax_scale=softmax_scale)


SPEC = LossSpec(
    name="nca",
    title="NCA",
    source="Goldberger et al., NIPS 2004",
    space={"softmax_scale": FloatDistribution(0.01, 100)},
    build=_build,
    batch="pairs",
    note="The range is that of the Reality Check's ProxyNCA; the paper has no scale.",
)
