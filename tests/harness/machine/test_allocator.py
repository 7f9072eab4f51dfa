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


NAMES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")


@pytest.mark.parametrize(("release", "name"), [("2.8.1", NAMES[1]), ("2.9.0+cu128", NAMES[0]), ("3.0", NAMES[0])])
def test_memory_of_a_device_is_mapped_by_pages_under_the_name_that_torch_knows(
    monkeypatch: pytest.MonkeyPatch, release: str, name: str
) -> None:
    for one in NAMES:
        monkeypatch.setenv(one, "")  # so that it is as before afterwards
        monkeypatch.delenv(one)
    monkeypatch.setattr(allocator, "version", lambda package: release)
    allocator.avoid_fragments()
    assert {one: os.environ.get(one) for one in NAMES} == dict.fromkeys(NAMES) | {name: "expandable_segments:True"}
    allocator.allow_lending()
    assert not any(one in os.environ for one in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_users_own_setting_stands(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for one in NAMES:
        monkeypatch.setenv(one, "")
        monkeypatch.delenv(one)
    monkeypatch.setenv(name, "max_split_size_mb:64")
    allocator.avoid_fragments()
    assert {one: os.environ[one] for one in NAMES if one in os.environ} == {name: "max_split_size_mb:64"}
