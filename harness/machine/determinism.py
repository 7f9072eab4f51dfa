"""Torch and the global generators brought to where the same job gives the same bits."""

import os
import random
from typing import Any

import numpy as np
import torch

from mlrc.harness.machine.environment import resolve_device

THREADS = 1
"""Torch threads of a job, always the same number: sums of floats depend on it, and scores on them."""
_CUBLAS_WORKSPACE = ":4096:8"
"""What cuBLAS needs to know before its first product to give the same bits again (torch's notes on reproducibility)."""


def deterministic_device(name: str) -> torch.device:
    """Bring torch to where the same job gives the same bits on this device, and float32 is float32.

    Raises:
        ValueError: there is no such device on this machine.
    """
    torch.set_num_threads(THREADS)
    device = resolve_device(name)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", _CUBLAS_WORKSPACE)
        torch.cuda.set_device(device)
        torch.use_deterministic_algorithms(True, warn_only=True)
        _refuse_tf32()
    return device


def _refuse_tf32() -> None:
    """Let float32 be all of its 24 bits: by default torch takes 11 of them, TensorFloat-32, in convolutions on CUDA."""
    if not hasattr(torch.backends.cudnn, "conv"):  # before torch 2.9
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        return
    places: list[Any] = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]
    for place in places:
        place.fp32_precision = "ieee"


def seed_global_generators(seed: int) -> None:
    """Seed what libraries draw from behind our back: PML's miners and samplers use the global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 it is that generator which must be seeded
    torch.manual_seed(seed)
