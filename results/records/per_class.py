"""The files of per-class sums below a runs folder, each read when it is asked for and not kept."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlrc.results.records.evidence import PerClass

PER_CLASS = "per_class"


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
            with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
                return dict(content)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"The per-class sums {path} must be a whole npz file, but cannot be read ({error}); restore it from a "
                "copy or delete it, and the report goes without them."
            ) from error

    def __contains__(self, key: object) -> bool:
        """Tell whether the file is there, without reading it."""
        return key in self._keys

    def path(self, key: str) -> Path:
        """Give the file of a run."""
        return self._folder / f"{key}.npz"

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._keys))

    def __len__(self) -> int:
        return len(self._keys)
