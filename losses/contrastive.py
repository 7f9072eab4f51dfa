"""Contrastive loss, the study's baseline: pull pairs of a class together, push others apart.

    L = mean over active pairs [d(x_i, x_j) - pos_margin]_+  +  mean over active pairs [neg_margin - d(x_i, x_j)]_+

d is the Euclidean distance (not squared) of L2-normalised embeddings; each mean runs over the terms above zero.
R. Hadsell, S. Chopra, Y. LeCun: Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006. The two margins
are the Reality Check's (arXiv 2003.08505).
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import ContrastiveLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import EVERY, LossSpec


class Contrastive(FullPrecision, ContrastiveLoss):
    """PML's `ContrastiveLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, pos_margin: float, neg_margin: float) -> nn.Module:
    del num_classes, embedding_size
    return Contrastive(pos_margin=pos_margin, neg_margin=neg_margin)


SPEC = LossSpec(
    name="contrastive",
    title="Contrastive",
    source="Hadsell, Chopra, LeCun, CVPR 2006; as in arXiv 2003.08505",
    space={"pos_margin": FloatDistribution(-0.2, 2), "neg_margin": FloatDistribution(-0.2, 2)},
    build=_build,
    batch="pairs",
    published={
        "cub200": {"pos_margin": -0.19999999999999726, "neg_margin": 0.3841191369511769},
        "cars196": {"pos_margin": 0.26523381895861114, "neg_margin": 0.5409405918690342},
        "sop": {"pos_margin": 0.2850258234628094, "neg_margin": 0.5130146609636679},
    },
    under={
        "reality_check_batch_256": {"cub200": {"pos_margin": 0.22274159160289408, "neg_margin": 0.7694681322593107}},
        "traditional_mean_field": {EVERY: {"pos_margin": 0.02, "neg_margin": 0.3}},
    },
    recommended={"pos_margin": 0.0, "neg_margin": 1.0},  # PML's, for distances of unit rows
    note="Space and published optima of the Reality Check.",
)
