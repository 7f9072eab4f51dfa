"""The mean-field constraint as a weight regulariser: the mean fields of two classes stay apart.

    R = 1/|C| sum over c, c' != c of h(d(m_c, m_c'))^p,   d = 1 - cos,
    h(d) = [margin - d]_+,  or with beta  (1/beta) log(1 + e^{beta (margin - d)})

It penalises what equation (7) of arXiv 2306.15368 demands, the loss at zeroth order of the fluctuations: see equations
(8), with the hinge, and (10), with the soft hinge.
"""

from typing import Any

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.regularizers.base_regularizer import BaseRegularizer
from pytorch_metric_learning.utils import common_functions as c_f
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from losses.class_means import log1p_exp

ROWS_AT_ONCE = 256


class MeanFieldConstraint(BaseRegularizer):
    """A weight regulariser for mean fields `(num_classes, dim)`; one element per class, their mean by default.

    Memory grows with the classes, not with their square: beyond `ROWS_AT_ONCE` classes the comparison goes by blocks,
    which the backward pass computes again.

    Args:
        margin: the cosine distance below which two classes are too near.
        beta: sharpness of the soft hinge; `None` takes the hinge.
        power: p.
    """

    def __init__(self, margin: float, beta: float | None = None, power: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        c_f.assert_distance_type(self, CosineSimilarity)
        self.margin, self.beta, self.power = margin, beta, power
        self.add_to_recordable_attributes(list_of_names=["margin", "beta", "power"], is_stat=False)

    def compute_loss(self, weights: Tensor) -> dict[str, Any]:
        """Give PML's loss dictionary: for every class the penalties of all others, summed."""
        if len(weights) <= ROWS_AT_ONCE:
            losses = self._penalties(weights, weights, 0)
        else:
            starts = range(0, len(weights), ROWS_AT_ONCE)
            blocks = [
                checkpoint(self._penalties, weights[start : start + ROWS_AT_ONCE], weights, start, use_reentrant=False)
                for start in starts
            ]
            losses = torch.cat(blocks)
        classes = c_f.torch_arange_from_size(weights)
        return {"loss": {"losses": losses, "indices": classes, "reduction_type": "element", "divisor": len(weights)}}

    def get_default_distance(self) -> CosineSimilarity:
        """Compare by cosine, as the paper does."""
        return CosineSimilarity()

    def _penalties(self, rows: Tensor, weights: Tensor, start: int) -> Tensor:
        too_near = self.margin - 1 + self.distance(rows, weights)  # margin - d
        too_near.diagonal(start).fill_(-torch.inf)  # a class is not kept from itself
        penalties = too_near.relu() if self.beta is None else log1p_exp(self.beta * too_near) / self.beta
        return (penalties**self.power).sum(dim=1)
