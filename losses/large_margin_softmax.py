"""Large-margin softmax: classification whose target's angle is multiplied.

    L = mean over i of -log[ e^{|w_y||x| psi(theta_y)} / (e^{|w_y||x| psi(theta_y)} + sum over c != y of e^{w_c . x}) ]
    psi(theta) = (-1)^k cos(m theta) - 2k  for theta in [k pi/m, (k + 1) pi/m]

W. Liu, Y. Wen, Z. Yu, M. Yang: Large-Margin Softmax Loss for Convolutional Neural Networks, ICML 2016, equation (6).
"""

import math

import torch
from optuna.distributions import IntDistribution
from pytorch_metric_learning.losses import LargeMarginSoftmaxLoss
from torch import nn

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class LargeMarginSoftmax(FullPrecision, LargeMarginSoftmaxLoss):
    """PML's `LargeMarginSoftmaxLoss`, in full precision."""

    margin: int

    def init_margin(self) -> None:
        """Give cos(m theta) as a polynomial of cos(theta); PML's own way to it is deprecated by NumPy 2."""
        self.margin = int(self.margin)
        self.max_n = self.margin // 2
        self.n_range = torch.arange(self.max_n + 1)
        self.margin_choose_n = torch.tensor([math.comb(self.margin, 2 * n) for n in range(self.max_n + 1)])
        self.cos_powers = self.margin - 2 * self.n_range
        self.alternating = 1 - 2 * (self.n_range % 2)


def _build(num_classes: int, embedding_size: int, *, margin: int) -> nn.Module:
    return LargeMarginSoftmax(num_classes, embedding_size, margin=margin)


SPEC = LossSpec(
    name="large_margin_softmax",
    title="L-Softmax",
    source="Liu et al., ICML 2016, eq. 6",
    space={
        LOSS_LR: LOSS_LR_RANGE,
        "margin": IntDistribution(1, 4),
    },
    build=_build,
    batch="classes",
    note="The margins are those of the paper.",
)
