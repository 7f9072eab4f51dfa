"""Contrastive loss against a memory of earlier batches.

The loss of `mlrc.losses.contrastive` in `mlrc.losses.parts.cross_batch_memory`.
X. Wang, H. Zhang, W. Huang, M. R. Scott: Cross-Batch Memory for Embedding Learning, CVPR 2020.
"""

from optuna.distributions import IntDistribution
from pytorch_metric_learning.losses import ContrastiveLoss
from torch import nn

from mlrc.losses.contrastive import SPEC as CONTRASTIVE
from mlrc.losses.parts.cross_batch_memory import CrossBatchMemory
from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class Memory(FullPrecision, CrossBatchMemory):
    """A cross-batch memory, in full precision."""


def _build(
    num_classes: int, embedding_size: int, *, pos_margin: float, neg_margin: float, memory_size: int = 4096
) -> nn.Module:
    del num_classes
    return Memory(ContrastiveLoss(pos_margin=pos_margin, neg_margin=neg_margin), embedding_size, memory_size)


SPEC = LossSpec(
    name="xbm_contrastive",
    title="XBM",
    source="Wang et al., CVPR 2020, with the contrastive loss",
    space=CONTRASTIVE.space,
    build=_build,
    batch="pairs",
    recommended={"pos_margin": 0.0, "neg_margin": 1.0},  # a cosine of 0.5 is a distance of 1
    settable={"memory_size": IntDistribution(256, 2**17, log=True)},
    note="The margins' ranges are the Reality Check's for the contrastive loss. The recommended ones are those of the "
    "authors' code, which sums similarities: pairs of two classes count above a cosine of 0.5, those of one always. "
    "memory_size is 4,096 unless set.",
)
