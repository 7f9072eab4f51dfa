"""Images per second per core: what every peer does (decode and transform) against our input path from the cache.

    python -m tests.benchmarks.bench_images                     made-up photographs of 500 x 375, about a minute
    python -m tests.benchmarks.bench_images --photos FOLDER     your own, one sub-folder per class

Claim: at resize 256, crop 227, one core, batches from the cache come at least 8 times as fast as decoding and
transforming with PIL and torchvision; the exit status says whether it holds. Both run in one process on one thread and
take turns; the ratio is the median of the ratios within a turn. The second table is the share of a training step that
is spent waiting for its batch.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from mlrc.harness.images.cache import cached
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ImageSet, Pixels
from mlrc.harness.images.device import ahead, on_device
from mlrc.harness.images.resize import resized
from mlrc.harness.images.transform import evaluation_batch, training_batch
from mlrc.harness.trunks.catalogue import find_trunk
from mlrc.protocols.protocol import of
from mlrc.protocols.reality_check import REALITY_CHECK

BATCH = of(REALITY_CHECK.batch_size, "cub200")
PHOTOS = 8 * BATCH
LEAST_RATIO = 8.0


def make_photos(folder: Path) -> None:
    """Write noise of every scale as JPEG, near a photograph in size (about 80 KB) and so in decoding time."""
    generator = np.random.default_rng(0)
    for number in range(PHOTOS):
        picture = np.zeros((375, 500, 3))
        for octave in range(2, 9):
            grid = generator.integers(0, 256, (3 * 2**octave // 4 + 1, 2**octave, 3), dtype=np.uint8)
            layer = Image.fromarray(grid).resize((500, 375), Image.Resampling.BICUBIC)
            picture += np.asarray(layer, dtype=np.float64) * 0.75**octave
        picture -= picture.min()
        path = folder / f"class{number % 16}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray((picture * (255 / picture.max())).astype(np.uint8)).save(path, quality=92)


def peers(paths: list[Path]) -> Callable[[int], Tensor]:
    """Give the pipeline of protocol A2 as the authors' harness composes it."""
    transform = transforms.Compose(
        [
            lambda image: Image.merge("RGB", image.split()[::-1]),
            transforms.Resize(REALITY_CHECK.resize),
            transforms.RandomResizedCrop(REALITY_CHECK.crop, REALITY_CHECK.crop_scale, REALITY_CHECK.crop_ratio),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            lambda values: values * 255,
            transforms.Normalize(REALITY_CHECK.mean, REALITY_CHECK.std),
        ]
    )

    def batch(number: int) -> Tensor:
        chosen = [paths[index % len(paths)] for index in range(number * BATCH, (number + 1) * BATCH)]
        return torch.stack([transform(Image.open(path).convert("RGB")) for path in chosen])

    return batch


def ours(pixels: Pixels, device: torch.device) -> Callable[[int], Tensor]:
    def batch(number: int) -> Tensor:
        return training_batch(pixels, rows(pixels, number), REALITY_CHECK, seed=0, iteration=number, device=device)

    return batch


def rows(pixels: Pixels, number: int) -> list[int]:
    return [index % len(pixels) for index in range(number * BATCH, (number + 1) * BATCH)]


def per_second(batch: Callable[[int], Tensor], count: int) -> float:
    started = time.perf_counter()
    for number in range(count):
        batch(number)
    return count * BATCH / (time.perf_counter() - started)


def throughput(images: ImageSet, cache: Path, turns: int) -> float:
    """Print images per second of every way, and give the ratio of the cached training path to the peers'."""
    kept, on_the_fly = cached(images, REALITY_CHECK.resize, folder=cache), resized(images.pixels, REALITY_CHECK.resize)
    cpu = torch.device("cpu")
    paths = sorted(path for path in Path(images.found.removesuffix(" (class folders)")).rglob("*.jpg"))
    ways: dict[str, tuple[Callable[[int], Tensor], int]] = {
        "decode and transform, PIL and torchvision": (peers(paths), 3),
        "decode on the fly, ours (`--no-cache`)": (ours(on_the_fly, cpu), 3),
        "training batches from the cache": (ours(kept, cpu), 24),
        "evaluation batches from the cache": (
            lambda number: evaluation_batch(kept, rows(kept, number), REALITY_CHECK),
            24,
        ),
    }
    for batch, _ in ways.values():
        batch(0)
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, (batch, count) in ways.items():
            measured[name].append(per_second(batch, count))
    baseline = next(iter(measured.values()))
    say("| way | images/s on one core | ratio |\n| --- | ---: | ---: |")
    ratios = {}
    for name, numbers in measured.items():
        ratios[name] = median(one / other for one, other in zip(numbers, baseline, strict=True))
        say(f"| {name} | {median(numbers):,.0f} | {ratios[name]:.1f} |")
    return ratios["training batches from the cache"]


def waiting(images: ImageSet, cache: Path, device: torch.device, steps: int) -> None:
    """Print the share of a training step of BN-Inception that goes by before its batch is there."""
    kept = cached(images, REALITY_CHECK.resize, folder=cache)
    paths = sorted(path for path in Path(images.found.removesuffix(" (class folders)")).rglob("*.jpg"))
    ways: dict[str, tuple[Callable[[int], Tensor], int]] = {
        "decode and transform, PIL and torchvision": (peers(paths), 0),
        "from the cache": (ours(kept, device), 0),
    }
    if device.type == "cuda":
        ways["from the cache, sent ahead"] = (ours(kept, device), 2)
        ways["kept on the device"] = (ours(on_device(kept, device), device), 0)
    say(f"| batches on {device.type} | step, ms | waiting, % |\n| --- | ---: | ---: |")
    for name, (batch, threads) in ways.items():
        stream = ahead((partial(batch, number) for number in range(steps + 1)), threads=threads)
        step, share = train(stream, device)
        say(f"| {name} | {1000 * step:,.0f} | {100 * share:.1f} |")


def train(stream: Iterator[Tensor], device: torch.device) -> tuple[float, float]:
    """Give the mean seconds of a step after the first, and the share of it that was waiting."""
    network = find_trunk("bn_inception").build(3).to(device).train()
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-6)
    waited, total, count = 0.0, 0.0, -1
    started = time.perf_counter()
    for batch in stream:
        images = batch.to(device)
        _finish(device)
        fetched = time.perf_counter()
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()
        _finish(device)
        done = time.perf_counter()
        if count >= 0:  # the first step warms up
            waited, total = waited + fetched - started, total + done - started
        count += 1
        started = done
    return total / count, waited / total


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> int:
    """Measure and print; 1 where the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of class folders of JPEG files")
    parser.add_argument("--turns", type=int, default=7, help="of the throughput measurement")
    parser.add_argument("--steps", type=int, default=3, help="training steps per way; 0 leaves them out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = ("torch", "torchvision", "pillow", "numpy")
    say(f"{platform.processor() or platform.machine()}, {', '.join(f'{name} {version(name)}' for name in names)}\n")
    with tempfile.TemporaryDirectory() as folder:
        photos = arguments.photos or Path(folder) / "photos"
        if arguments.photos is None:
            photos.mkdir()
            make_photos(photos)
        images, cache = open_dataset(f"folder:{photos}", photos), Path(folder) / "cache"
        ratio = throughput(images, cache, arguments.turns)
        if arguments.steps:
            say("")
            waiting(images, cache, torch.device("cuda" if torch.cuda.is_available() else "cpu"), arguments.steps)
    say(f"\nratio {ratio:.1f}, claimed at least {LEAST_RATIO:g}")
    return 0 if ratio >= LEAST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
