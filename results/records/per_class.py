"""The files of per-class sums below a runs folder, each read when it is asked for and not kept."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlrc.results.records.evidence import PerClass

PER_CLASS = "per_class"
_SEAL = "digest"
"""The member of a file that tells the digest of the others; the first version's files have none."""


def sealed(key: str, sums: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Give the sums of the run `key` as its file holds them: with a digest over the key and all of them."""
    return {**sums, _SEAL: np.frombuffer(_digest(key, sums), dtype=np.uint8)}


def _digest(key: str, sums: Mapping[str, NDArray[np.generic]]) -> bytes:
    found = hashlib.blake2b(key.encode(), digest_size=32)
    for name in sorted(sums):
        found.update(repr((name, sums[name].dtype.str, sums[name].shape)).encode())
        found.update(np.ascontiguousarray(sums[name]).tobytes())
    return found.digest()


class PerClassFiles(Mapping[str, PerClass]):
    """Run key to the content of `per_class/<run key>.npz`."""

    def __init__(self, runs: Path) -> None:
        self._folder = runs / PER_CLASS
        self._keys = {path.stem for path in self._folder.glob("*.npz")}

    def __getitem__(self, key: str) -> dict[str, NDArray[np.float64]]:
        """Read the sums of a run.

        Raises:
            ValueError: the file is broken.
        """
        if key not in self._keys:
            raise KeyError(key)
        path = self.path(key)
        try:
            content = _members(path)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise _broken(path, str(error)) from error
        told = content.pop(_SEAL, None)
        if told is not None and told.tobytes() != _digest(key, content):
            raise _broken(path, "its content is not what was written")
        return content

    def __contains__(self, key: object) -> bool:
        """Tell whether the file is there, without reading it."""
        return key in self._keys

    def path(self, key: str) -> Path:
        """Give the file of a run."""
        return self._folder / f"{key}.npz"

    def sha256(self, key: str) -> str:
        """Give the SHA-256 of the file of a run, as `sha256sum` does."""
        return hashlib.sha256(self.path(key).read_bytes()).hexdigest()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._keys))

    def __len__(self) -> int:
        return len(self._keys)


def _members(path: Path) -> dict[str, NDArray[Any]]:
    """Read every member to its end, so that the archive's own check sums are looked at."""
    with zipfile.ZipFile(path) as archive:
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(BytesIO(archive.read(name)), allow_pickle=False)
            for name in archive.namelist()
        }


def _broken(path: Path, why: str) -> ValueError:
    return ValueError(
        f"The per-class sums {path} must be a whole npz file, but cannot be read ({why}); restore it from a copy or "
        "delete it, and the report goes without them."
    )
