"""Torch and the global generators brought to where the same job gives the same bits, and what a record says of it."""

import os
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mlrc.harness.machine.allocator import keep_memory
from mlrc.harness.machine.environment import resolve_device

THREADS = 1
"""Torch threads of a job, always the same number: sums of floats depend on it, and scores on them."""
CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
DETERMINISTIC_WORKSPACES = (":4096:8", ":16:8")
"""With which cuBLAS gives the same bits again, as NVIDIA's and torch's notes on reproducibility have it; the first is
the faster, the second a user's choice who lacks the 24 MiB."""
TF32_CAPABILITY = (8, 0)
"""Of CUDA devices from which on there is TensorFloat-32: NVIDIA's Ampere."""


def prepare_process() -> None:
    """Do what must be done at the start of a process in which jobs are done, before it has a CUDA context."""
    if os.environ.get(CUBLAS_WORKSPACE) not in DETERMINISTIC_WORKSPACES:
        os.environ[CUBLAS_WORKSPACE] = DETERMINISTIC_WORKSPACES[0]
    keep_memory()


def deterministic_device(name: str, precision: str = "float32") -> torch.device:
    """Bring torch to where the same job gives the same bits on this device, and its numbers are what `precision` says.

    Memory is left as it is allocated: torch would fill it for whoever wants the same bits again, in a third to half of
    all kernels, which matters only to code that reads what it never wrote. None of torch's kernels does, and a loss
    that did would not give the same numbers again, which the contract asks of it.

    Raises:
        ValueError: there is no such device on this machine, or it has no such precision.
    """
    torch.set_num_threads(THREADS)
    device = resolve_device(name)
    require_precision(device, precision)
    if device.type == "cuda":
        prepare_process()
        torch.cuda.set_device(device)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # not in its types
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        _set_products(convolutions_in_tf32=precision == "tf32")
    return device


def require_precision(device: torch.device, precision: str) -> None:
    """Hold a device against the precision of a protocol.

    Raises:
        ValueError: it has no TensorFloat-32, in which the training would be of float32 under another name.
    """
    if precision != "tf32":
        return
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < TF32_CAPABILITY:
        raise ValueError(
            f"precision=tf32 must have an NVIDIA GPU of the Ampere generation or later, but the device is {device}; "
            "train there, or with precision=float32."
        )


def in_force(device: torch.device | str) -> Mapping[str, str]:
    """Say how torch is set for the jobs of an accelerator, as read back from it; nothing for a processor."""
    if torch.device(device).type != "cuda":
        return {}
    return {
        "convolutions": _products()[0],
        "matrix products": _products()[1],
        "deterministic algorithms": str(torch.are_deterministic_algorithms_enabled()),
        "cudnn.deterministic": str(torch.backends.cudnn.deterministic),
        "cudnn.benchmark": str(torch.backends.cudnn.benchmark),
        CUBLAS_WORKSPACE: os.environ.get(CUBLAS_WORKSPACE, ""),
        "cuda": torch.version.cuda or "",
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
    }


def _set_products(*, convolutions_in_tf32: bool) -> None:
    """Let float32 be all of its 24 bits: by default torch takes 11 of them, TensorFloat-32, in convolutions on CUDA.

    Matrix products stay float32 in any case: they are the losses' own, whose cosines near 1 need it.
    """
    if not hasattr(torch.backends.cudnn, "conv"):  # before torch 2.9
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions_in_tf32, False
        return
    convolutions: Any = torch.backends.cudnn.conv
    products: Any = torch.backends.cuda.matmul
    convolutions.fp32_precision, products.fp32_precision = "tf32" if convolutions_in_tf32 else "ieee", "ieee"


def _products() -> tuple[str, str]:
    if not hasattr(torch.backends.cudnn, "conv"):  # before torch 2.9
        allowed = (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
        return "tf32" if allowed[0] else "ieee", "tf32" if allowed[1] else "ieee"
    convolutions: Any = torch.backends.cudnn.conv
    products: Any = torch.backends.cuda.matmul
    return str(convolutions.fp32_precision), str(products.fp32_precision)


def seed_global_generators(seed: int) -> None:
    """Seed what libraries draw from behind our back: PML's miners and samplers use the global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 it is that generator which must be seeded
    torch.manual_seed(seed)
