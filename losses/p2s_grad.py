"""P2SGrad: the cosine to every class's weight drawn to its target of 1 or 0, so that gradients need no scale or margin.

    L = mean over i and classes c of (cos(x_i, w_c) - [c = y_i])^2

with this equation's gradient in images and weights alike. PML 2.9 scales the weights to length one in place before it
multiplies, and so leaves their length out of the derivative: its gradient has a part along the weight itself.
X. Zhang, R. Zhao, J. Yan, M. Gao, Y. Qiao, X. Wang, H. Li: P2SGrad: Refined Gradients for Optimizing Deep Face Models,
CVPR 2019, equation (11), as the loss with that gradient.
"""

from typing import Any

from pytorch_metric_learning.losses import P2SGradLoss
from pytorch_metric_learning.utils import common_functions as c_f
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class P2SGrad(FullPrecision, P2SGradLoss):
    """PML's `P2SGradLoss` with the gradient of its equation, in full precision."""

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """Give PML's loss dictionary; raise `ValueError` without labels, with a miner or with reference embeddings."""
        c_f.labels_required(labels)
        c_f.ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        c_f.indices_tuple_not_supported(indices_tuple)
        self.weight.data = c_f.to_device(self.weight.data, tensor=embeddings, dtype=embeddings.dtype)
        cosines = nn.functional.normalize(embeddings) @ nn.functional.normalize(self.weight, dim=0)
        targets = nn.functional.one_hot(labels, self.num_classes).to(cosines.dtype)
        loss = nn.functional.mse_loss(cosines, targets)
        return {"loss": {"losses": loss, "indices": None, "reduction_type": "already_reduced"}}


def _build(num_classes: int, embedding_size: int) -> nn.Module:
    return P2SGrad(embedding_size, num_classes)


SPEC = LossSpec(
    name="p2s_grad",
    title="P2SGrad",
    source="Zhang et al., CVPR 2019, eq. 11",
    space={LOSS_LR: LOSS_LR_RANGE},
    build=_build,
    batch="classes",
    note="It has no parameter but the learning rate of its weights.",
)
