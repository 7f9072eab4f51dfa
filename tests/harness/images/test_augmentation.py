"""The draws of a batch against torchvision's, and the resizing of many boxes at once against PIL's of one."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import ks_2samp
from torchvision import transforms

from mlrc.harness.images.augmentation import augmentation, central_boxes, random_boxes
from mlrc.harness.images.resample import crop_and_resize
from mlrc.protocols.reality_check import REALITY_CHECK


def test_the_draws_are_what_they_were() -> None:
    # Other draws are other scores: raise the protocols' version before you change these numbers.
    boxes, flips = augmentation([(256, 341), (384, 256)], REALITY_CHECK, seed=1, iteration=2)
    drawn = [[int(number) for number in numbers] for numbers in zip(*boxes, strict=True)]
    assert drawn == [[11, 9, 207, 226], [22, 72, 238, 181]]
    assert flips.tolist() == [False, True]


@given(
    st.lists(st.tuples(st.integers(1, 600), st.integers(1, 600)), min_size=1, max_size=20),
    st.integers(0, 2**40),
    st.sampled_from([(0.16, 1.0), (0.5, 1.0), (1.0, 1.0), (0.01, 0.02)]),
)
def test_boxes_lie_within_their_images(sizes: list[tuple[int, int]], seed: int, scale: tuple[float, float]) -> None:
    protocol = REALITY_CHECK.vary({"crop_scale": scale})
    boxes = random_boxes(sizes, protocol, np.random.default_rng(seed))
    heights, widths = np.array(sizes).T
    assert (boxes.height > 0).all()
    assert (boxes.width > 0).all()
    assert (boxes.top >= 0).all()
    assert (boxes.left >= 0).all()
    assert (boxes.top + boxes.height <= heights).all()
    assert (boxes.left + boxes.width <= widths).all()


def test_boxes_are_distributed_as_torchvisions() -> None:
    size, count = (256, 341), 4000
    ours = random_boxes([size] * count, REALITY_CHECK, np.random.default_rng(0))
    torch.manual_seed(0)
    crop = transforms.RandomResizedCrop(227, REALITY_CHECK.crop_scale, REALITY_CHECK.crop_ratio)
    image = torch.empty(3, *size)
    theirs = np.array([crop.get_params(image, crop.scale, crop.ratio) for _ in range(count)]).T
    for mine, other in zip(ours, theirs, strict=True):
        assert ks_2samp(mine, other).pvalue > 1e-3
    share = ours.height * ours.width / (size[0] * size[1])
    ratio = ours.width / ours.height
    assert 0.155 < share.min() < share.max() <= 1
    assert 0.74 < ratio.min() < ratio.max() < 1.345


@pytest.mark.parametrize(("size", "expected"), [((10, 1000), (10, 13)), ((1000, 10), (13, 10))])
def test_where_no_draw_fits_the_box_is_central_and_of_the_nearest_ratio(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    protocol = REALITY_CHECK.vary({"crop_scale": (1.0, 1.0), "crop_ratio": (0.75, 1.33)})
    highest = SimpleNamespace(random=np.ones)
    box = random_boxes([size], protocol, highest)  # type: ignore[arg-type]
    assert (box.height[0], box.width[0]) == expected
    assert box.top[0] == (size[0] - expected[0]) // 2
    assert box.left[0] == (size[1] - expected[1]) // 2


@given(st.integers(8, 400), st.integers(8, 400), st.integers(1, 8))
def test_the_central_box_is_torchvisions(height: int, width: int, side: int) -> None:
    image = np.arange(height * width, dtype=np.int64).reshape(height, width)
    boxes = central_boxes([(height, width)], side)
    expected = transforms.CenterCrop(side)(torch.from_numpy(image))
    np.testing.assert_array_equal(boxes.cut(image, 0), expected.numpy())  # type: ignore[arg-type]


# Resizing at once


NEAR = 1 / 128
"""Levels within which the sum of a pass counts as half way between two of them. PIL's weights are off by 2^-23 each,
37 pixels of 255 by a thousandth of a level; our float32 centres by 2^-17 of a pixel, which is a few thousandths."""


def exact_weights(start: int, length: int, extent: int, side: int) -> NDArray[np.float64]:
    """The triangles of one pass in float64, `(side, extent)`."""
    scale = length / side
    centres = (np.arange(side)[:, None] + 0.5) * scale
    weights = np.zeros((side, extent))
    distance = np.abs(np.arange(length) + 0.5 - centres)
    weights[:, start : start + length] = np.clip(1 - distance / max(scale, 1.0), 0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def ties(
    plane: NDArray[np.uint8], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where rounding decides: (a tie of any pass enters the value, all that the second pass adds are ties)."""

    def near(sums: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.abs(sums - np.floor(sums) - 0.5) < NEAR

    narrowed = plane @ columns.T
    first, there = near(narrowed), rows > NEAR / 255
    of_first = there.astype(int) @ first.astype(int)
    second = near(rows @ np.floor(narrowed + 0.5))
    return second | ((rows > 0).astype(int) @ first.astype(int) > 0), of_first == there.sum(axis=1, keepdims=True)


@example(seed=5064, side=35, channels=3, kind="noise")  # one value at two
@example(seed=18041, side=30, channels=1, kind="noise")  # several
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([1, 3]), st.sampled_from(["noise", "edges"]))
def test_resizing_at_once_is_pils_but_at_ties_by_a_level_and_by_two_where_ties_of_both_passes_meet(
    seed: int, side: int, channels: int, kind: str
) -> None:
    """Sums that lie off a half are rounded to one whole number by PIL and by us.

    At a half the first pass may be off by one. The weights of the second have the sum 1, so its sums are off by one at
    most, too, and by one only if all that it adds is; two such sums round to numbers two apart only if each lies at a
    half as well. So two is the bound, but of how many values of a plane there is none: an enlarged one repeats rows.
    """
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (3, 30, 37, channels), dtype=np.uint8)
    if kind == "edges":
        images = np.where(images < 128, 0, 255).astype(np.uint8)
    height, width = generator.integers(1, 31, 3), generator.integers(1, 38, 3)
    top, left = generator.integers(0, 31 - height), generator.integers(0, 38 - width)
    flips = generator.random(3) < 0.5
    found = crop_and_resize(
        torch.from_numpy(images), top=top, left=left, height=height, width=width, flips=flips, side=side
    )
    assert found.shape == (3, channels, side, side)
    for row in range(3):
        cut = images[row, top[row] : top[row] + height[row], left[row] : left[row] + width[row]]
        rows = exact_weights(top[row], height[row], 30, side)
        columns = exact_weights(left[row], width[row], 37, side)
        for channel in range(channels):
            # one pass per call: which of two comes first differs between versions of Pillow and sizes
            picture = Image.fromarray(np.ascontiguousarray(cut[:, :, channel]))
            for size in ((side, int(height[row])), (side, side)):
                picture = picture.resize(size, Image.Resampling.BILINEAR)
            expected = np.asarray(picture, dtype=np.float32)
            ours = found[row, channel].numpy()
            difference = np.abs((ours[:, ::-1] if flips[row] else ours) - expected)
            one, two = ties(images[row, :, :, channel], rows, columns)
            assert difference.max() <= 2
            assert not (difference > 0)[~one].any()
            assert not (difference > 1)[~two].any()


@given(st.integers(0, 10_000), st.integers(1, 30), st.booleans())
def test_one_pass_of_resizing_is_pils_within_a_level(seed: int, side: int, sideways: bool) -> None:
    generator = np.random.default_rng(seed)
    height, width = (side, int(generator.integers(1, 38))) if sideways else (int(generator.integers(1, 31)), side)
    images = generator.integers(0, 256, (1, height, width, 1), dtype=np.uint8)
    found = crop_and_resize(
        torch.from_numpy(images), top=[0], left=[0], height=[height], width=[width], flips=[False], side=side
    )
    expected = Image.fromarray(images[0, :, :, 0]).resize((side, side), Image.Resampling.BILINEAR)
    assert np.abs(found[0, 0].numpy() - np.asarray(expected, dtype=np.float32)).max() <= 1


def test_nothing_outside_the_box_is_read() -> None:
    images = torch.randint(0, 256, (1, 20, 20, 3), dtype=torch.uint8)
    box = {"top": [4], "left": [5], "height": [9], "width": [8], "flips": [False], "side": 12}
    before = crop_and_resize(images, **box)  # type: ignore[arg-type]
    kept = images[:, 4:13, 5:13].clone()
    images[:] = 255 - images
    images[:, 4:13, 5:13] = kept
    assert torch.equal(crop_and_resize(images, **box), before)  # type: ignore[arg-type]
