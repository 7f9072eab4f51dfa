"""What a comparison refuses before any work is spent."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import comparison
from harness.images.dataset import ImageSet
from protocols.protocol import Protocol


def test_a_dataset_with_queries_and_a_gallery_is_not_scored_as_if_it_had_none(
    monkeypatch: pytest.MonkeyPatch, tiny_images: ImageSet, tiny_protocol: Protocol
) -> None:
    asking = replace(tiny_images, queries=np.arange(len(tiny_images.labels)) % 2 == 0)
    monkeypatch.setattr(comparison, "open_dataset", lambda name, root: asking)
    with pytest.raises(ValueError, match="'tiny' is scored from queries to a gallery"):
        comparison.prepare(
            dataset="tiny", losses=["contrastive"], protocol=tiny_protocol, root=Path("nowhere"), device="cpu"
        )
