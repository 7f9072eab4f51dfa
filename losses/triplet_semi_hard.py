"""Triplet loss on semi-hard triplets: the negative is farther than the positive, but by less than the margin.

The loss of `mlrc.losses.triplet` over the triplets with d(a, p) < d(a, n) < d(a, p) + margin.
F. Schroff, D. Kalenichenko, J. Philbin: FaceNet: A Unified Embedding for Face Recognition and Clustering, CVPR 2015,
equations (1) and (4).
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.miners import TripletMarginMiner

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec, MinedLoss
from mlrc.losses.triplet import Triplet


class SemiHardTriplets(FullPrecision, TripletMarginMiner):
    """PML's `TripletMarginMiner`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, margin: float) -> MinedLoss:
    del num_classes, embedding_size
    return MinedLoss(Triplet(margin=margin), SemiHardTriplets(margin=margin, type_of_triplets="semihard"))


SPEC = LossSpec(
    name="triplet_semi_hard",
    title="Triplet + semi-hard",
    source="Schroff et al., CVPR 2015, eqs. 1, 4",
    space={"margin": FloatDistribution(0.01, 2)},
    build=_build,
    batch="pairs",
    note="The range is the Reality Check's of the triplet margin where it is positive: below, no triplet is semi-hard.",
)
