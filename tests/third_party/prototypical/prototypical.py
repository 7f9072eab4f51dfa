"""Prototypical loss: each image classified by its distance to the means of the batch's classes, its own left out.

    L = mean over i with positives of -log softmax_c(-|x_i - m_c|^2 / T)_{y_i},   m_y without x_i

of L2-normalised embeddings x. After J. Snell, K. Swersky, R. Zemel: Prototypical Networks for Few-shot Learning,
NIPS 2017, equation (2). It takes from mlrc nothing but the specification.
"""

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from mlrc.losses.spec import LossSpec


class PrototypicalLoss(nn.Module):
    """A plain torch module: `forward` takes embeddings `(batch, dim)`, labels `(batch,)`, and a miner's indices."""

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: None = None) -> Tensor:
        """Give the loss; an image that is alone in its class has none."""
        del indices_tuple
        with torch.autocast(embeddings.device.type, enabled=False):
            rows = normalize(embeddings if embeddings.dtype == torch.float64 else embeddings.float())
            members = torch.unique(labels.to(rows.device), return_inverse=True)[1]
            belongs = one_hot(members).to(rows.dtype)  # (batch, classes)
            sizes = belongs.sum(dim=0)
            means = (belongs.t() @ rows) / sizes.unsqueeze(1)
            others = (sizes[members].unsqueeze(1) * means[members] - rows) / (sizes[members] - 1).clamp(
                min=1
            ).unsqueeze(1)
            to_own = (rows - others).square().sum(dim=1, keepdim=True)
            to_all = (rows.unsqueeze(1) - means).square().sum(dim=2)
            distances = torch.where(belongs.bool(), to_own, to_all)
            terms = cross_entropy(-distances / self.temperature, members, reduction="none")
            paired = (sizes[members] > 1).to(rows.dtype)
            return (terms * paired).sum() / paired.sum().clamp(min=1)


def build(num_classes: int, embedding_size: int, *, temperature: float) -> nn.Module:
    """Build the loss for one training; it needs to know neither the classes nor the dimensions."""
    del num_classes, embedding_size
    return PrototypicalLoss(temperature)


SPEC = LossSpec(
    name="prototypical",
    title="Prototypical",
    source="Snell et al., NIPS 2017, eq. 2",
    space={"temperature": FloatDistribution(0.01, 10, log=True)},
    build=build,
    batch="pairs",
)
