"""The protocol's first step: the shorter side brought to one length, deterministic, and so done once."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlrc.harness.images.dataset import ArrayPixels, Pixels


class ResizedPixels:
    """Images after the protocol's first step, the shorter side brought to `side` pixels by PIL's bilinear filter."""

    def __init__(self, pixels: Pixels, side: int) -> None:
        self._pixels = pixels
        self._side = side

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return resize(self._pixels[index], self._side)


def resized(pixels: Pixels, side: int) -> Pixels:
    """Apply the protocol's first step: at once to images that lie in memory, at each access to others."""
    if not isinstance(pixels, ArrayPixels):
        return ResizedPixels(pixels, side)
    if min(pixels.array.shape[1:3]) == side:
        return pixels
    return ArrayPixels(np.stack([resize(image, side) for image in pixels.array]))


def resize(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Bring the shorter side of `(height, width, channels)` to `side`; the longer is floored, as in torchvision."""
    height, width = resized_size(image.shape[0], image.shape[1], side)
    if image.shape[:2] == (height, width):
        return image
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    resized = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return resized.reshape(height, width, -1)


def resized_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Give height and width after `resize`."""
    if width <= height:
        return side * height // width, side
    return side, side * width // height
