"""SoftTriple: normalised softmax with several centres per class, softly chosen and drawn together.

    L = mean over i of -log[ e^{la (S_y - margin)} / (e^{la (S_y - margin)} + sum over c != y of e^{la S_c}) ]
      + reg_weight R,      S_c = sum over k of softmax_k(cos(x, w_ck) / gamma) cos(x, w_ck)

R is `mlrc.losses.parts.proxy_spread` with 1e-5 under its root. Q. Qian, L. Shang, B. Sun, J. Hu, H. Li, R. Jin:
SoftTriple Loss, ICCV 2019. As the Reality Check ran it: `gamma` is the paper's, a temperature, and PML, then and
now, keeps its inverse; the published 19 to 59 weigh the centres nearly alike. `reg_weight` was an argument of its own
then; PML 2.9 takes a regulariser, and its own compares all centres with all. The study recorded no number of centres:
this takes the paper's 10, and its 2 for more than 1,000 classes, unless `centers_per_class` is set.
"""

from optuna.distributions import FloatDistribution, IntDistribution
from pytorch_metric_learning.losses import SoftTripleLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.parts.proxy_spread import ProxySpreadRegularizer
from mlrc.losses.spec import EVERY, LOSS_LR, LOSS_LR_RANGE, LossSpec


class SoftTriple(FullPrecision, SoftTripleLoss):
    """PML's `SoftTripleLoss`, in full precision."""


def _build(
    num_classes: int,
    embedding_size: int,
    *,
    la: float,
    gamma: float,
    reg_weight: float,
    margin: float,
    centers_per_class: int = 0,
) -> nn.Module:
    centers_per_class = centers_per_class or (10 if num_classes <= 1000 else 2)
    return SoftTriple(
        num_classes,
        embedding_size,
        centers_per_class=centers_per_class,
        la=la,
        gamma=gamma,
        margin=margin,
        weight_regularizer=ProxySpreadRegularizer(centers_per_class, epsilon=1e-5),
        weight_reg_weight=reg_weight,
    )


_PAPER = {"la": 20.0, "gamma": 0.1, "reg_weight": 0.2, "margin": 0.01}

SPEC = LossSpec(
    name="soft_triple",
    title="SoftTriple",
    source="Qian et al., ICCV 2019; as in arXiv 2003.08505",
    space={
        LOSS_LR: LOSS_LR_RANGE,
        "la": FloatDistribution(0.01, 200),
        "gamma": FloatDistribution(1e-4, 100),
        "reg_weight": FloatDistribution(0, 1),
        "margin": FloatDistribution(0, 1),
    },
    build=_build,
    batch="classes",
    published={
        "cub200": {
            LOSS_LR: 5.375997284184975e-05,
            "la": 78.02122301658311,
            "gamma": 58.95101191808811,
            "reg_weight": 0.3754789742722862,
            "margin": 0.43079562741416144,
        },
        "cars196": {
            LOSS_LR: 0.000140341491054875,
            "la": 17.69779917985891,
            "gamma": 19.187330313213565,
            "reg_weight": 0.06698175543954712,
            "margin": 0.3588232210887034,
        },
        "sop": {
            LOSS_LR: 8.688452729008734e-05,
            "la": 100.0,
            "gamma": 47.90868652317084,
            "reg_weight": 0.0,
            "margin": 0.314526365586971,
        },
    },
    under={
        "reality_check_batch_256": {
            "cub200": {
                LOSS_LR: 0.00010637443322960908,
                "la": 72.12531278228346,
                "gamma": 51.07941844874178,
                "reg_weight": 0.44305737773570525,
                "margin": 0.6959044320603398,
            }
        },
        "traditional_mpa": {EVERY: {LOSS_LR: 1e-2, **_PAPER}, "sop": {LOSS_LR: 5e-2, **_PAPER, "centers_per_class": 2}},
    },
    recommended=_PAPER,
    settable={"centers_per_class": IntDistribution(1, 64)},
    note="Space and published optima of the Reality Check; la's upper bound is the widest, that of SOP (100 on CUB and "
    "Cars), gamma's lower bound that of CUB (0.01 on Cars and SOP). On SOP the study did not search reg_weight: 0.",
)
