"""Centre loss beside a softmax: classes told apart by a linear layer, images pulled to the learned centre of theirs.

    L = mean over i of ( -log softmax_c(w_c . x_i)_{y_i} + lambda_c/2 |x_i - c_y|^2 )

over embeddings as they are, whose lengths count. Y. Wen, K. Zhang, Z. Li, Y. Qiao: A Discriminative Feature Learning
Approach for Deep Face Recognition, ECCV 2016, equation (5). There the centres move by a rule of their own, towards the
mean of their images in the batch; here their gradient does it, at the rate of the loss's parameters.
"""

from typing import Any

from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils import common_functions as c_f
from torch import Tensor, nn

from mlrc.losses.parts.proxy_loss import ProxyLoss, per_image
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class CenterLoss(ProxyLoss):
    """Softmax and centre loss; `proxies` is `(num_classes, 2, dim)`: the weight and the centre of each class.

    Sub-losses `softmax_loss` and `center_loss`, one element per image.
    """

    def __init__(self, num_classes: int, embedding_size: int, lambda_c: float = 0.01, **kwargs: Any) -> None:
        super().__init__((num_classes, 2, embedding_size), **kwargs)
        self.lambda_c = lambda_c
        self.add_to_recordable_attributes(name="lambda_c", is_stat=False)

    def get_logits(self, embeddings: Tensor) -> Tensor:
        """Give the softmax's logits, `(batch, num_classes)`."""
        return embeddings @ self.proxies[:, 0].t()

    def compare(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Give each image's cross-entropy and its distance to the centre of its class."""
        told_apart = nn.functional.cross_entropy(self.get_logits(embeddings), labels, reduction="none")
        distances = (embeddings - self.proxies[labels, 1]).square().sum(dim=1)
        return {
            "softmax_loss": per_image(told_apart * weights),
            "center_loss": per_image(self.lambda_c / 2 * distances * weights),
        }

    def get_default_distance(self) -> LpDistance:
        """Of embeddings as they are; what PML's regularisers of proxies compare by."""
        return LpDistance(normalize_embeddings=False)

    def get_default_weight_init_func(self) -> c_f.TorchInitWrapper:
        """Begin near zero."""
        return c_f.TorchInitWrapper(nn.init.normal_, std=1 / 8)

    def _sub_loss_names(self) -> list[str]:
        return ["softmax_loss", "center_loss"]


def _build(num_classes: int, embedding_size: int, *, lambda_c: float) -> nn.Module:
    return CenterLoss(num_classes, embedding_size, lambda_c)


SPEC = LossSpec(
    name="center",
    title="Softmax + centre",
    source="Wen et al., ECCV 2016, eq. 5",
    space={LOSS_LR: LOSS_LR_RANGE, "lambda_c": FloatDistribution(1e-4, 1, log=True)},
    build=_build,
    batch="classes",
    recommended={"lambda_c": 0.003},  # as the paper is quoted; not held against its text
    note="The range is ours, around 0.003, which the paper is quoted with. It trains lengths, so it is tested as it "
    "trains with similarity=euclidean.",
)
