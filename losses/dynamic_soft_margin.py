"""Dynamic soft margin: triplets weighed by how hard they are among those of late, with no margin to choose.

    L = mean over triplets of F(d_ap - d_an) (d_ap - d_an)

d is the Euclidean distance of L2-normalised embeddings, F the running distribution function of d_ap - d_an: a histogram
over [-2, 2] that takes each batch in with weight `momentum`. L. Zhang, S. Rusinkiewicz: Learning Local Descriptors with
a CDF-Based Dynamic Soft Margin, ICCV 2019. PML 2.9 keeps the histogram out of the loss's saved state, follows gradients
through it into batches long gone (an error at the second step), and overruns it where a difference is near 2.
"""

import torch
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import DynamicSoftMarginLoss
from torch import Tensor, nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec


class DynamicSoftMargin(FullPrecision, DynamicSoftMarginLoss):
    """PML's `DynamicSoftMarginLoss` in full precision, its histogram a buffer of 512 bins without a gradient."""

    hist_: Tensor

    def __init__(self, momentum: float) -> None:
        super().__init__(num_bins=512, momentum=momentum)
        del self.hist_
        self.register_buffer("hist_", torch.zeros(self.num_bins + 2))  # a difference of 2 falls on the last edge

    def compute_loss_with_labels(self, *arguments: Tensor) -> Tensor:
        """Give d_ap - d_an of all triplets, within [-2, 2] despite rounding."""
        differences: Tensor = super().compute_loss_with_labels(*arguments)
        return differences.clamp(-2, 2)

    def update_histogram(self, data: Tensor) -> None:
        """Take the batch's differences into the histogram."""
        super().update_histogram(data.detach())


def _build(num_classes: int, embedding_size: int, *, momentum: float) -> nn.Module:
    del num_classes, embedding_size
    return DynamicSoftMargin(momentum)


SPEC = LossSpec(
    name="dynamic_soft_margin",
    title="Dynamic Soft Margin",
    source="Zhang, Rusinkiewicz, ICCV 2019",
    space={"momentum": FloatDistribution(1e-3, 1, log=True)},
    build=_build,
    batch="pairs",
    note="All triplets of the batch take part, as in PML, where the paper takes the hardest. The range is ours, around "
    "PML's 0.01.",
)
