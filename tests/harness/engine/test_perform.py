"""The job border: what an exception becomes, and of what the machine had too little."""

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mlrc.harness.engine import perform as work
from mlrc.harness.engine.perform import perform
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.plan.job import FoldJob


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


def _memory_of_cudnn() -> None:
    raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")


def _memory_of_a_later_cudnn() -> None:
    raise RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED")


def _disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _illegal_access() -> None:
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


def _dataset_moved() -> None:
    raise FileNotFoundError(errno.ENOENT, "No such file or directory", "nowhere/images/1.png")


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
        (_memory_of_cudnn, "memory", "CUDNN_STATUS_ALLOC_FAILED"),
        (_memory_of_a_later_cudnn, "memory", "DEVICE_ALLOCATION_FAILED"),
        (_disk, "disk", "its disk is full; make room"),
        (_illegal_access, "device", "AcceleratorError: CUDA error: an illegal memory access"),
        (_dataset_moved, "files", "it is not there, or was moved while at work"),
        (_plain, "", "KeyError: 'weights' (test_perform.py, line"),
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
    here = replace(workplace, roots={job.dataset: (job.dataset, Path("nowhere"))})
    outcome = perform(job, here, lambda *_: None, lambda: False)
    assert (outcome.record.outcome, outcome.shortage, outcome.embeddings) == ("failed", shortage, None)
    assert told in outcome.record.message
    assert outcome.record.key == job.key
