"""Triplet loss on the hardest triplet of every image: its farthest positive and its nearest negative.

The loss of `mlrc.losses.triplet` over one triplet per image.
A. Hermans, L. Beyer, B. Leibe: In Defense of the Triplet Loss for Person Re-Identification, arXiv 1703.07737,
equation (5).
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.miners import BatchHardMiner

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec, MinedLoss
from mlrc.losses.triplet import Triplet


class HardestTriplets(FullPrecision, BatchHardMiner):
    """PML's `BatchHardMiner`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, margin: float) -> MinedLoss:
    del num_classes, embedding_size
    return MinedLoss(Triplet(margin=margin), HardestTriplets())


SPEC = LossSpec(
    name="triplet_batch_hard",
    title="Triplet + batch-hard",
    source="arXiv 1703.07737, eq. 5",
    space={"margin": FloatDistribution(-0.2, 2)},
    build=_build,
    batch="pairs",
    note="The range is the Reality Check's of the triplet margin.",
)
