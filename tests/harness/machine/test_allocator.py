"""Memory that the C library keeps: seen by what a process holds after it freed something."""

import ctypes
import os
import subprocess
import sys

import pytest

from mlrc.harness.machine import allocator

FREED = """
import sys
from ctypes import CDLL, c_size_t, c_void_p, memset
from mlrc.harness.machine.allocator import keep_memory

if sys.argv[1] == "kept":
    assert keep_memory()
libc = CDLL(None)
libc.malloc.argtypes, libc.malloc.restype, libc.free.argtypes = [c_size_t], c_void_p, [c_void_p]


def resident():
    return int(open("/proc/self/statm").read().split()[1])


before = resident()
block = libc.malloc(20 << 20)
memset(block, 1, 20 << 20)
libc.free(block)
print((resident() - before) * 4096 >> 20)
"""


@pytest.mark.skipif(not allocator._is_glibc(), reason="no glibc")
@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
@pytest.mark.parametrize(("way", "least", "most"), [("kept", 19, 21), ("given back", 0, 1)])
def test_freed_memory_is_kept_where_the_library_is_told_so(way: str, least: int, most: int) -> None:
    done = subprocess.run([sys.executable, "-c", FREED, way], capture_output=True, text=True, check=True)
    assert least <= int(done.stdout) <= most


def test_where_there_is_no_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise ValueError(name)

    monkeypatch.setattr(os, "confstr", unknown)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("asked for a C library"))
    assert not allocator.keep_memory()
