"""What a comparison makes of the words of a command."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.metrics.task import Task
from mlrc.harness.study import comparison
from mlrc.protocols.protocol import Protocol


def test_the_queries_of_a_dataset_become_the_task_of_its_test_images(
    monkeypatch: pytest.MonkeyPatch, tiny_images: ImageSet, tiny_protocol: Protocol
) -> None:
    every_third = np.arange(len(tiny_images.labels)) % 3 == 0
    opened = iter((tiny_images, replace(tiny_images, queries=every_third)))
    monkeypatch.setattr(comparison, "open_dataset", lambda name, root: next(opened))
    own_gallery, asking = (
        comparison.checked_comparison(
            dataset="tiny", losses=["contrastive"], protocol=tiny_protocol, root=Path("nowhere"), device="cpu"
        )
        for _ in range(2)
    )
    task = Task.of(asking.images, asking.test)
    np.testing.assert_array_equal(task.labels, tiny_images.labels[asking.test])
    assert task.queries is not None
    np.testing.assert_array_equal(task.queries, asking.test % 3 == 0)
    assert Task.of(own_gallery.images, own_gallery.test).queries is None
