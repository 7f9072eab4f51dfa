"""ProxyNCA as the Reality Check ran it: the probability of the target's proxy among all proxies.

    L = mean over i of -log softmax_a(-s d(x_i, p_a))_{y_i}

d is the squared Euclidean distance of L2-normalised vectors. This is PML's `ProxyNCALoss`, then and now; the paper
leaves the target out of the denominator (`mlrc.losses.proxy_nca_classic`). As there, an image whose probability
underflows to 0 is dropped from the mean. It is computed in log space: PML's gradient is NaN where a probability nearly
underflows and its value where all do, which gives 0 here.
Y. Movshovitz-Attias, A. Toshev, T. K. Leung, S. Ioffe, S. Singh: No Fuss Distance Metric Learning using Proxies,
ICCV 2017.
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import ProxyNCALoss
from pytorch_metric_learning.utils import loss_and_miner_utils as lmu
from torch import Tensor, inf, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import EVERY, LOSS_LR, LOSS_LR_RANGE, LossSpec


class LogSpaceNCA(FullPrecision):
    """Mixed in before a PML loss of the NCA family: its probabilities in log space, at full precision."""

    def nca_computation(
        self, query: Tensor, reference: Tensor, query_labels: Tensor, reference_labels: Tensor, indices_tuple: Any
    ) -> dict[str, Any]:
        """Give PML's loss dictionary: one element per query whose class is probable at all."""
        similarities = -self.softmax_scale * self.distance(query, reference)  # type: ignore[attr-defined]  # PML's
        same = query_labels.unsqueeze(1) == reference_labels.unsqueeze(0)
        if query is reference:
            similarities.fill_diagonal_(-inf)
            same.fill_diagonal_(False)
        rows = same.any(dim=1).nonzero().squeeze(1)
        own = similarities.log_softmax(dim=1)[rows].masked_fill(~same[rows], -inf).logsumexp(dim=1)
        alive = own.exp() > 0
        if not alive.any():
            zero: dict[str, Any] = self.zero_losses()  # type: ignore[attr-defined]  # PML's
            return zero
        weights = lmu.convert_to_weights(
            indices_tuple, query_labels, dtype=query.dtype, using_ref=query is not reference
        )
        rows = rows[alive]
        return {"loss": {"losses": -own[alive] * weights[rows], "indices": rows, "reduction_type": "element"}}


class ProxyNCA(LogSpaceNCA, ProxyNCALoss):
    """PML's `ProxyNCALoss`, in log space."""


def _build(num_classes: int, embedding_size: int, *, softmax_scale: float) -> nn.Module:
    return ProxyNCA(num_classes, embedding_size, softmax_scale=softmax_scale)


SPEC = LossSpec(
    name="proxy_nca",
    title="ProxyNCA",
    source="Movshovitz-Attias et al., ICCV 2017; as in arXiv 2003.08505",
    space={LOSS_LR: LOSS_LR_RANGE, "softmax_scale": FloatDistribution(0.01, 100)},
    build=_build,
    batch="classes",
    published={
        "cub200": {LOSS_LR: 0.00604165660972788, "softmax_scale": 13.984289168473772},
        "cars196": {LOSS_LR: 0.004434315704710762, "softmax_scale": 7.970526800311791},
        "sop": {LOSS_LR: 0.0005288960472656574, "softmax_scale": 10.733628921647782},
    },
    under={
        "reality_check_batch_256": {"cub200": {LOSS_LR: 0.21622580489106408, "softmax_scale": 10.031200472656638}},
        "traditional_mean_field": {EVERY: {"softmax_scale": 32.0}},
    },
    recommended={"softmax_scale": 1.0},  # the paper has no scale
    note="Space and published optima of the Reality Check.",
)
