"""Bits and precision: what a job finds set before it begins."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from mlrc.harness.machine import determinism
from mlrc.harness.machine.determinism import deterministic_device


@pytest.fixture
def settings_of_cuda() -> Iterator[list[Any]]:
    """Give the places where torch keeps what float32 means on CUDA, and bring back what a job changes."""
    if not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("torch before 2.9 names them otherwise")
    places: list[Any] = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]
    before, threads = [place.fp32_precision for place in places], torch.get_num_threads()
    yield places
    for place, was in zip(places, before, strict=True):
        place.fp32_precision = was
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def test_a_job_on_a_gpu_has_true_float32_and_the_same_bits_again(
    monkeypatch: pytest.MonkeyPatch, settings_of_cuda: list[Any]
) -> None:
    taken: list[torch.device] = []
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(determinism, "resolve_device", lambda name: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for place in settings_of_cuda:
        place.fp32_precision = "tf32"
    assert deterministic_device("cuda") == torch.device("cuda", 0)
    assert taken == [torch.device("cuda", 0)]
    assert [place.fp32_precision for place in settings_of_cuda] == ["ieee", "ieee"]
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.gpu
def test_on_a_gpu_float32_products_are_of_float32(settings_of_cuda: list[Any]) -> None:
    device = deterministic_device("cuda")
    images, kernel = torch.randn(8, 64, 28, 28), torch.randn(64, 64, 3, 3)
    exact = torch.nn.functional.conv2d(images.double(), kernel.double())
    found = torch.nn.functional.conv2d(images.to(device), kernel.to(device)).cpu()
    assert (found - exact).norm() < 1e-5 * exact.norm()
