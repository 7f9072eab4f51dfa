"""Many images embedded outside a training: batches of a fixed size side by side on the cores, or ahead of a device."""

import os
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.features.store import BATCH
from mlrc.harness.images.dataset import Pixels
from mlrc.harness.images.device import ahead
from mlrc.harness.images.resize import resize
from mlrc.harness.training.fold import EVALUATION_BATCH, EVALUATION_BATCH_ON_CORES, Subset, embed
from mlrc.harness.training.model import Embedder
from mlrc.protocols.protocol import Protocol

Floats = NDArray[np.float32]


def embed_all(
    network: Embedder,
    pixels: Pixels,
    protocol: Protocol,
    device: torch.device,
    *,
    features: bool,
    threads: int | None = None,
    progress: Callable[[int, int], None],
) -> Floats:
    """Give embeddings `(images, embedding_size)`, or with `features` the pooled output of the trunk.

    A batch holds the same images whatever the number of threads, and on cores each is one thread's, so that no result
    depends on it.

    Args:
        network: on the device.
        pixels: of the images, before any step of the protocol.
        protocol: whose transform for evaluation is followed.
        device: to embed on.
        features: whether to leave out the head.
        threads: that decode, and on cores embed, side by side; by default one per core.
        progress: told of (images done, images).

    Raises what decoding raises.
    """
    on_cores = device.type == "cpu"
    size = BATCH if features else EVALUATION_BATCH_ON_CORES if on_cores else EVALUATION_BATCH
    threads = threads or os.cpu_count() or 1
    starts = range(0, len(pixels), size)

    def read(start: int) -> list[NDArray[np.uint8]]:
        places = range(start, min(start + size, len(pixels)))
        return [resize(pixels[place], protocol.resize) for place in places]

    def embedded(images: list[NDArray[np.uint8]]) -> Floats:
        rows = np.arange(len(images))
        if features:  # the passes are those of a store, so that heads learn from either the same
            rows = np.minimum(np.arange(BATCH), len(images) - 1)
        found = embed(network, Subset(images, np.zeros_like(rows), rows), protocol, device, features=features)
        return found[: len(images)]

    def whole(start: int) -> Floats:
        return embedded(read(start))

    if on_cores:
        parts = ahead((partial(whole, start) for start in starts), threads=threads, alone=True)
    else:
        parts = map(embedded, ahead((partial(read, start) for start in starts), threads=threads))
    found = []
    for part in parts:
        found.append(part)
        progress(min(len(found) * size, len(pixels)), len(pixels))
    return np.concatenate(found)
