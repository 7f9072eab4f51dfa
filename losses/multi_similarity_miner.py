"""Multi-similarity loss on the pairs that the multi-similarity miner finds hard.

The loss is that of `mlrc.losses.multi_similarity`. For an anchor the miner keeps a negative that is more similar than
the least similar positive minus epsilon, and a positive that is less similar than the most similar negative plus
epsilon. X. Wang, X. Han, W. Huang, D. Dong, M. R. Scott: Multi-Similarity Loss with General Pair Weighting for Deep
Metric Learning, CVPR 2019, equations (11), (12) and (15).
"""

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.miners import MultiSimilarityMiner

from mlrc.losses.multi_similarity import MultiSimilarity
from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec, MinedLoss


class HardPairs(FullPrecision, MultiSimilarityMiner):
    """PML's `MultiSimilarityMiner`, in full precision."""


def _build(
    num_classes: int, embedding_size: int, *, alpha: float, beta: float, base: float, epsilon: float
) -> MinedLoss:
    del num_classes, embedding_size
    return MinedLoss(MultiSimilarity(alpha=alpha, beta=beta, base=base), HardPairs(epsilon=epsilon))


SPEC = LossSpec(
    name="multi_similarity_miner",
    title="MS+Miner",
    source="Wang et al., CVPR 2019, eqs. 11, 12, 15",
    space={
        "alpha": FloatDistribution(0.01, 100),
        "beta": FloatDistribution(0.01, 200),
        "base": FloatDistribution(0, 1),
        "epsilon": FloatDistribution(0, 1),
    },
    build=_build,
    batch="pairs",
    published={
        "cub200": {
            "alpha": 17.97011813706367,
            "beta": 75.66279449949963,
            "base": 0.7762566994955177,
            "epsilon": 0.39400693859104396,
        },
        "cars196": {
            "alpha": 7.497874826011234,
            "beta": 47.9931946883341,
            "base": 0.6314801283407147,
            "epsilon": 0.7257457451083537,
        },
        "sop": {
            "alpha": 15.947169638068313,
            "beta": 156.61727081296493,
            "base": 0.7250382906952161,
            "epsilon": 0.3482762417107795,
        },
    },
    under={
        "reality_check_batch_256": {
            "cub200": {
                "alpha": 11.637470609479376,
                "beta": 55.201527421037326,
                "base": 0.8581046388952108,
                "epsilon": 0.42314703265280135,
            }
        },
    },
    recommended={"alpha": 2.0, "beta": 50.0, "base": 0.5, "epsilon": 0.1},  # base as in `multi_similarity`
    note="Space and published optima of the Reality Check; beta's upper bound is the widest, that of SOP "
    "(100 on CUB and Cars).",
)
