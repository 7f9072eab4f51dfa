"""Memory that the C library keeps: by default glibc gives large blocks back as soon as they are free.

A forward pass then faults every page of its activations in again, for which the kernel clears it: half of the processor
time of an evaluation, and more of it the larger the batch. Told to keep what it has, the process reuses the pages. No
result depends on it; what a process holds is what it held at its peak, until it ends.
"""

import ctypes
import os
from importlib.metadata import version

_DEVICE = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""Environment variables of torch's allocator of a device's memory; the first is known from torch 2.9 on."""
_EXPANDABLE = "expandable_segments:True"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""
_MOST = 2**31 - 1
"""That mallopt takes, an int: free memory at the end of the heap that is kept."""
_BLOCKS = (2**30, 2**25)
"""Size from which a block is mapped for itself and unmapped when it is free; older versions of glibc refuse more than
the second, half of the heap of a thread."""


def keep_memory() -> bool:
    """Tell glibc to keep the memory that this process frees; say whether it does, as it cannot on other platforms."""
    if not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    kept = mallopt(_M_TRIM_THRESHOLD, _MOST) == 1
    return kept and any(mallopt(_M_MMAP_THRESHOLD, size) == 1 for size in _BLOCKS)


def avoid_fragments() -> None:
    """Let torch map a device's memory page by page, so that none is lost between blocks; before torch is imported.

    Trainings that share a device need what each of them would leave in pieces. A user's own setting stands.
    """
    if not any(name in os.environ for name in _DEVICE):
        release = [int(part) for part in version("torch").split(".")[:2]]
        os.environ[_DEVICE[0] if release >= [2, 9] else _DEVICE[1]] = _EXPANDABLE


def allow_lending() -> None:
    """Have torch take whole blocks from the device, which other processes can map; before torch is imported."""
    for name in _DEVICE:
        os.environ.pop(name, None)


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # no such function (Windows), name (macOS) or value (musl)
        return False
