"""What our losses with proxies share: the proxies themselves, and the order of work that PML expects."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.losses.mixins import WeightRegularizerMixin
from pytorch_metric_learning.utils import common_functions as c_f
from pytorch_metric_learning.utils import loss_and_miner_utils as lmu
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision


class ProxyLoss(FullPrecision, WeightRegularizerMixin, BaseMetricLossFunction, ABC):
    """A PML loss that learns `proxies`; a loss of ours fills in `compare`. Its proxies need an optimizer.

    Args:
        shape: of the proxies, `(num_classes, dim)` or `(num_classes, proxies_per_class, dim)`; they are initialised as
            rows, so that the fan of an initialisation does not depend on how they are grouped.
        kwargs: PML's distance, reducer, regularisers and weight_init_func.
    """

    def __init__(self, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        rows = torch.empty(math.prod(shape[:-1]), shape[-1])
        self.weight_init_func(rows)
        self.proxies = nn.Parameter(rows.view(*shape))
        self.num_classes, self.embedding_size = shape[0], shape[-1]
        self.add_to_recordable_attributes(list_of_names=["num_classes", "embedding_size"], is_stat=False)

    def cast_types(self, dtype: torch.dtype, device: torch.device) -> None:
        """Bring the proxies to the embeddings' type and device, as PML's losses do."""
        self.proxies.data = c_f.to_device(self.proxies.data, device=device, dtype=dtype)

    def get_logits(self, embeddings: Tensor) -> Tensor:
        """Give every image's distance or similarity to every class, `(batch, num_classes)`."""
        to_proxies: Tensor = self.distance(embeddings, self.proxies)
        return to_proxies

    @abstractmethod
    def compare(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> dict[str, Any]:
        """Give PML's loss dictionary without regularisers.

        Args:
            embeddings: `(batch, dim)`, unnormalised.
            labels: `(batch,)`, int64, 0..num_classes-1.
            weights: `(batch,)`, how often a miner took the image, 1 for the most frequent; all 1 without a miner.
        """

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """Give PML's loss dictionary; raise `ValueError` without labels or with reference embeddings."""
        c_f.labels_required(labels)
        c_f.ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        self.cast_types(embeddings.dtype, embeddings.device)
        weights = lmu.convert_to_weights(indices_tuple, labels, dtype=embeddings.dtype)
        loss_dict = self.compare(embeddings, labels, weights)
        self.add_weight_regularization_to_loss_dict(loss_dict, self.proxies.flatten(0, -2))
        return loss_dict


def per_image(losses: Tensor) -> dict[str, Any]:
    """Give the entry of PML's loss dictionary for one value per image, `(batch,)`, averaged by default."""
    return {
        "losses": losses,
        "indices": c_f.torch_arange_from_size(losses),
        "reduction_type": "element",
        "divisor": len(losses),
    }
