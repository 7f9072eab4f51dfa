"""Crops of many images resized at once, as two matrix products: what PIL's bilinear filter computes, on any device."""

import torch
from numpy.typing import ArrayLike
from torch import Tensor

Numbers = ArrayLike | Tensor
"""One of each image; a tensor that lies with the images is not copied."""


def crop_and_resize(
    images: Tensor, *, top: Numbers, left: Numbers, height: Numbers, width: Numbers, flips: Numbers, side: int
) -> Tensor:
    """Cut a box out of every image, resize it with antialiasing, and mirror some.

    PIL's weights are rounded to fixed point, so that near a tie its result is another by one level of 255, and by two,
    seldom, where ties of both passes meet. It is PIL's with lines narrowed first, as here; since version 13 PIL takes
    columns first where that is less work, with another rounding in between.

    Args:
        images: `(n, rows, columns, channels)`, uint8; what lies outside a box is not read.
        top: `(n,)`, of the boxes in pixels, as are `left`, `height` and `width`.
        left: see `top`.
        height: see `top`.
        width: see `top`.
        flips: `(n,)`, true where the result is mirrored left to right.
        side: height and width of the result.

    Returns:
        `(n, channels, side, side)`, float32, whole numbers from 0 to 255.
    """
    device = images.device
    vertical = _weights(_column(top, device), _column(height, device), images.shape[1], side)
    horizontal = _weights(_column(left, device), _column(width, device), images.shape[2], side)
    mirrored = torch.as_tensor(flips, device=device)[:, None, None]
    horizontal = torch.where(mirrored, horizontal.flip(1), horizontal)
    planes = images.permute(0, 3, 1, 2).float()
    # PIL, too, rounds between its passes, and halves upwards
    narrowed = (planes @ horizontal[:, None].transpose(2, 3)).add_(0.5).floor_()
    return (vertical[:, None] @ narrowed).add_(0.5).floor_()


def _column(numbers: Numbers, device: torch.device) -> Tensor:
    return torch.as_tensor(numbers, dtype=torch.float32, device=device)[:, None, None]


def _weights(start: Tensor, length: Tensor, extent: int, side: int) -> Tensor:
    """Give `(n, side, extent)`: how much each pixel of a line counts for each pixel of the result, rows of sum 1.

    A triangle around the result's centre, as wide as one pixel of the coarser of both grids, cut off at the box.
    """
    scale = length / side
    centre = start + (torch.arange(side, device=start.device)[:, None] + 0.5) * scale
    position = torch.arange(extent, device=start.device) + 0.5
    weights = (1 - (position - centre).abs() / scale.clamp(min=1)).clamp_(min=0)
    weights *= (position > start) & (position < start + length)
    return weights / weights.sum(dim=2, keepdim=True)
