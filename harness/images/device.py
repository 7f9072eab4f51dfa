"""Images on their way to an accelerator: kept there as uint8 where they fit, otherwise sent ahead of the training."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlrc.harness.images.augmentation import Boxes
from mlrc.harness.images.cache import CachedPixels
from mlrc.harness.images.dataset import ArrayPixels, Pixels

T = TypeVar("T")

RESIDENT_SHARE = 0.25
"""Share of the device's memory that a set may take; network and other sets need the rest."""


class ResidentPixels:
    """A set whose uint8 bytes also lie in the memory of a device.

    Attributes:
        flat: `(pixels of all images, channels)`, there.

    Args:
        pixels: the set.
        device: where its bytes are copied to.
        flat: the copy that another process made there.
    """

    def __init__(self, pixels: ArrayPixels | CachedPixels, device: torch.device, flat: Tensor | None = None) -> None:
        self._pixels = pixels
        if isinstance(pixels, ArrayPixels):
            count, height, width, self._channels = pixels.array.shape
            self._sizes = np.full((count, 2), (height, width), dtype=np.int64)
            here = pixels.array.reshape(-1)
        else:
            self._sizes, self._channels, here = pixels.sizes, 3, pixels.flat
        self._starts = np.concatenate([[0], np.cumsum(self._sizes.prod(axis=1))])
        self.flat = torch.from_numpy(here).to(device).view(-1, self._channels) if flat is None else flat

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self._pixels)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Give one image from the host's memory."""
        return self._pixels[index]

    def sizes(self, indices: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Give heights and widths, `(batch, 2)`."""
        sizes: NDArray[np.int64] = self._sizes[np.asarray(indices)]
        return sizes

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.flat.device

    def places(
        self, indices: Sequence[int] | NDArray[np.int64], boxes: Boxes
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Say where the boxes lie: the pixel before each line, `(batch, highest)`, and columns, `(batch, widest)`."""
        chosen = np.asarray(indices)
        size = self._sizes[chosen]
        rows = np.minimum(boxes.top[:, None] + np.arange(boxes.height.max()), size[:, :1] - 1)
        columns = np.minimum(boxes.left[:, None] + np.arange(boxes.width.max()), size[:, 1:] - 1)
        return self._starts[chosen][:, None] + rows * size[:, 1:], columns

    def gathered(self, lines: Tensor, columns: Tensor) -> Tensor:
        """Gather boxes by their places, which lie on the device, too.

        Returns:
            `(batch, highest, widest, channels)`, anything beyond a box's size.
        """
        return self.flat[lines[:, :, None] + columns[:, None, :]]


def fits(size: int, device: torch.device, share: float) -> bool:
    """Say whether so many bytes may stay on a device of which a worker has that share, whatever is free just now."""
    _, total = torch.cuda.mem_get_info(device)
    return size <= RESIDENT_SHARE * total * share


def on_device(pixels: Pixels, device: torch.device, *, share: float = 1.0) -> Pixels:
    """Keep a set in the memory of a CUDA device if it is small enough; no result depends on whether it is.

    Args:
        pixels: the set.
        device: of the training.
        share: of the device that this process has.
    """
    if device.type != "cuda" or not isinstance(pixels, (ArrayPixels, CachedPixels)):
        return pixels
    size = pixels.array.nbytes if isinstance(pixels, ArrayPixels) else pixels.flat.nbytes
    return ResidentPixels(pixels, device) if fits(size, device, share) else pixels


def ahead(work: Iterable[Callable[[], T]], *, threads: int, alone: bool = False) -> Iterator[T]:
    """Give the results of `work` in its order, prepared by threads before they are asked for; few wait.

    What fails is raised where its result was due.

    Args:
        work: what is to be done.
        threads: number of them; with none each is done when it is asked for.
        alone: whether torch's operations stay in the thread that asks for them, so that all cores have one each.
    """
    if threads == 0:
        yield from (one() for one in work)
        return
    waiting: deque[Future[T]] = deque()
    begin = partial(torch.set_num_threads, 1) if alone else None
    with ThreadPoolExecutor(threads, initializer=begin) as pool:
        try:
            for one in work:
                waiting.append(pool.submit(one))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
