"""What is found out of a comparison and its means before any training begins."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.study import Study
from mlrc.harness.study.carry_out import ready
from mlrc.harness.study.comparison import Comparison


def _comparison(study: Study, images: ImageSet, workplace: Workplace, precision: str, device: str) -> Comparison:
    precise = replace(study, protocol=study.protocol.vary({"precision": precision}))
    return Comparison(studies=(precise,), images=images, test=np.arange(0), workplace=workplace, devices=(device,))


def test_a_device_without_tensorfloat_32_is_refused_before_any_work(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    with (
        pytest.raises(ValueError, match="precision=tf32 must have an NVIDIA GPU of the Ampere generation or later"),
        ready(_comparison(study, tiny_images, workplace, "tf32", "cpu"), runs),
    ):
        pass
    assert not runs.exists()
    for capability, refused in (((7, 5), True), ((8, 0), False), ((9, 0), False)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, given=capability: given)
        comparison = _comparison(study, tiny_images, workplace, "tf32", "cuda:0")
        if refused:
            with pytest.raises(ValueError, match="but the device is cuda:0"), ready(comparison, runs):
                pass
        else:
            with ready(comparison, runs):
                pass


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_processor_has_the_other_precisions(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace, precision: str
) -> None:
    with ready(_comparison(study, tiny_images, workplace, precision, "cpu"), tmp_path / "runs"):
        pass
