"""Files of arrays: `.npy`, `.npz`, `.safetensors` and PyTorch's, read without running code from them."""

import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mlrc.harness.vectors.columns import ADVICE, ORIGIN, Content, meaning, require_once

_FOREIGN = (LookupError, TypeError, AttributeError, ValueError, struct.error, zlib.error, MemoryError)
_UNREADABLE = (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, SafetensorError, *_FOREIGN)
_FLOATS = (torch.float16, torch.float32, torch.float64)


def read_npy(path: Path) -> Content:
    """Map the array of a `.npy` file; raises `ValueError` if it is none of numbers or strings."""
    return Content({}, _native(mapped(path)))


def mapped(path: Path) -> NDArray[Any]:
    """Map an array in a `.npy` file, whose byte order stays; raises what `read_npy` raises."""
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(
            path, mode="c"
        )  # writable in memory alone: nothing need be copied
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{path} must be a .npy file of numbers or strings, but cannot be read ({error}); "
            "write it with numpy.save(path, array), strings as array.astype(str)."
        ) from error
    return array


def read_npz(path: Path) -> Content:
    """Read the arrays of a `.npz` file; raises `ValueError` if they are none of numbers or strings."""
    try:
        with path.open("rb") as content:
            if not zipfile.is_zipfile(content):
                raise zipfile.BadZipFile("it is no archive of arrays")
            content.seek(0)
            with np.load(content, allow_pickle=False) as file:
                found = {name: _native(file[name]) for name in file.files}
    except _UNREADABLE as error:
        raise unreadable(path, "arrays of numbers or strings", error) from error
    return named(found, path)


def read_safetensors(path: Path) -> Content:
    """Map the tensors of a `.safetensors` file; strings are JSON in its metadata. Raises `ValueError` if it is none."""
    found: dict[str, NDArray[Any]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 it is no mapping
                found[name] = _array(file.get_tensor(name))
            for name, text in (file.metadata() or {}).items():
                if meaning(name) is not None:
                    found[name] = np.array(text if name == ORIGIN else json.loads(text))
    except _UNREADABLE as error:
        raise unreadable(path, "tensors", error) from error
    return named(found, path)


def read_pytorch(path: Path) -> Content:
    """Read a tensor, or a mapping of tensors and lists, of `torch.save`; raises `ValueError` if it is neither."""
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        if isinstance(content, Mapping):
            arrays = {str(name): _array(one) for name, one in content.items()}
            return named(arrays, path)
        return Content({}, _array(content))
    except _UNREADABLE as error:
        raise unreadable(path, "a tensor, or a mapping of names to tensors and lists of strings", error) from error


def named(found: Mapping[str, NDArray[Any]], path: Path) -> Content:
    """Sort arrays by what their names mean; a single one without a meaning is what the file is read for.

    Raises:
        ValueError: two mean the same, or none means anything.
    """
    require_once(found, str(path))
    unused = tuple(name for name in found if meaning(name) is None)
    origin = _origin(next((str(array) for name, array in found.items() if meaning(name) == ORIGIN), ""), path)
    by_meaning = {meant: array for name, array in found.items() if (meant := meaning(name)) not in (None, ORIGIN)}
    columns = {str(meant): array for meant, array in by_meaning.items()}
    if columns:
        return Content(columns, None, origin, unused)
    if len(unused) != 1:
        raise ValueError(
            f"{path} must tell what each of its arrays is, but holds {', '.join(unused) or 'none'}; {ADVICE}."
        )
    return Content({}, found[unused[0]], origin)


def _origin(text: str, path: Path) -> dict[str, str]:
    if not text:
        return {}
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ValueError(  # noqa: TRY004 it is the file's value
            f"{path}: origin must be an object of JSON, as `mlrc embed` writes it; leave it out."
        )
    return {str(name): str(value) for name, value in told.items()}


def unreadable(path: Path, what: str, error: Exception) -> ValueError:
    """Give the error of a file that does not hold what its suffix says."""
    lines = (str(error) or type(error).__name__).splitlines()
    told = next((line for line in lines if "WeightsUnpickler error" in line), lines[0])
    return ValueError(
        f"{path} must hold {what}, but cannot be read ({told.strip().rstrip('.')}); write it again, as docs/data.md "
        "says."
    )


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _array(given: object) -> NDArray[Any]:
    """Give a tensor, or a list of numbers or strings, as an array."""
    if isinstance(given, Tensor):
        there = given.detach()
        wide = there.is_floating_point() and there.dtype not in _FLOATS
        return (there.float() if wide else there).numpy()
    if isinstance(given, str):
        return np.array(given)
    if isinstance(given, Sequence) and len({type(one) for one in given}) == 1 and type(given[0]) in (str, bytes, int):
        return np.array(given)
    raise TypeError(f"it holds {type(given).__name__} where a tensor or a list of strings or integers should be")
