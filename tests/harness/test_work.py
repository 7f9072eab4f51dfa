"""The job border: what an exception becomes, and of what the machine had too little."""

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from harness import work
from harness.plan import FoldJob
from harness.work import Workplace, perform, prepared


def _raising(error: Callable[[], object]) -> Callable[..., object]:
    def train(*arguments: object, **options: object) -> object:
        return error()

    return train


def _memory_of_a_device() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def _memory_of_the_host() -> torch.Tensor:
    return torch.empty(1 << 52)


def _memory_of_cuda_s_own() -> None:
    raise torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")


def _memory_of_cublas() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def _disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _plain() -> None:
    raise KeyError("weights")


def _leaves() -> None:
    raise SystemExit(0)


@pytest.mark.parametrize(
    ("error", "shortage", "told"),
    [
        (_memory_of_a_device, "memory", "OutOfMemoryError: CUDA out of memory."),
        (_memory_of_the_host, "memory", "RuntimeError"),
        (_memory_of_cuda_s_own, "memory", "AcceleratorError: CUDA error: out of memory"),
        (_memory_of_cublas, "memory", "CUBLAS_STATUS_ALLOC_FAILED"),
        (_disk, "disk", "No space left on device"),
        (_plain, "", "KeyError: 'weights' (test_work.py, line"),
        (_leaves, "", "SystemExit"),
    ],
)
def test_what_goes_wrong_in_a_job_is_a_record_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
    job: FoldJob,
    workplace: Workplace,
    error: Callable[[], object],
    shortage: str,
    told: str,
) -> None:
    monkeypatch.setattr(work, "train_fold", _raising(error))
    outcome = perform(job, workplace, lambda *_: None, lambda: False)
    assert (outcome.record.outcome, outcome.shortage, outcome.embeddings) == ("failed", shortage, None)
    assert told in outcome.record.message
    assert outcome.record.key == job.key


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
    monkeypatch.setattr(work, "resolve_device", lambda name: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for place in settings_of_cuda:
        place.fp32_precision = "tf32"
    assert prepared("cuda") == torch.device("cuda", 0)
    assert taken == [torch.device("cuda", 0)]
    assert [place.fp32_precision for place in settings_of_cuda] == ["ieee", "ieee"]
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.gpu
def test_on_a_gpu_float32_products_are_of_float32(settings_of_cuda: list[Any]) -> None:
    device = prepared("cuda")
    images, kernel = torch.randn(8, 64, 28, 28), torch.randn(64, 64, 3, 3)
    exact = torch.nn.functional.conv2d(images.double(), kernel.double())
    found = torch.nn.functional.conv2d(images.to(device), kernel.to(device)).cpu()
    assert (found - exact).norm() < 1e-5 * exact.norm()
