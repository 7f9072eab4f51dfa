"""Batches equal the plain PIL and torchvision pipeline of the protocol, however and wherever they are made."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import transforms

from mlrc.harness.images.augmentation import Boxes, augmentation
from mlrc.harness.images.cache import cached
from mlrc.harness.images.dataset import ArrayPixels, ImageSet
from mlrc.harness.images.device import ResidentPixels, ahead, on_device
from mlrc.harness.images.folder import open_folder
from mlrc.harness.images.resize import resized
from mlrc.harness.images.transform import evaluation_batch, normalise, training_batch
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.quick import QUICK
from mlrc.protocols.reality_check import REALITY_CHECK

MakeImage = Callable[..., None]
INDICES = np.array([3, 0, 5, 1, 1, 4, 2, 7])


@pytest.fixture
def photos(tmp_path: Path, make_image: MakeImage) -> ImageSet:
    for number in range(8):
        size = (500, 375) if number % 2 else (333, 400)
        make_image(tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg", *size, "L" if number == 5 else "RGB")
    return open_folder(tmp_path / "photos")


@pytest.fixture
def real_photos(shared_data: Path, tmp_path: Path) -> ImageSet:
    with zipfile.ZipFile(shared_data / "grocery" / "grocery_128.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][:600:75]
        for number, name in enumerate(names):
            target = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
    return open_folder(tmp_path / "photos")


def paths_of(images: ImageSet) -> list[Path]:
    pixels = vars(images.pixels)
    return [pixels["folder"] / path for path in pixels["paths"]]


def tail(protocol: Protocol) -> list[object]:
    """The last steps of protocol A2, as the authors' harness composes them."""
    return [
        transforms.ToTensor(),
        lambda values: values * protocol.maximum,
        transforms.Normalize(protocol.mean, protocol.std),
    ]


def opened(path: Path, protocol: Protocol) -> Image.Image:
    image = Image.open(path).convert("RGB")
    if protocol.channels == "BGR":
        image = Image.merge("RGB", image.split()[::-1])
    return transforms.Resize(protocol.resize)(image)  # type: ignore[no-any-return]


def plain_evaluation(images: ImageSet, protocol: Protocol) -> Tensor:
    compose = transforms.Compose([transforms.CenterCrop(protocol.crop), *tail(protocol)])
    return torch.stack([compose(opened(paths_of(images)[index], protocol)) for index in INDICES])


def plain_training(images: ImageSet, protocol: Protocol, seed: int, iteration: int) -> Tensor:
    pictures = [opened(paths_of(images)[index], protocol) for index in INDICES]
    sizes = [picture.size[::-1] for picture in pictures]
    boxes, flips = augmentation(sizes, protocol, seed=seed, iteration=iteration)
    batch = []
    for row, picture in enumerate(pictures):
        box = int(boxes.top[row]), int(boxes.left[row]), int(boxes.height[row]), int(boxes.width[row])
        crop = transforms.functional.resized_crop(picture, *box, [protocol.crop] * 2)
        crop = transforms.functional.hflip(crop) if flips[row] else crop
        batch.append(transforms.Compose(tail(protocol))(crop))
    return torch.stack(batch)


def assert_equals_the_plain_pipeline(images: ImageSet, protocol: Protocol, *, differing: float = 0.005) -> None:
    """Compare; no value may be off by more than a level of 255, and no more than the share `differing` by that."""
    level = protocol.maximum / 255 / min(protocol.std)
    pixels = resized(images.pixels, protocol.resize)
    torch.testing.assert_close(
        evaluation_batch(pixels, INDICES, protocol), plain_evaluation(images, protocol), rtol=0, atol=1e-3 * level
    )
    for iteration in range(3):
        difference = training_batch(pixels, INDICES, protocol, seed=7, iteration=iteration) - plain_training(
            images, protocol, 7, iteration
        )
        assert difference.abs().max() <= 1.001 * level  # one level of 255: PIL and torch round in other places
        assert difference.abs().mean() <= differing * level


def test_the_pipeline_equals_pil_and_torchvision(photos: ImageSet) -> None:
    assert_equals_the_plain_pipeline(photos, REALITY_CHECK)


def test_it_does_so_for_rgb_from_zero_to_one(photos: ImageSet) -> None:
    imagenet = {"channels": "RGB", "maximum": 1.0, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    assert_equals_the_plain_pipeline(photos, REALITY_CHECK.vary(imagenet))


@pytest.mark.shared_data
def test_it_does_so_on_real_photographs(real_photos: ImageSet) -> None:
    # their crops of at most 128 pixels are enlarged: values between two pixels fall on half a level more often
    assert_equals_the_plain_pipeline(real_photos, REALITY_CHECK, differing=0.06)
    assert_equals_the_plain_pipeline(real_photos, REALITY_CHECK.vary({"resize": 128, "crop": 112}), differing=0.06)


def test_batches_from_the_cache_are_identical_to_batches_decoded_on_the_fly(tmp_path: Path, photos: ImageSet) -> None:
    on_the_fly, kept = resized(photos.pixels, 256), cached(photos, 256, folder=tmp_path / "cache")
    one, other = (training_batch(pixels, INDICES, REALITY_CHECK, seed=1, iteration=2) for pixels in (on_the_fly, kept))
    assert torch.equal(one, other)
    one, other = (evaluation_batch(pixels, INDICES, REALITY_CHECK) for pixels in (on_the_fly, kept))
    assert torch.equal(one, other)


def test_images_in_device_memory_give_the_same_batches_within_a_level(tmp_path: Path, photos: ImageSet) -> None:
    kept = cached(photos, 256, folder=tmp_path / "cache")
    resident = ResidentPixels(kept, torch.device("cpu"))  # type: ignore[arg-type]
    assert len(resident) == 8
    np.testing.assert_array_equal(resident[2], kept[2])
    assert torch.equal(
        evaluation_batch(resident, INDICES, REALITY_CHECK), evaluation_batch(kept, INDICES, REALITY_CHECK)
    )
    one, other = (training_batch(pixels, INDICES, REALITY_CHECK, seed=1, iteration=2) for pixels in (resident, kept))
    assert (one - other).abs().max() <= 1.001
    assert (one - other).abs().mean() <= 0.005


def test_images_in_memory_give_the_same_batches_whether_sent_or_resident() -> None:
    array = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 1), dtype=np.uint8)
    memory = ArrayPixels(array)
    resident = ResidentPixels(memory, torch.device("cpu"))
    for iteration in range(3):
        one, other = (
            training_batch(pixels, INDICES, QUICK, seed=1, iteration=iteration) for pixels in (resident, memory)
        )
        assert torch.equal(one, other)
    assert torch.equal(evaluation_batch(resident, INDICES, QUICK), evaluation_batch(memory, INDICES, QUICK))


def test_a_small_box_in_the_last_corner_of_a_resident_set_can_be_cut_beside_a_large_one() -> None:
    array = np.arange(2 * 6 * 7 * 3, dtype=np.uint8).reshape(2, 6, 7, 3)
    resident = ResidentPixels(ArrayPixels(array), torch.device("cpu"))
    boxes = Boxes(*(np.array(numbers) for numbers in ([0, 4], [0, 5], [6, 2], [7, 2])))
    cut = resident.gathered(*map(torch.from_numpy, resident.places([0, 1], boxes))).numpy()
    np.testing.assert_array_equal(cut[0], array[0])
    np.testing.assert_array_equal(cut[1, :2, :2], array[1, 4:, 5:])


@pytest.mark.gpu
def test_on_a_gpu_batches_are_the_same_whether_sent_or_resident(tmp_path: Path, photos: ImageSet) -> None:
    cuda = torch.device("cuda")
    kept = cached(photos, 256, folder=tmp_path / "cache")
    resident = on_device(kept, cuda)
    assert isinstance(resident, ResidentPixels)
    for iteration in range(3):
        one, other = (
            training_batch(pixels, INDICES, REALITY_CHECK, seed=1, iteration=iteration, device=cuda)
            for pixels in (resident, kept)
        )
        assert torch.equal(one, other)
        on_cpu = training_batch(kept, INDICES, REALITY_CHECK, seed=1, iteration=iteration)
        assert (one.cpu() - on_cpu).abs().max() <= 1.001
    for pixels in (resident, kept):
        batch = evaluation_batch(pixels, INDICES, REALITY_CHECK, device=cuda)
        assert batch.device.type == "cuda"
        torch.testing.assert_close(batch.cpu(), evaluation_batch(kept, INDICES, REALITY_CHECK), rtol=0, atol=1e-4)


def test_a_batch_follows_from_seed_and_iteration_alone(photos: ImageSet) -> None:
    pixels = resized(photos.pixels, 256)
    torch.manual_seed(1)
    first = training_batch(pixels, INDICES, REALITY_CHECK, seed=1, iteration=2)
    training_batch(pixels, INDICES, REALITY_CHECK, seed=1, iteration=3)
    torch.manual_seed(2)
    assert torch.equal(training_batch(pixels, INDICES, REALITY_CHECK, seed=1, iteration=2), first)
    assert not torch.equal(training_batch(pixels, INDICES, REALITY_CHECK, seed=2, iteration=2), first)
    assert not torch.equal(training_batch(pixels, INDICES, REALITY_CHECK, seed=1, iteration=3), first)


# Channels, range, normalisation


def batch(channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, channels, 4, 5), dtype=np.uint8)


def test_blue_green_red_from_0_to_255_can_be_turned_back_without_loss() -> None:
    images = batch(3)
    turned = normalise(torch.from_numpy(images.copy()), REALITY_CHECK).numpy()
    mean = np.array(REALITY_CHECK.mean)[:, None, None]
    np.testing.assert_array_equal((turned + mean)[:, ::-1].round().astype(np.uint8), images)
    np.testing.assert_allclose(turned[:, 0], images[:, 2] - 104.0)


def test_colour_becomes_grey_by_luma_and_grey_becomes_three_equal_channels() -> None:
    grey = normalise(torch.from_numpy(batch(3)), QUICK)
    picture = Image.fromarray(np.ascontiguousarray(batch(3)[0].transpose(1, 2, 0))).convert("L")
    np.testing.assert_allclose((grey[0, 0] * 0.5 + 0.5) * 255, np.asarray(picture), atol=0.6)
    colour = normalise(torch.from_numpy(batch(1)), REALITY_CHECK)
    np.testing.assert_allclose(colour[0] + torch.tensor(REALITY_CHECK.mean)[:, None, None], batch(1)[0].repeat(3, 0))


def test_normalising_leaves_the_pixels_alone() -> None:
    images = torch.from_numpy(batch(1))
    before = images.clone()
    normalise(images, QUICK)
    normalise(images, REALITY_CHECK)
    assert torch.equal(images, before)


# Prepared ahead


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_work_prepared_ahead_comes_in_its_order(threads: int) -> None:
    assert list(ahead((lambda number=number: number**2 for number in range(50)), threads=threads)) == [  # type: ignore[misc]
        number**2 for number in range(50)
    ]


@pytest.mark.parametrize("threads", [0, 2])
def test_a_failure_is_raised_where_its_result_was_due(threads: int) -> None:
    def work(number: int) -> int:
        return 1 // (number - 3)

    results = ahead((lambda number=number: work(number) for number in range(9)), threads=threads)  # type: ignore[misc]
    assert [next(results) for _ in range(3)] == [-1, -1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_only_a_little_is_prepared_ahead_of_an_endless_stream() -> None:
    asked: list[int] = []

    def endless() -> "object":
        number = 0
        while True:
            asked.append(number)
            yield lambda number=number: number
            number += 1

    results = ahead(endless(), threads=2)  # type: ignore[arg-type, var-annotated]
    assert [next(results), next(results)] == [0, 1]
    assert len(asked) <= 7
    results.close()  # type: ignore[attr-defined]
