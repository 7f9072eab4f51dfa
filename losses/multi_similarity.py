"""Multi-similarity loss: soft maxima over each anchor's positives and negatives.

    L = mean_i { (1/alpha) log(1 + sum over positives e^{-alpha (cos_ij - base)})
               + (1/beta)  log(1 + sum over negatives e^{ beta  (cos_ij - base)}) }

X. Wang, X. Han, W. Huang, D. Dong, M. R. Scott: Multi-Similarity Loss with General Pair Weighting for Deep Metric
Learning, CVPR 2019, equation (15).
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import MultiSimilarityLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class MultiSimilarity(FullPrecision, MultiSimilarityLoss):
    """PML's `MultiSimilarityLoss`, in full precision."""


def _build(num_classes: int, embedding_size: int, *, alpha: float, beta: float, base: float) -> nn.Module:
    del num_classes, embedding_size
    return MultiSimilarity(alpha=alpha, beta=beta, base=base)


SPEC = LossSpec(
    name="multi_similarity",
    title="MS",
    source="Wang et al., CVPR 2019, eq. 15; without its miner, as in arXiv 2003.08505",
    space={
        "alpha": FloatDistribution(0.001, 100),
        "beta": FloatDistribution(0.01, 100),
        "base": FloatDistribution(0, 1),
    },
    build=_build,
    batch="pairs",
    published={
        "cub200": {"alpha": 0.010000000000000505, "beta": 50.601773762279336, "base": 0.5624815816186126},
        "cars196": {"alpha": 14.358760978642266, "beta": 75.83486384086837, "base": 0.6615555839124118},
        "sop": {"alpha": 8.492496310524517, "beta": 57.38862611417401, "base": 0.41673621630849955},
    },
    under={
        "reality_check_batch_256": {
            "cub200": {"alpha": 0.010000000000000585, "beta": 46.852371463580546, "base": 0.8253064017397882}
        },
    },
    recommended={"alpha": 2.0, "beta": 50.0, "base": 0.5},  # base: of the authors' code and PML; in the paper 1
    note="Space and published optima of the Reality Check; alpha's lower bound is the widest, that of CUB "
    "(0.01 on Cars and SOP).",
)
