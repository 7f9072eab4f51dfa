"""Memory that the C library keeps: by default glibc gives large blocks back as soon as they are free.

A forward pass then faults every page of its activations in again, for which the kernel clears it: half of the processor
time of an evaluation, and more of it the larger the batch. Told to keep what it has, the process reuses the pages. No
result depends on it; what a process holds is what it held at its peak, until it ends.
"""

import ctypes
import os

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


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # no such function (Windows), name (macOS) or value (musl)
        return False
