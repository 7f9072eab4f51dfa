"""Torch and the global generators brought to where the same job gives the same bits."""

import random

import numpy as np
import torch

THREADS = 1
"""Torch threads of a job, always the same number: sums of floats depend on it, and scores on them."""


def deterministic_device(name: str) -> torch.device:
    """Bring torch to where the same job gives the same bits, on this device."""
    torch.set_num_threads(THREADS)
    device = torch.device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.use_deterministic_algorithms(True, warn_only=True)
    return device


def seed_global_generators(seed: int) -> None:
    """Seed what libraries draw from behind our back: PML's miners and samplers use the global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 it is that generator which must be seeded
    torch.manual_seed(seed)
