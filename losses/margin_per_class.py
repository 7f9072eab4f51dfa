"""Margin loss with a learned boundary for every class.

The loss of `mlrc.losses.margin` with beta of the anchor's class.
C.-Y. Wu, R. Manmatha, A. J. Smola, P. Krähenbühl: Sampling Matters in Deep Embedding Learning, ICCV 2017, without its
sampling and with nu = 0, as in the Reality Check.
"""

from torch import nn

from mlrc.losses.margin import SPEC as MARGIN
from mlrc.losses.margin import Margin
from mlrc.losses.spec import LOSS_LR, LossSpec


def _build(num_classes: int, embedding_size: int, *, margin: float, beta: float) -> nn.Module:
    del embedding_size
    return Margin(margin=margin, beta=beta, learn_beta=True, num_classes=num_classes)


SPEC = LossSpec(
    name="margin_per_class",
    title="Margin / class",
    source=MARGIN.source,
    space=MARGIN.space,
    build=_build,
    batch="pairs",
    weight_decay=0.0,
    published={
        "cub200": {LOSS_LR: 0.0002655887291100615, "margin": 0.07791179285964983, "beta": 0.9796727354635435},
        "cars196": {LOSS_LR: 4.7679427753164685e-05, "margin": 0.07760736041282862, "beta": 0.9598870342493178},
        "sop": {LOSS_LR: 7.10753582252704e-05, "margin": 0.05186435523810318, "beta": 0.8424587060982769},
    },
    under={
        "reality_check_batch_256": {
            "cub200": {LOSS_LR: 0.01328266476518381, "margin": -0.020490008861290293, "beta": 0.10978365428751874}
        },
    },
    recommended={"margin": 0.2, "beta": 1.2},  # the paper's, by PML's documentation
    note=MARGIN.note,
)
