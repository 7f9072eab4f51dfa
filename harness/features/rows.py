"""The features of a set as a training draws them: a row per image and view, gathered from memory or from a device."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlrc.harness.images.device import fits
from mlrc.harness.images.sending import Parcel, send

CPU = torch.device("cpu")

Indices = Sequence[int] | NDArray[np.int64]


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

    def on(self, device: torch.device, *, share: float = 1.0) -> "Features":
        """Keep the rows in the memory of a CUDA device if they are few enough; no result depends on whether they are.

        What lies on another accelerator would be copied for every process, so there they are sent row by row.
        """
        if device.type != "cuda" or not fits(self._rows.nbytes, device, share):
            return self
        return self.with_rows(self._rows.to(device))

    @property
    def rows(self) -> Tensor:
        """The rows of all views, `((1 + views) · images, width)`, where they lie."""
        return self._rows

    def with_rows(self, rows: Tensor) -> "Features":
        """Give the same features with their rows elsewhere."""
        resident = object.__new__(Features)
        vars(resident).update(vars(self) | {"_rows": rows})
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
        if device == CPU and self._rows.device == CPU:
            return self._rows.index_select(0, torch.from_numpy(rows))
        if self._rows.device == CPU:
            parcel = Parcel([(np.float32, (len(rows), self.width))], device)
            np.take(self._rows.numpy(), rows, axis=0, out=parcel.here[0])
            return parcel.sent()[0]
        (there,) = send((rows,), self._rows.device)
        return self._rows.index_select(0, there).to(device)
