"""The text of a new loss, of its test and of its package, by kind of loss; `$name` and its like are filled in."""

from typing import NamedTuple


class Template(NamedTuple):
    """A loss file, and the part of its test that holds it against its equation."""

    loss: str
    test: str


PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$distribution"
version = "0.1.0"
dependencies = ["mlrc"]

[project.entry-points."mlrc.losses"]
$name = "$name:SPEC"

[tool.hatch.build.targets.wheel]
include = ["$name.py"]
"""

PROXY = Template(
    loss='''\
"""$title: what the loss does, in one sentence.

    L = mean over i of -log softmax_c(cos(x_i, w_c) / T)_{y_i}

with one learned w_c per class. Put your equation here, and the paper: authors, venue, number of the equation.
"""

from typing import Any

import torch
from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import BaseMetricLossFunction
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize


class $cls(FullPrecision, BaseMetricLossFunction):
    """A loss of pytorch-metric-learning with parameters of its own; `loss_lr` below is their learning rate."""

    def __init__(self, num_classes: int, embedding_size: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.proxies = nn.Parameter(torch.randn(num_classes, embedding_size))

    def compute_loss(self, embeddings: Tensor, labels: Tensor, *_: Any) -> dict[str, Any]:
        """Give one value per image: `embeddings` is `(batch, dim)`, unnormalised, `labels` is 0..num_classes-1."""
        cosines = normalize(embeddings) @ normalize(self.proxies).t()
        losses = cross_entropy(cosines / self.temperature, labels, reduction="none")
        images = torch.arange(len(labels), device=labels.device)
        return {"loss": {"losses": losses, "indices": images, "reduction_type": "element"}}


def build(num_classes: int, embedding_size: int, *, temperature: float) -> nn.Module:
    """Build the loss for one training, with a value for every name of the space."""
    return $cls(num_classes, embedding_size, temperature)


SPEC = LossSpec(
    name="$name",
    title="$title",
    source="Authors, venue, equation",
    space={LOSS_LR: LOSS_LR_RANGE, "temperature": FloatDistribution(0.01, 1, log=True)},
    build=build,
    batch="classes",  # one image per class in a batch; "pairs" draws several
)
''',
    test="""\
    loss = $cls(num_classes=3, embedding_size=4, temperature=0.5).double()
    embeddings, labels = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1])
    terms = []
    for embedding, label in zip(embeddings, labels, strict=True):
        exponentials = [torch.exp(cosine_similarity(embedding, proxy, dim=0) / 0.5) for proxy in loss.proxies]
        terms.append(-torch.log(exponentials[label] / sum(exponentials)))
    torch.testing.assert_close(loss(embeddings, labels), sum(terms) / len(terms))
""",
)

PAIR = Template(
    loss='''\
"""$title: what the loss does, in one sentence.

    L = mean over i of 1/B (sum over positives j of 1 - cos(x_i, x_j) + sum over negatives j of [cos(x_i, x_j) - m]_+)

over a batch of B images. Put your equation here, and the paper: authors, venue, number of the equation.
"""

from typing import Any

import torch
from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.losses import BaseMetricLossFunction
from torch import Tensor, nn
from torch.nn.functional import normalize


class $cls(FullPrecision, BaseMetricLossFunction):
    """A loss of pytorch-metric-learning over the pairs of a batch, without parameters of its own."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def compute_loss(self, embeddings: Tensor, labels: Tensor, *_: Any) -> dict[str, Any]:
        """Give one value per image: `embeddings` is `(batch, dim)`, unnormalised, `labels` is 0..num_classes-1."""
        units = normalize(embeddings)
        cosines = units @ units.t()
        images = torch.arange(len(labels), device=labels.device)
        same = labels.unsqueeze(1) == labels.unsqueeze(0)
        itself = images.unsqueeze(1) == images.unsqueeze(0)
        pulls = (1 - cosines).masked_fill(~same | itself, 0)
        pushes = (cosines - self.margin).relu().masked_fill(same, 0)
        losses = (pulls + pushes).mean(dim=1)
        return {"loss": {"losses": losses, "indices": images, "reduction_type": "element"}}


def build(num_classes: int, embedding_size: int, *, margin: float) -> nn.Module:
    """Build the loss for one training, with a value for every name of the space."""
    del num_classes, embedding_size  # it has no proxies
    return $cls(margin)


SPEC = LossSpec(
    name="$name",
    title="$title",
    source="Authors, venue, equation",
    space={"margin": FloatDistribution(0, 1)},
    build=build,
    batch="pairs",  # several images per class in a batch; "classes" draws one
)
''',
    test="""\
    loss = $cls(margin=0.1)
    embeddings, labels = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1])
    total = 0.0
    for i in range(5):
        for j in range(5):
            cosine = cosine_similarity(embeddings[i], embeddings[j], dim=0)
            if i != j:
                total = total + (1 - cosine if labels[i] == labels[j] else (cosine - 0.1).clamp(min=0))
    torch.testing.assert_close(loss(embeddings, labels), total / 25)
""",
)

MINER = Template(
    loss='''\
"""$title: what the loss does, in one sentence.

    L = mean over the triplets (a, p, n) with cos(a, p) - cos(a, n) < m of  cos(a, n) - cos(a, p) + m

Put your equation here, what the miner takes, and the paper: authors, venue, number of the equation.
"""

from mlrc.losses.parts.full_precision import FullPrecision
from mlrc.losses.spec import LossSpec, MinedLoss
from optuna.distributions import FloatDistribution
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BaseMiner
from pytorch_metric_learning.utils import loss_and_miner_utils
from torch import Tensor
from torch.nn.functional import normalize


class $cls(FullPrecision, TripletMarginLoss):
    """PML's loss over the triplets that it is handed."""


class ${cls}Miner(FullPrecision, BaseMiner):
    """Takes the triplets whose negative is not yet farther than the positive by the margin."""

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def mine(
        self, embeddings: Tensor, labels: Tensor, ref_emb: Tensor, ref_labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give the places of anchors, positives and negatives, each `(triplets,)`."""
        cosines = normalize(embeddings) @ normalize(ref_emb).t()
        anchors, positives, negatives = loss_and_miner_utils.get_all_triplets_indices(labels, ref_labels)
        taken = cosines[anchors, positives] - cosines[anchors, negatives] < self.margin
        return anchors[taken], positives[taken], negatives[taken]


def build(num_classes: int, embedding_size: int, *, margin: float) -> MinedLoss:
    """Build the loss and its miner for one training, with a value for every name of the space."""
    del num_classes, embedding_size  # it has no proxies
    return MinedLoss($cls(margin, distance=CosineSimilarity()), ${cls}Miner(margin))


SPEC = LossSpec(
    name="$name",
    title="$title",
    source="Authors, venue, equation",
    space={"margin": FloatDistribution(0, 1)},
    build=build,
    batch="pairs",  # several images per class in a batch; "classes" draws one
)
''',
    test="""\
    loss, miner = SPEC.make(num_classes=2, embedding_size=4, params={"margin": 0.1})
    assert isinstance(loss, $cls)
    embeddings, labels = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1])
    terms = []
    for a in range(5):
        for p in range(5):
            for n in range(5):
                if a != p and labels[a] == labels[p] != labels[n]:
                    near = cosine_similarity(embeddings[a], embeddings[p], dim=0)
                    far = cosine_similarity(embeddings[a], embeddings[n], dim=0)
                    if near - far < 0.1:
                        terms.append(far - near + 0.1)
    found = loss(embeddings, labels, miner(embeddings, labels))
    torch.testing.assert_close(found, sum(terms) / len(terms))
""",
)

TEST = '''\
"""The loss equals its equation, and keeps the contract of every loss that is compared."""

import pytest
import torch
from mlrc.losses.contract import promises as contract
from torch.nn.functional import cosine_similarity

from $name import SPEC, $cls


def test_the_loss_is_that_of_its_equation():
$equation

@pytest.mark.parametrize("promise", contract.PROMISES, ids=contract.title)
def test_the_loss_keeps_the_contract(promise):
    promise(SPEC)
'''
