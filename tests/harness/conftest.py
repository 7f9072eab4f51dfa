"""A set of sixteen made-up classes, small enough that a whole protocol over it takes a second."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlrc.harness.engine import inputs
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.job import FoldJob, Value
from mlrc.harness.plan.search import sobol_point
from mlrc.harness.plan.study import Study
from mlrc.harness.plugins import LOSSES
from mlrc.harness.training.fold import OnValidation
from mlrc.protocols.datasets.facts import DatasetFacts
from mlrc.protocols.protocol import PerDataset, Protocol
from mlrc.protocols.quick import QUICK
from mlrc.results.records.record import Environment

POSTGRES = shutil.which("initdb") or next(
    iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")))), None
)
"""The program that sets up a PostgreSQL server, where there is one."""


SHARED_DATA = Path(os.environ.get("MLRC_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
"""The folder of real images and weights, beside the checkout where it is there."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and count as left out, the tests that need what is not there."""
    there = {"postgres": POSTGRES is not None, "shared_data": SHARED_DATA.is_dir()}
    absent = {mark for mark, is_there in there.items() if not is_there}
    without = [item for item in items if absent & set(item.keywords)]
    config.hook.pytest_deselected(items=without)
    items[:] = [item for item in items if item not in without]


CLASSES, PER_CLASS, SIDE = 16, 6, 16
ENVIRONMENT = Environment(commit="c0ffee", versions={"torch": "0"}, device="cpu", host="here")


class SpyPixels:
    """Images that remember which of them were read."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self._array = array
        self.read: set[int] = set()

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        self.read.add(index)
        image: NDArray[np.uint8] = self._array[index]
        return image


@pytest.fixture
def shared_data() -> Path:
    """Give the folder of real images and weights, for the tests that are marked shared_data."""
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_protocol() -> Protocol:
    return QUICK.vary(
        {
            "resize": SIDE,
            "crop": SIDE,
            "embedding_size": 8,
            "batch_size": 8,
            "lr": 1e-3,
            "iterations_per_epoch": 2,
            "max_epochs": 4,
            "validation_interval": PerDataset(2),
            "trials": 3,
            "repeats": 2,
            "ndcg_at": (1, 2),
            "recall_at": PerDataset((1, 2)),
        }
    )


@pytest.fixture
def tiny_images() -> ImageSet:
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 256, (CLASSES, 1, SIDE, SIDE, 1))
    noise = generator.integers(-60, 60, (CLASSES, PER_CLASS, SIDE, SIDE, 1))
    array = np.clip(patterns + noise, 0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE, 1)
    return ImageSet(
        facts=DatasetFacts(name="tiny", title="Tiny", source="made up", licence="none"),
        fingerprint="0123456789abcdef",
        labels=np.repeat(np.arange(CLASSES), PER_CLASS),
        class_names=tuple(map(str, range(CLASSES))),
        pixels=SpyPixels(array),
    )


@pytest.fixture
def workplace(tiny_images: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    """A workplace in which opening any dataset gives the tiny images."""

    def open_tiny(name: str, root: Path) -> ImageSet:
        return tiny_images

    monkeypatch.setattr(inputs, "open_dataset", open_tiny)
    inputs._inputs.cache_clear()
    inputs.images_of.cache_clear()
    yield Workplace(roots={"tiny": ("tiny", tmp_path / "nowhere")}, device="cpu", environment=ENVIRONMENT)
    inputs._inputs.cache_clear()
    inputs.images_of.cache_clear()


@pytest.fixture
def study(tiny_protocol: Protocol, tiny_images: ImageSet) -> Study:
    return Study(protocol=tiny_protocol, dataset="tiny", fingerprint=tiny_images.fingerprint, loss="contrastive")


@pytest.fixture
def job(study: Study) -> FoldJob:
    return study.jobs("search", 0, {"pos_margin": 0.0, "neg_margin": 0.5})[0]


@pytest.fixture
def silent() -> OnValidation:
    return lambda epoch, score, loss: None


def any_params(loss: str) -> dict[str, Value]:
    """Give parameters inside the space of a loss."""
    return sobol_point(LOSSES.find(loss).space, 0, seed=1) if LOSSES.find(loss).space else {}
