"""Generalised lifted structure loss: the soft farthest positive against the soft nearest negative of every image.

    L = mean over i of [log(sum over p of e^{d_ip - pos_margin}) + log(sum over n of e^{neg_margin - d_in})]_+

d is the Euclidean distance of L2-normalised embeddings.
A. Hermans, L. Beyer, B. Leibe: In Defense of the Triplet Loss for Person Re-Identification, arXiv 1703.07737.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import GeneralizedLiftedStructureLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class GeneralizedLiftedStructure(FullPrecision, GeneralizedLiftedStructureLoss):
    """PML's `GeneralizedLiftedStructureLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, pos_margin: float, neg_margin: float) -> nn.Module:
    del num_classes, embedding_size
    return GeneralizedLiftedStructure(pos_margin=pos_margin, neg_margin=neg_margin)


SPEC = LossSpec(
    name="generalized_lifted_structure",
    title="Gen. Lifted Structure",
    source="arXiv 1703.07737",
    space={
        "pos_margin": FloatDistribution(-0.2, 2),
        "neg_margin": FloatDistribution(-0.2, 2),
    },
    build=_build,
    batch="pairs",
    note="Ranges are the Reality Check's of the contrastive margins; the paper's are 0 and 1.",
)
