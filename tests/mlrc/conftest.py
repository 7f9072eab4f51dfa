"""A loss in a file and rules so small that a whole comparison takes seconds."""

from pathlib import Path

import pytest

LOSS = '''\
"""A loss of a test, in a file of its own."""

from mlrc import LossSpec
from optuna.distributions import FloatDistribution
from torch import Tensor, nn
from torch.nn.functional import normalize


class Pull(nn.Module):
    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosines = normalize(embeddings.float()) @ normalize(embeddings.float()).t()
        same = labels.unsqueeze(1) == labels.unsqueeze(0)
        return ((1 - cosines) * same + (cosines - self.margin).relu() * ~same).mean()


def build(num_classes: int, embedding_size: int, *, margin: float) -> nn.Module:
    return Pull(margin)


SPEC = LossSpec(
    name="{name}",
    title="Pull",
    source="a test",
    space={{"margin": FloatDistribution(0, 1)}},
    build=build,
    batch="pairs",
)
'''

SMALL = {
    "embedding_size": 8,
    "batch_size": 8,
    "iterations_per_epoch": 2,
    "max_epochs": 1,
    "validation_interval": 1,
    "folds": 2,
    "trials": 2,
    "startup_trials": 1,
    "repeats": 2,
    "resize": 16,
    "crop": 16,
}


@pytest.fixture
def loss_file(tmp_path: Path) -> Path:
    """Write the file of a loss named `pull`."""
    path = tmp_path / "pull.py"
    path.write_text(LOSS.format(name="pull"), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")
