"""From resized images to batches: random or central crops, flips, normalisation. Pixels stay uint8 until the end.

On the CPU the images of files are cropped and resized one by one by torch's uint8 kernel; those in memory, and on an
accelerator all of them, at once by `resample`. Either lies within one level of 255 of what PIL gives, and within two
where ties of both passes of a resizing meet.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mlrc.harness.images.augmentation import Augmentation, Boxes, Sizes, augmentation, central_boxes, joined
from mlrc.harness.images.dataset import ArrayPixels, Pixels
from mlrc.harness.images.device import ResidentPixels
from mlrc.harness.images.resample import crop_and_resize
from mlrc.harness.images.sending import Parcel, send
from mlrc.protocols.protocol import Protocol

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey, ITU-R 601-2, as PIL's mode L has them."""
CPU = torch.device("cpu")

Indices = Sequence[int] | NDArray[np.int64]


def training_batch(
    pixels: Pixels, indices: Indices, protocol: Protocol, *, seed: int, iteration: int, device: torch.device = CPU
) -> Tensor:
    """Give randomly cropped, flipped, normalised images `(batch, channels, crop, crop)`, float32, on `device`."""
    return _augmented(pixels, indices, protocol, partial(augmentation, seed=seed, iteration=iteration), device)


def view_batch(
    pixels: Pixels, indices: Indices, protocol: Protocol, *, seeds: Sequence[int], view: int, device: torch.device = CPU
) -> Tensor:
    """Give one augmented view of each image, as `training_batch` gives images; each is drawn from (its seed, view)."""

    def draw(sizes: Sizes, rules: Protocol) -> Augmentation:
        return joined(
            augmentation([size], rules, seed=seed, iteration=view) for size, seed in zip(sizes, seeds, strict=True)
        )

    return _augmented(pixels, indices, protocol, draw, device)


def _augmented(
    pixels: Pixels,
    indices: Indices,
    protocol: Protocol,
    draw: Callable[[Sizes, Protocol], Augmentation],
    device: torch.device,
) -> Tensor:
    if isinstance(pixels, ResidentPixels):
        drawn = draw(pixels.sizes(indices), protocol)
        lines, columns, *numbers = send((*pixels.places(indices, drawn.boxes), *_numbers(drawn)), pixels.device)
        return normalise(_at_once(pixels.gathered(lines, columns), *numbers, side=protocol.crop), protocol)
    images = [pixels[int(index)] for index in indices]
    drawn = draw([image.shape[:2] for image in images], protocol)
    if device.type == "cpu" and not isinstance(pixels, ArrayPixels):
        return normalise(_one_by_one(images, drawn, protocol.crop), protocol)
    return normalise(_at_once(*_sent(images, drawn.boxes, device, _numbers(drawn)), side=protocol.crop), protocol)


def evaluation_batch(pixels: Pixels, indices: Indices, protocol: Protocol, *, device: torch.device = CPU) -> Tensor:
    """Give centrally cropped, normalised images `(batch, channels, crop, crop)`, float32, on `device`."""
    if isinstance(pixels, ResidentPixels):
        places = pixels.places(indices, central_boxes(pixels.sizes(indices), protocol.crop))
        crops = pixels.gathered(*send(places, pixels.device))
    else:
        images = [pixels[int(index)] for index in indices]
        (crops,) = _sent(images, central_boxes([image.shape[:2] for image in images], protocol.crop), device)
    return normalise(crops.permute(0, 3, 1, 2).contiguous(), protocol)


def _one_by_one(images: Sequence[NDArray[np.uint8]], drawn: Augmentation, side: int) -> Tensor:
    crops = torch.empty((len(images), images[0].shape[2], side, side), dtype=torch.uint8)
    for row, image in enumerate(images):
        box = torch.from_numpy(drawn.boxes.cut(image if image.flags.writeable else image.copy(), row))
        # left strided as it is, channels last, torch resizes it fastest
        crop = interpolate(box.permute(2, 0, 1)[None], size=(side, side), mode="bilinear", antialias=True)[0]
        crops[row] = crop.flip(-1) if drawn.flips[row] else crop
    return crops


def _numbers(drawn: Augmentation) -> tuple[NDArray[Any], ...]:
    """Give heights, widths and flips as the arithmetic on the device takes them, each `(batch,)`."""
    return drawn.boxes.height.astype(np.float32), drawn.boxes.width.astype(np.float32), drawn.flips


def _at_once(cut: Tensor, height: Tensor, width: Tensor, flips: Tensor, *, side: int) -> Tensor:
    start = torch.zeros_like(height)
    return crop_and_resize(cut, top=start, left=start, height=height, width=width, flips=flips, side=side)


def _sent(
    images: Sequence[NDArray[np.uint8]], boxes: Boxes, device: torch.device, numbers: Sequence[NDArray[Any]] = ()
) -> tuple[Tensor, ...]:
    """Send the boxes of images to the device, `(batch, highest, widest, channels)`, and numbers with them.

    Beyond a box's size lies anything, which is not read.
    """
    shape = (len(images), int(boxes.height.max()), int(boxes.width.max()), images[0].shape[2])
    parcel = Parcel([(np.uint8, shape), *((array.dtype, array.shape) for array in numbers)], device)
    rows, *places = parcel.here
    for row, image in enumerate(images):
        rows[row, : boxes.height[row], : boxes.width[row]] = boxes.cut(image, row)
    for place, array in zip(places, numbers, strict=True):
        place[...] = array
    return parcel.sent()


def normalise(batch: Tensor, protocol: Protocol) -> Tensor:
    """Turn uint8 `(batch, 1 or 3, height, width)` into the trunk's channels, range and normalisation."""
    if protocol.channels == "grey":
        values = batch.float() if batch.shape[1] == 1 else _luma(batch)
    elif batch.shape[1] == 1:
        values = batch.float().repeat(1, 3, 1, 1)
    else:
        values = (batch.flip(1) if protocol.channels == "BGR" else batch).float()
    mean, std = (constant(numbers, (-1, 1, 1), values.device) for numbers in (protocol.mean, protocol.std))
    return values.mul_(protocol.maximum / 255).sub_(mean).div_(std)


def _luma(batch: Tensor) -> Tensor:
    return torch.einsum("nchw,c->nhw", batch.float(), constant(LUMA, (-1,), batch.device))[:, None]


@lru_cache(maxsize=64)
def constant(numbers: tuple[float, ...], shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Give float32 numbers in a shape that lie on the device from the first time on; never to be written to.

    The host waits for this first copy, so that any stream may read them.
    """
    with torch.inference_mode(mode=False):  # of what began in inference, training could make no use
        return torch.tensor(numbers, dtype=torch.float32, device=device).view(shape)
