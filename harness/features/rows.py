"""The features of a set as a training draws them: a row per image and view, gathered from memory or from a device."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CPU = torch.device("cpu")

Indices = Sequence[int] | NDArray[np.int64]

RESIDENT_SHARE = 0.25
"""Share of a device's free memory that the rows may take."""


class Features:
    """What a trunk gave for every image of a set.

    Attributes:
        width: numbers of a row.
        views: augmented views of each image, beside the central one.

    Args:
        rows: `(1 + views, images, width)`, the central view first; a mapped file stays one.
    """

    def __init__(self, rows: NDArray[np.float32]) -> None:
        views, images, width = rows.shape
        self.views, self.width, self._images = int(views) - 1, int(width), int(images)
        flat = rows.reshape(-1, self.width)
        self._rows = torch.from_numpy(flat if flat.flags.writeable else flat.copy())  # as torch asks; none is written

    def __len__(self) -> int:
        """Give the number of images."""
        return self._images

    def on(self, device: torch.device) -> "Features":
        """Keep the rows in the memory of a CUDA device if they are few enough; no result depends on whether they are.

        What lies on another accelerator would be copied for every process, so there they are sent row by row.
        """
        if device.type != "cuda" or self._rows.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            return self
        resident = object.__new__(Features)
        vars(resident).update(vars(self) | {"_rows": self._rows.to(device)})
        return resident

    def central(self, indices: Indices, *, device: torch.device = CPU) -> Tensor:
        """Give the rows of the central views `(batch, width)`, float32, on `device`."""
        return self._gathered(np.asarray(indices, dtype=np.int64), device)

    def drawn(self, indices: Indices, *, seed: int, iteration: int, device: torch.device = CPU) -> Tensor:
        """Give a row of each image `(batch, width)`, of a view drawn from (seed, iteration, position in the batch)."""
        rows = np.asarray(indices, dtype=np.int64)
        if self.views:
            views = np.random.default_rng([seed, iteration]).integers(1 + self.views, size=len(rows))
            rows = rows + views * self._images
        return self._gathered(rows, device)

    def _gathered(self, rows: NDArray[np.int64], device: torch.device) -> Tensor:
        there = torch.from_numpy(rows).to(self._rows.device)
        return self._rows.index_select(0, there).to(device)
