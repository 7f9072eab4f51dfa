"""What chance does to the images of a batch: boxes and flips, drawn from the job's seed before any pixel is touched.

They depend on (seed, iteration, position in the batch) alone, so they are the same for any number of workers.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlrc.protocols.protocol import Protocol

ATTEMPTS = 10
"""How often a random crop is drawn before it falls back to a central one, as in torchvision."""

Sizes = Sequence[tuple[int, ...]] | NDArray[np.int64]
"""Height and width of each image."""


class Boxes(NamedTuple):
    """Crops in pixels, each `(batch,)`."""

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    height: NDArray[np.int64]
    width: NDArray[np.int64]

    def cut(self, image: NDArray[np.uint8], row: int) -> NDArray[np.uint8]:
        """Cut the box of a row out of its image, as a view."""
        top, left = self.top[row], self.left[row]
        return image[top : top + self.height[row], left : left + self.width[row]]


class Augmentation(NamedTuple):
    """What is drawn for one batch.

    Attributes:
        boxes: that are cut out and resized to the protocol's crop.
        flips: `(batch,)`, true where the crop is mirrored.
    """

    boxes: Boxes
    flips: NDArray[np.bool_]


def augmentation(sizes: Sizes, protocol: Protocol, *, seed: int, iteration: int) -> Augmentation:
    """Draw what happens to the images of one batch, `sizes` being their heights and widths."""
    generator = np.random.default_rng([seed, iteration])
    boxes = random_boxes(sizes, protocol, generator)
    return Augmentation(boxes, generator.random(len(sizes)) < protocol.flip)


def joined(parts: Iterable[Augmentation]) -> Augmentation:
    """Give what happens to the images of several batches, as if they were one."""
    boxes, flips = zip(*parts, strict=True)
    return Augmentation(Boxes(*map(np.concatenate, zip(*boxes, strict=True))), np.concatenate(flips))


def random_boxes(sizes: Sizes, protocol: Protocol, generator: np.random.Generator) -> Boxes:
    """Draw the boxes of RandomResizedCrop: area share uniform, width / height log-uniform, position uniform.

    The first of ten draws that fits the image is taken; where none fits, the central box of the nearest allowed ratio.
    """
    heights, widths = np.asarray(sizes, dtype=np.int64).T
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


def central_boxes(sizes: Sizes, side: int) -> Boxes:
    """Give the square boxes in the middle of images, rounded as torchvision's CenterCrop rounds them."""
    heights, widths = np.asarray(sizes, dtype=np.int64).T
    square = np.full(len(heights), side, dtype=np.int64)
    # half to even, as Python rounds
    top, left = (np.rint((extents - side) / 2).astype(np.int64) for extents in (heights, widths))
    return Boxes(top, left, square, square)
