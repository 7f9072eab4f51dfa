"""Lifted structure loss: every positive pair against all negatives of both its images.

    L = 1/2 mean over positive pairs (i, j) of [d_ij - pos_margin + log(sum over negatives of e^{neg_margin - d})]_+^2

d is the Euclidean distance of L2-normalised embeddings; the negatives are those of i and those of j.
H. O. Song, Y. Xiang, S. Jegelka, S. Savarese: Deep Metric Learning via Lifted Structured Feature Embedding, CVPR 2016,
equation (4).
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import LiftedStructureLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class LiftedStructure(FullPrecision, LiftedStructureLoss):
    """PML's `LiftedStructureLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, pos_margin: float, neg_margin: float) -> nn.Module:
    del num_classes, embedding_size
    return LiftedStructure(pos_margin=pos_margin, neg_margin=neg_margin)


SPEC = LossSpec(
    name="lifted_structure",
    title="Lifted Structure",
    source="Song et al., CVPR 2016, eq. 4",
    space={
        "pos_margin": FloatDistribution(-0.2, 2),
        "neg_margin": FloatDistribution(-0.2, 2),
    },
    build=_build,
    batch="pairs",
    note="Ranges are the Reality Check's of the contrastive margins; the paper's are 0 and 1.",
)
