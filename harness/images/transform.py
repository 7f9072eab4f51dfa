"""From resized images to batches: random crops and flips from the job's seed, centre crops, and normalisation.

A crop depends on (seed, iteration, position in the batch) alone, so it is the same for any number of workers. Pixels
stay uint8 until the whole batch is normalised at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from harness.images.dataset import ArrayPixels, Pixels
from protocols.protocol import Protocol

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey, ITU-R 601-2, as PIL's mode L has them."""
ATTEMPTS = 10
"""How often a random crop is drawn before it falls back to a central one, as in torchvision."""


class Boxes(NamedTuple):
    """Crops in pixels, each `(batch,)`."""

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    height: NDArray[np.int64]
    width: NDArray[np.int64]


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


def training_batch(
    pixels: Pixels, indices: Sequence[int] | NDArray[np.int64], protocol: Protocol, *, seed: int, iteration: int
) -> Tensor:
    """Give randomly cropped, flipped, normalised images `(batch, channels, crop, crop)`, float32."""
    images = [pixels[int(index)] for index in indices]
    generator = np.random.default_rng([seed, iteration])
    boxes = random_boxes([image.shape[:2] for image in images], protocol, generator)
    flips = generator.random(len(images)) < protocol.flip
    crops = [_crop(image, boxes, row, protocol.crop) for row, image in enumerate(images)]
    return normalise(
        torch.stack([crop.flip(-1) if flip else crop for crop, flip in zip(crops, flips, strict=True)]), protocol
    )


def evaluation_batch(pixels: Pixels, indices: Sequence[int] | NDArray[np.int64], protocol: Protocol) -> Tensor:
    """Give centrally cropped, normalised images `(batch, channels, crop, crop)`, float32."""
    side = protocol.crop
    if isinstance(pixels, ArrayPixels):
        crops = _central_crop(pixels.array[np.asarray(indices)], side)
    else:
        crops = np.stack([_central_crop(pixels[int(index)], side) for index in indices])
    return normalise(torch.from_numpy(crops).permute(0, 3, 1, 2), protocol)


def _central_crop(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Cut `(…, height, width, channels)` to `side` by `side` in the middle, rounded as torchvision rounds it."""
    height, width = images.shape[-3:-1]
    top, left = round((height - side) / 2), round((width - side) / 2)
    return images[..., top : top + side, left : left + side, :]


def random_boxes(sizes: Sequence[tuple[int, ...]], protocol: Protocol, generator: np.random.Generator) -> Boxes:
    """Draw the boxes of RandomResizedCrop: area share uniform, width / height log-uniform, position uniform.

    The first of ten draws that fits the image is taken; where none fits, the central box of the nearest allowed ratio.
    """
    heights, widths = np.array(sizes, dtype=np.int64)[:, :2].T
    draws = generator.random((4, len(heights), ATTEMPTS))
    low, high = protocol.crop_scale
    area = (heights * widths)[:, None] * (low + (high - low) * draws[0])
    low, high = np.log(protocol.crop_ratio)
    ratio = np.exp(low + (high - low) * draws[1])
    width, height = np.rint(np.sqrt(area * ratio)), np.rint(np.sqrt(area / ratio))
    fits = (width > 0) & (width <= widths[:, None]) & (height > 0) & (height <= heights[:, None])
    first, rows = fits.argmax(axis=1), np.arange(len(heights))
    box_height = height[rows, first].astype(np.int64)
    box_width = width[rows, first].astype(np.int64)
    box_top = (draws[2][rows, first] * (heights - box_height + 1)).astype(np.int64)
    box_left = (draws[3][rows, first] * (widths - box_width + 1)).astype(np.int64)
    for row in np.flatnonzero(~fits.any(axis=1)):
        box_top[row], box_left[row], box_height[row], box_width[row] = _central(heights[row], widths[row], protocol)
    return Boxes(box_top, box_left, box_height, box_width)


def _central(height: int, width: int, protocol: Protocol) -> tuple[int, int, int, int]:
    low, high = protocol.crop_ratio
    box_height, box_width = height, width
    if width / height < low:
        box_height = round(width / low)
    elif width / height > high:
        box_width = round(height * high)
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def _crop(image: NDArray[np.uint8], boxes: Boxes, row: int, side: int) -> Tensor:
    top, left = boxes.top[row], boxes.left[row]
    cut = _tensor(image[top : top + boxes.height[row], left : left + boxes.width[row]])
    return interpolate(cut[None], size=(side, side), mode="bilinear", antialias=True)[0]


def _tensor(image: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def normalise(batch: Tensor, protocol: Protocol) -> Tensor:
    """Turn uint8 `(batch, 1 or 3, height, width)` into the trunk's channels, range and normalisation."""
    channels = batch.shape[1]
    if protocol.channels == "grey" and channels == 3:
        luma = batch.new_tensor(LUMA, dtype=torch.float32)
        values = torch.einsum("nchw,c->nhw", batch.float(), luma)[:, None]
    elif protocol.channels != "grey" and channels == 1:
        values = batch.float().expand(-1, 3, -1, -1)
    else:
        values = batch.flip(1).float() if protocol.channels == "BGR" else batch.float()
    mean = values.new_tensor(protocol.mean)[:, None, None]
    std = values.new_tensor(protocol.std)[:, None, None]
    return (values * (protocol.maximum / 255) - mean) / std
