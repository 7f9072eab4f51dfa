"""Margin loss: pairs on the right side of a learned boundary beta, by a margin.

    L = sum over triplets of ([d(a, p) - beta + margin]_+ + [beta - d(a, n) + margin]_+) / number of terms above zero

over all triplets of the batch; d is the Euclidean distance of L2-normalised embeddings and beta one learned number,
whose start is searched.
C.-Y. Wu, R. Manmatha, A. J. Smola, P. Krähenbühl: Sampling Matters in Deep Embedding Learning, ICCV 2017, without its
sampling and with nu = 0, as in the Reality Check.
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import MarginLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class Margin(FullPrecision, MarginLoss):
    """PML's `MarginLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, margin: float, beta: float) -> nn.Module:
    del num_classes, embedding_size
    return Margin(margin=margin, beta=beta, learn_beta=True)


SPEC = LossSpec(
    name="margin",
    title="Margin",
    source="Wu et al., ICCV 2017; as in arXiv 2003.08505",
    space={LOSS_LR: LOSS_LR_RANGE, "margin": FloatDistribution(-0.2, 2), "beta": FloatDistribution(-0.2, 2)},
    build=_build,
    batch="pairs",
    weight_decay=0.0,
    published={
        "cub200": {LOSS_LR: 0.0013149455388326019, "margin": 0.08780730856882307, "beta": 0.7838655471893237},
        "cars196": {LOSS_LR: 0.00011114005894862011, "margin": 0.07817191774601229, "beta": 1.3164399965498457},
        "sop": {LOSS_LR: 0.0018279587458308565, "margin": 0.09157768911860359, "beta": 1.1072349396332635},
    },
    under={
        "reality_check_batch_256": {
            "cub200": {LOSS_LR: 1.000000000000002e-06, "margin": 0.06749183093182898, "beta": 0.9762317783891354}
        },
    },
    recommended={"margin": 0.2, "beta": 1.2},  # the paper's, by PML's documentation
    note="Space and published optima of the Reality Check, which decays no weight of beta.",
)
