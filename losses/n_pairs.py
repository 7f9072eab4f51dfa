"""N-pairs loss: every positive pair against one negative of each other class at once.

    L = mean over positive pairs (a, p) of log(1 + sum over c != y_a of mean over n in B_c of e^{x_a . x_n - x_a . x_p})
      + l2_weight mean over i of |x_i|^2

of unnormalised embeddings; B_c are the batch's images of class c. K. Sohn: Improved Deep Metric Learning with
Multi-class N-pair Loss Objective, NIPS 2016, equation (7), whose batches hold one pair per class. Here they hold
several images per class: each pair of a class counts, and the mean stands for another class's one image. PML takes the
first pair of each class in the batch, so that its value depends on the batch's order.
"""

from typing import Any

import torch
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import DotProductSimilarity
from pytorch_metric_learning.losses import NPairsLoss
from pytorch_metric_learning.regularizers import LpRegularizer
from pytorch_metric_learning.utils import common_functions as c_f
from pytorch_metric_learning.utils import loss_and_miner_utils as lmu
from torch import Tensor, inf, nn

from mlrc.losses.parts.class_means import log1p_exp, log_class_means
from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class NPairs(FullPrecision, NPairsLoss):
    """PML's `NPairsLoss` in full precision, of every positive pair of the batch."""

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """Give PML's loss dictionary: one element per positive pair, the miner's or all."""
        c_f.labels_required(labels)
        c_f.ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        anchors, positives, _, _ = lmu.convert_to_pairs(indices_tuple, labels)
        present, members = torch.unique(labels, return_inverse=True)
        if len(anchors) == 0 or len(present) == 1:
            zero: dict[str, Any] = self.zero_losses()
            return zero
        products = self.distance(embeddings)
        own = nn.functional.one_hot(members).bool()
        others = log_class_means(products.t(), members).t().masked_fill(own, -inf).logsumexp(dim=1)  # (batch,)
        losses = log1p_exp(others[anchors] - products[anchors, positives])
        return {"loss": {"losses": losses, "indices": (anchors, positives), "reduction_type": "pos_pair"}}


def _build(num_classes: int, embedding_size: int, *, l2_weight: float) -> nn.Module:
    del num_classes, embedding_size
    return NPairs(
        distance=DotProductSimilarity(normalize_embeddings=False),
        embedding_regularizer=LpRegularizer(power=2),
        embedding_reg_weight=l2_weight,
    )


SPEC = LossSpec(
    name="n_pairs",
    title="N-Pairs",
    source="Sohn, NIPS 2016, eq. 7",
    space={"l2_weight": FloatDistribution(1e-4, 1, log=True)},
    build=_build,
    batch="pairs",
    note="The range is ours, around the 0.002 to 0.02 of common implementations.",
)
