"""Triplet loss, the study's baseline: a positive is nearer to the anchor than a negative, by a margin.

    L = mean over violating triplets of [d(a, p) - d(a, n) + margin]_+

over all triplets of the batch; d is the Euclidean distance (not squared) of L2-normalised embeddings, and the mean runs
over the terms above zero.
K. Q. Weinberger, L. K. Saul: Distance Metric Learning for Large Margin Nearest Neighbor Classification, JMLR 2009.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import TripletMarginLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class Triplet(FullPrecision, TripletMarginLoss):
    """PML's `TripletMarginLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, margin: float) -> nn.Module:
    del num_classes, embedding_size
    return Triplet(margin=margin)


SPEC = LossSpec(
    name="triplet",
    title="Triplet",
    source="Weinberger, Saul, JMLR 2009; as in arXiv 2003.08505",
    space={"margin": FloatDistribution(-0.2, 2)},
    build=_build,
    batch="pairs",
    published={
        "cub200": {"margin": 0.09610074859813894},
        "cars196": {"margin": 0.11902737154413517},
        "sop": {"margin": 0.04519248868248313},
    },
    under={
        "reality_check_batch_256": {"cub200": {"margin": 0.13683567244710115}},
    },
    recommended={"margin": 0.2},  # FaceNet's (Schroff et al., CVPR 2015)
    note="Space and published optima of the Reality Check.",
)
