"""Manifold similarity loss: images and proxies compared by a random walk over the batch, not by their distance.

    F = (1 - alpha) (I - alpha S)^{-1},  S the normalised affinities of the batch's images and the proxies
    L = mean over i of log(1 + sum over proxies z of e^{F_iz - F_iy + margin})
      + lambda_c mean over i of log(1 + sum over z of e^{cos(F_z, F_i) - cos(F_y, F_i) + margin})

each sum over the z != y whose exponent is positive.
N. Aziere, S. Todorovic: Ensemble Deep Manifold Similarity Learning using Hard Proxies, CVPR 2019. The paper's learners
tell meta-classes apart, each with a proxy; here it is one learner, whose meta-classes are the classes themselves up to
128 and beyond that the classes modulo 128 (PML draws a meta-class per image, at random, unless it is given).
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import ManifoldLoss
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec

MAX_PROXIES = 128


class Manifold(FullPrecision, ManifoldLoss):
    """PML's `ManifoldLoss` in full precision, trained on class labels."""

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """Give PML's loss dictionary, with the labels in the place where PML takes meta-classes."""
        if labels is None or indices_tuple is not None or ref_emb is not embeddings or ref_labels is not labels:
            raise ValueError("The manifold loss must be given labels, and neither a miner's pairs nor references.")
        loss_dict: dict[str, Any] = super().compute_loss(embeddings, None, labels % self.K, embeddings, None)
        return loss_dict


def _build(num_classes: int, embedding_size: int, *, lambda_c: float, alpha: float, margin: float) -> nn.Module:
    return Manifold(embedding_size, min(num_classes, MAX_PROXIES), lambda_c, alpha, margin)


SPEC = LossSpec(
    name="manifold",
    title="Manifold",
    source="Aziere, Todorovic, CVPR 2019",
    space={
        LOSS_LR: LOSS_LR_RANGE,
        "lambda_c": FloatDistribution(0.01, 100, log=True),
        "alpha": FloatDistribution(0.1, 0.99),
        "margin": FloatDistribution(1e-5, 0.1, log=True),
    },
    build=_build,
    batch="pairs",
    note="One learner of the paper's ensemble. Ranges are ours, around PML's lambda 1, alpha 0.8 and margin 0.0005.",
)
