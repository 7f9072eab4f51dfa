"""The regulariser that draws the proxies of one class together, so that a class uses no more of them than it needs.

    R = sum over c of sum over t < s of sqrt(2 - 2 cos(w_cs, w_ct)) / (C K (K - 1))

Q. Qian, L. Shang, B. Sun, J. Hu, H. Li, R. Jin: SoftTriple Loss, ICCV 2019, and Multi Proxy Anchor Loss,
arXiv 2110.03997, equation (3).
"""

from typing import Any

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.reducers import DivisorReducer
from pytorch_metric_learning.regularizers.base_regularizer import BaseRegularizer
from pytorch_metric_learning.utils import common_functions as c_f
from torch import Tensor


class ProxySpreadRegularizer(BaseRegularizer):
    """A weight regulariser for class-major proxies `(classes * proxies_per_class, dim)`.

    Unlike PML's `SparseCentersRegularizer` it compares within the classes only, so that memory grows with the proxies
    and not with their square, and its gradient is finite where two coincide (PML's before torch 2.15 is NaN). One
    proxy per class gives 0.

    Args:
        proxies_per_class: K >= 1.
        epsilon: added under the root; SoftTriple's authors add 1e-5.
    """

    def __init__(self, proxies_per_class: int, epsilon: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        c_f.assert_distance_type(self, CosineSimilarity)
        self.proxies_per_class = proxies_per_class
        self.epsilon = epsilon
        self.add_to_recordable_attributes(list_of_names=["proxies_per_class", "epsilon"], is_stat=False)

    def compute_loss(self, weights: Tensor) -> dict[str, Any]:
        """Give one element per proxy: half its summed distances to the others of its class."""
        per_class = self.distance.normalize(weights).view(-1, self.proxies_per_class, weights.size(1))
        squared = (2 - 2 * per_class @ per_class.transpose(1, 2)).clamp(min=0) + self.epsilon  # (C, K, K)
        itself = torch.eye(self.proxies_per_class, dtype=torch.bool, device=weights.device)
        coincident = itself | (squared == 0)  # where the root has no gradient, the distance's is taken as 0
        distances = squared.masked_fill(coincident, 1).sqrt().masked_fill(coincident, 0)
        return {
            "loss": {
                "losses": distances.sum(dim=2).flatten() / 2,
                "indices": c_f.torch_arange_from_size(weights),
                "reduction_type": "element",
                "divisor": len(weights) * (self.proxies_per_class - 1),
            }
        }

    def get_default_distance(self) -> CosineSimilarity:
        """Proxies are compared by their angle alone."""
        return CosineSimilarity()

    def get_default_reducer(self) -> DivisorReducer:
        """Divide the sum by C K (K - 1); PML's reducer gives 0 when that is 0."""
        return DivisorReducer()
