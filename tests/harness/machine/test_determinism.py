"""Bits and precision: what a job finds set before it begins."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from mlrc.harness.machine import determinism
from mlrc.harness.machine.determinism import deterministic_device, in_force


@pytest.fixture
def settings_of_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Give the places where torch keeps what float32 means on CUDA, and bring back what a job changes."""
    if not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("torch before 2.9 names them otherwise")
    places: list[Any] = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]
    before, threads = [place.fp32_precision for place in places], torch.get_num_threads()
    cudnn, deterministic = torch.backends.cudnn, torch.utils.deterministic
    monkeypatch.setattr(cudnn, "deterministic", False)
    monkeypatch.setattr(cudnn, "benchmark", True)
    monkeypatch.setattr(deterministic, "fill_uninitialized_memory", True)
    yield places
    for place, was in zip(places, before, strict=True):
        place.fp32_precision = was
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.fixture
def an_ampere(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Let there be a GPU, and give the devices that were taken."""
    taken: list[torch.device] = []
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(determinism, "resolve_device", lambda name: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    return taken


@pytest.mark.parametrize(("precision", "convolutions"), [("float32", "ieee"), ("tf32", "tf32"), ("bfloat16", "ieee")])
def test_a_job_on_a_gpu_has_the_precision_of_its_protocol_and_the_same_bits_again(
    settings_of_cuda: list[Any], an_ampere: list[torch.device], precision: str, convolutions: str
) -> None:
    settings_of_cuda[0].fp32_precision = "ieee" if precision == "tf32" else "tf32"
    settings_of_cuda[1].fp32_precision = "tf32"
    assert deterministic_device("cuda", precision) == torch.device("cuda", 0)
    assert an_ampere == [torch.device("cuda", 0)]
    assert [place.fp32_precision for place in settings_of_cuda] == [convolutions, "ieee"]
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    told = in_force("cuda:0")
    assert (told["convolutions"], told["matrix products"]) == (convolutions, "ieee")
    assert (told["cudnn.deterministic"], told["cudnn.benchmark"]) == ("True", "False")
    assert told["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_processor_has_no_settings_to_tell_and_no_tensorfloat_32() -> None:
    assert in_force("cpu") == {}
    with pytest.raises(ValueError, match="but the device is cpu; train there, or with precision=float32"):
        deterministic_device("cpu", "tf32")


@pytest.mark.parametrize(
    ("given", "expected"), [(None, ":4096:8"), (":16:8", ":16:8"), (":4096:8", ":4096:8"), (":4096:2", ":4096:8")]
)
def test_a_worker_begins_with_a_workspace_of_cublas_that_gives_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(determinism, "keep_memory", lambda: kept.append(True))
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", given or "")
    determinism.prepare_process()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == expected
    assert kept


@pytest.mark.gpu
def test_on_a_gpu_float32_products_are_of_float32(settings_of_cuda: list[Any]) -> None:
    device = deterministic_device("cuda")
    images, kernel = torch.randn(8, 64, 28, 28), torch.randn(64, 64, 3, 3)
    exact = torch.nn.functional.conv2d(images.double(), kernel.double())
    found = torch.nn.functional.conv2d(images.to(device), kernel.to(device)).cpu()
    assert (found - exact).norm() < 1e-5 * exact.norm()
