"""Angular loss: the angle at the negative of every triplet stays below a bound.

    L = mean over positive pairs (a, p) of
        log(1 + sum over n of e^{4 tan^2(alpha) (x_a + x_p) . x_n - 2 (1 + tan^2(alpha)) x_a . x_p})

of L2-normalised embeddings, with the negatives n of a. J. Wang, F. Zhou, S. Wen, X. Liu, Y. Lin: Deep Metric Learning
with Angular Loss, ICCV 2017, equation (8). PML 2.9 leaves the negatives as long as they are; here they are normalised,
as in the paper.
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import AngularLoss
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class Angular(FullPrecision, AngularLoss):
    """PML's `AngularLoss` in full precision, of normalised embeddings throughout."""

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """Give PML's loss dictionary."""
        references = self.distance.normalize(ref_emb)
        loss_dict: dict[str, Any] = super().compute_loss(embeddings, labels, indices_tuple, references, ref_labels)
        return loss_dict


def _build(num_classes: int, embedding_size: int, *, alpha: float) -> nn.Module:
    del num_classes, embedding_size
    return Angular(alpha=alpha)


SPEC = LossSpec(
    name="angular",
    title="Angular",
    source="Wang et al., ICCV 2017, eq. 8",
    space={"alpha": FloatDistribution(20, 70)},
    build=_build,
    batch="pairs",
    note="The range, in degrees, is ours, around the paper's 36 to 55.",
)
