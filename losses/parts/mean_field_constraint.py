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
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from mlrc.losses.parts.class_means import log1p_exp

ROWS_AT_ONCE = 256


class MeanFieldConstraint(BaseRegularizer):
    """A weight regulariser for mean fields `(num_classes, dim)`; one element per class, their mean by default.

    Memory grows with the classes, not with their square: the comparison goes by blocks of `ROWS_AT_ONCE` classes, which
    the backward pass computes again.

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
        losses = torch.zeros_like(weights[:, 0])
        for start in range(0, len(weights), ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, len(weights))
            of_rows, of_later = checkpoint(
                self._penalties, weights[start:stop], weights[start:], use_reentrant=False, preserve_rng_state=False
            )
            losses = losses + pad(of_rows, (start, len(weights) - stop)) + pad(of_later, (start, 0))
        classes = c_f.torch_arange_from_size(weights)
        return {"loss": {"losses": losses, "indices": classes, "reduction_type": "element", "divisor": len(weights)}}

    def get_default_distance(self) -> CosineSimilarity:
        """Compare by cosine, as the paper does."""
        return CosineSimilarity()

    def _penalties(self, rows: Tensor, later: Tensor) -> tuple[Tensor, Tensor]:
        """Compare each row with every later class, itself among them; give the sums by row and by later class."""
        too_near = self.margin - 1 + self.distance(rows, later)  # margin - d
        seen = torch.ones(len(rows), len(rows), dtype=torch.bool, device=rows.device).tril()  # itself and earlier ones
        too_near[:, : len(rows)].masked_fill_(seen, -torch.inf)
        penalties = too_near.relu() if self.beta is None else log1p_exp(self.beta * too_near) / self.beta
        powers = penalties**self.power
        return powers.sum(dim=1), powers.sum(dim=0)
