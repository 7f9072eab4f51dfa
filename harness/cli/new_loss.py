"""The body of `mlrc new-loss NAME`: a small installable package with a loss that keeps the contract as it stands."""

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from string import Template

from mlrc.harness.plugins import LOSSES

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

LOSS = '''\
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
    """A loss of pytorch-metric-learning; one without parameters of its own drops `proxies`, and `loss_lr` below."""

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
'''

TEST = '''\
"""The loss equals its equation, and keeps the contract of every loss that is compared."""

import pytest
import torch
from mlrc.losses.contract import promises as contract
from torch.nn.functional import cosine_similarity

from $name import SPEC, $cls


def test_the_loss_is_that_of_its_equation():
    loss = $cls(num_classes=3, embedding_size=4, temperature=0.5).double()
    embeddings, labels = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1])
    terms = []
    for embedding, label in zip(embeddings, labels, strict=True):
        exponentials = [torch.exp(cosine_similarity(embedding, proxy, dim=0) / 0.5) for proxy in loss.proxies]
        terms.append(-torch.log(exponentials[label] / sum(exponentials)))
    torch.testing.assert_close(loss(embeddings, labels), sum(terms) / len(terms))


@pytest.mark.parametrize("promise", contract.PROMISES, ids=contract.title)
def test_the_loss_keeps_the_contract(promise):
    promise(SPEC)
'''


def write(name: str, parent: Path) -> Path:
    """Write the package of a new loss into `parent/name`: the loss with its spec, its test, and pyproject.toml.

    Args:
        name: of the loss and of its module, `lower_case_with_underscores`.
        parent: an existing folder.

    Returns:
        The folder written.

    Raises:
        ValueError: the name is no name of a loss, or is taken by a loss or by an importable module.
        FileExistsError: there is something at `parent/name`.
    """
    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise ValueError(f"A loss's name must be lower_case_with_underscores, but got {name!r}.")
    if name in LOSSES.names():
        raise ValueError(f"A new loss must have a name of its own, but there is a loss named {name!r}; choose another.")
    if find_spec(name) is not None:
        raise ValueError(f"A loss's module must have a name of its own, but {name!r} is one already; choose another.")
    folder = parent / name
    if folder.exists():
        raise FileExistsError(f"{folder} must not exist yet, but does; choose another name, or move it away.")
    words = name.split("_")
    names = {
        "name": name,
        "distribution": name.replace("_", "-"),
        "cls": "".join(word.capitalize() for word in words) + "Loss" * (words[-1] != "loss"),
        "title": " ".join(word.capitalize() for word in words),
    }
    (folder / "tests").mkdir(parents=True)
    for path, template in (
        ("pyproject.toml", PYPROJECT),
        (f"{name}.py", LOSS),
        (f"tests/test_{name}.py", TEST),
    ):
        (folder / path).write_text(Template(template).substitute(names), encoding="utf-8")
    return folder
