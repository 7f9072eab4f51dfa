"""Real photographs through real ImageNet weights: the whole input path against numbers measured elsewhere."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mlrc.harness.images.cache import cached
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.metrics.retrieval import retrieval
from mlrc.harness.training import model
from mlrc.harness.training.fold import Subset, embed
from mlrc.harness.trunks.catalogue import with_trunk
from mlrc.protocols.quick import QUICK


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("trunk", "file", "expected"),
    [
        ("squeezenet1_1", "squeezenet1_1_features.pth", {"P@1": 87.8, "RP": 37.6, "MAP@R": 27.0}),
        ("mobilenet_v2", "mobilenet_v2_1001.pth", {"P@1": 87.7, "RP": 36.5, "MAP@R": 26.1}),
    ],
)
def test_untrained_trunks_retrieve_groceries_as_the_reference_says(
    shared_data: Path, tmp_path: Path, trunk: str, file: str, expected: dict[str, float]
) -> None:
    with zipfile.ZipFile(shared_data / "grocery" / "grocery_128.zip") as archive:
        archive.extractall(tmp_path / "grocery")
    weights = shared_data / "weights" / file
    protocol = with_trunk(QUICK.vary({"resize": 128, "crop": 128}), trunk, weights)
    images = open_dataset(f"folder:{tmp_path / 'grocery'}", tmp_path)
    pixels = cached(images, protocol.resize, folder=tmp_path / "cache")
    test = Subset(pixels, images.labels, np.flatnonzero(images.labels >= 40))
    network = model.build(protocol, seed=0, weights=weights)
    embeddings = embed(network, test, protocol, torch.device("cpu"), features=True)
    found = retrieval(embeddings, images.labels[test.indices]).means()
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=0.3)
