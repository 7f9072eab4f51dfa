"""A trunk that does not learn, run once over every image and view of a set; the heads of all trainings learn from that.

What a row holds follows from the image, the trunk, the protocol's input and the kind of device: every forward pass is
of as many images, the same ones whoever does it, and a view is drawn from the image's own seed.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlrc.harness.features.rows import Features
from mlrc.harness.features.store import Chunk, Done, Extract, OnProgress, Shape, Store, chunks, passes
from mlrc.harness.images.cache import cached, decoder
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.images.transform import evaluation_batch, view_batch
from mlrc.harness.images.vectors import VectorRows
from mlrc.harness.machine.determinism import THREADS, deterministic_device
from mlrc.harness.machine.environment import device_name
from mlrc.harness.machine.moves import moved
from mlrc.harness.plan.job import digest
from mlrc.harness.training.model import FrozenTrunk, forward, frozen_trunk
from mlrc.harness.trunks.catalogue import find_trunk
from mlrc.harness.trunks.timm_models import PREFIX
from mlrc.protocols.protocol import NO_TRUNK, Protocol
from mlrc.protocols.reality_check import REALITY_CHECK

VERSION = 1
"""Of the rows: raised whenever the same key would give other bits."""

ALWAYS = (
    *("trunk", "weights", "pooling", "channels", "maximum", "mean", "std", "resize", "crop"),
    *("precision", "channels_last"),
)
"""Fields of a protocol that decide its features."""
OF_VIEWS = ("views", "crop_scale", "crop_ratio", "flip", "seed")
"""Those that do where there are augmented views."""
_VERIFIED: set[Path] = set()
"""Stores that this process has read as a whole, or made."""


def recipe(protocol: Protocol) -> Protocol:
    """Give what of a protocol decides its features: two with the same have the same."""
    fields = ALWAYS + (OF_VIEWS if protocol.views else () if protocol.weights else ("seed",))
    return replace(REALITY_CHECK, name="features", trains="head", **{name: getattr(protocol, name) for name in fields})


def of_vectors(protocol: Protocol, images: ImageSet) -> Protocol:
    """Give the protocol by which heads are trained on a set: that of the trunk which gave its vectors, if they say so.

    Raises:
        ValueError: vectors are to be seen with a trunk that did not make them, or as if they were images.
    """
    if not isinstance(images.pixels, VectorRows):
        return protocol
    if protocol.trains == "all":
        raise ValueError(
            f"{images.found} holds vectors, on which only heads can be trained, but protocol {protocol.name!r} trains "
            "a trunk; take --protocol reality_check_frozen, or --set trains=head --set trunk=none --set weights=."
        )
    if protocol.views:
        raise ValueError(f"{images.found} holds one vector of each, so views must be 0, but is {protocol.views}.")
    if images.pixels.made is None:
        if protocol.trunk != NO_TRUNK:
            raise ValueError(
                f"{images.found} does not say that {protocol.trunk} made its vectors, so trunk must be {NO_TRUNK}; "
                "leave --trunk out."
            )
        return protocol
    fields = {name: _frozen(value) for name, value in images.pixels.made.fields.items()}
    derived = protocol.vary(fields)
    if protocol.trunk != NO_TRUNK and recipe(derived) != recipe(protocol):
        name = next(name for name in ALWAYS if getattr(derived, name) != getattr(protocol, name))
        raise ValueError(
            f"{images.found} was made with {name}={getattr(derived, name)}, but the protocol says "
            f"{getattr(protocol, name)}; leave it out, and --trunk, too."
        )
    return derived


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def features_of(
    images: ImageSet,
    protocol: Protocol,
    *,
    weights: Path | None,
    folder: Path | None,
    devices: Sequence[torch.device],
    threads: int = 1,
    on_progress: OnProgress | None = None,
    verify: bool = False,
) -> Features:
    """Give the features of a set under a protocol that trains the head alone, from the file in `folder` or newly made.

    Args:
        images: the set.
        protocol: whose trunk, transforms, precision and views are followed.
        weights: of the trunk.
        folder: of the stores and of the decode-once caches; `None` keeps neither, and all is made in memory.
        devices: that share the work, all of one kind.
        threads: that share it on a processor.
        on_progress: told of long work.
        verify: whether to read all of a store once per process, and to make a damaged one again.

    Raises:
        OSError: the store needs more room than there is, or its folder cannot be written.
        ValueError: an image cannot be decoded, or the weights do not fit.
    """
    rules, told = recipe(protocol), on_progress or _silent
    if isinstance(images.pixels, VectorRows):
        return _of_vectors(images.pixels, images, folder, told, verify=verify)
    extract = partial(
        _extracted, images, rules, weights=weights, folder=folder, devices=devices, threads=threads, on_progress=told
    )
    if folder is None:
        return Features(_in_memory(_shape(images, rules), extract))
    store = Store(folder, images.facts.name, _key(images, rules, devices[0]))
    if verify and store.path.is_dir() and store.path not in _VERIFIED:
        told(f"verifying {store.path.name}", 0, 0)
        store.verify()
    rows = store.mapped()
    if rows is None:
        rows = store.made(_shape(images, rules), extract, told)
    if verify:
        _VERIFIED.add(store.path)
    return Features(rows)


def _of_vectors(
    vectors: VectorRows, images: ImageSet, folder: Path | None, on_progress: OnProgress, *, verify: bool
) -> Features:
    """Give vectors that are there already; from a file that all workers map, whatever the format of the user's is."""
    if folder is None:
        return Features(vectors.rows()[None])
    store = Store(folder, images.facts.name, images.content)
    if verify and store.path not in _VERIFIED:
        store.verify()
    rows = store.mapped()
    if rows is None:
        given = vectors.rows()

        def copied(missing: Sequence[Chunk]) -> Iterator[Done]:
            return ((chunk, given[chunk.start : chunk.stop]) for chunk in missing)

        rows = store.made(Shape(1, *given.shape), copied, on_progress)
    if verify:
        _VERIFIED.add(store.path)
    return Features(rows)


def _key(images: ImageSet, rules: Protocol, device: torch.device) -> str:
    """Give 16 hexadecimal digits that name all that decides a bit: images, trunk, transforms, versions, kind of device.

    Pixels and features that another version computes may be others, as may those of another processor or GPU.
    """
    network = "timm" if rules.trunk.startswith(PREFIX) else "torchvision"
    versions = (VERSION, decoder(), torch.__version__, version(network))
    kind = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else device_name(device)
    return digest(images.content or images.fingerprint, rules.digest, *versions, device.type, kind)[:16]


def _shape(images: ImageSet, rules: Protocol) -> Shape:
    return Shape(1 + rules.views, len(images.labels), find_trunk(rules.trunk).features)


def _in_memory(shape: Shape, extract: Extract) -> NDArray[np.float32]:
    rows = np.empty(tuple(shape), dtype=np.float32)
    for chunk, of_chunk in extract(chunks(shape)):
        rows[chunk.view, chunk.start : chunk.stop] = of_chunk
    return rows


def _extracted(
    images: ImageSet,
    rules: Protocol,
    missing: Sequence[Chunk],
    *,
    weights: Path | None,
    folder: Path | None,
    devices: Sequence[torch.device],
    threads: int,
    on_progress: OnProgress,
) -> Iterator[Done]:
    """Give the rows of chunks as they come."""
    pixels = cached(images, rules.resize, folder=folder, threads=threads, on_progress=on_progress, verify=True)
    trunks: Mapping[torch.device, FrozenTrunk] = {
        deterministic_device(str(device), rules.precision): frozen_trunk(rules, weights).to(device)
        for device in devices
    }
    seeds = _seeds(images, rules) if rules.views else ()
    places: SimpleQueue[torch.device] = SimpleQueue()
    for device in devices:
        for _ in range(threads if device.type == "cpu" else 1):
            places.put(device)
    here = threading.local()

    def begin() -> None:
        torch.set_num_threads(THREADS)  # each thread has a number of its own
        here.device = places.get()

    def draw(batch: NDArray[np.int64], view: int) -> Tensor:
        if view == 0:
            return evaluation_batch(pixels, batch, rules, device=here.device)
        own = [seeds[image] for image in batch]
        return view_batch(pixels, batch, rules, seeds=own, view=view, device=here.device)

    @torch.inference_mode()
    def work(chunk: Chunk) -> Done:
        parts = []
        for wanted, batch in passes(chunk):
            rows = forward(trunks[here.device], draw(batch, chunk.view), rules, here.device)
            parts.append(rows[: len(wanted)].cpu().numpy())
            moved()  # beside the thread that waits for this one
        return chunk, np.concatenate(parts)

    with ThreadPoolExecutor(places.qsize(), initializer=begin) as pool:
        futures = [pool.submit(work, chunk) for chunk in missing]
        try:
            yield from (future.result() for future in as_completed(futures))
        finally:
            for future in futures:
                future.cancel()


def _seeds(images: ImageSet, rules: Protocol) -> list[int]:
    """Give the seed of each image, from which its views are drawn."""
    of_all = images.content or images.fingerprint, rules.seed
    return [int(digest("view", *of_all, image)[:16], 16) >> 1 for image in range(len(images.labels))]


def _silent(_what: str, _done: int, _total: int) -> None:
    pass
