"""Which images make a batch: m images of every class, or any images, shuffled per pass, from the job's seed alone.

PML's `MPerClassSampler` draws from a global generator; here pass p of a training draws from (seed, p), so a batch is a
function of the job and its position.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlrc.losses.spec import Batch
from mlrc.protocols.protocol import Protocol, of

Indices = NDArray[np.int64]


def drawn(
    labels: Indices, protocol: Protocol, dataset: str, kind: Batch, *, seed: int, start: int = 0
) -> Iterator[Indices]:
    """Give index batches without end, as the protocol draws them for losses of that batch kind; see `batches`.

    Raises what `require_a_batch` raises.
    """
    require_a_batch(len(labels), protocol, dataset)
    batch_size = of(protocol.batch_size, dataset)
    if protocol.sampling == "random":
        return random_batches(len(labels), batch_size=batch_size, seed=seed, start=start)
    m = of(protocol.images_per_class_pairs if kind == "pairs" else protocol.images_per_class_classes, dataset)
    draw = batches_of_blocks if protocol.trains == "head" else batches
    return draw(labels, batch_size=batch_size, images_per_class=m, seed=seed, start=start)


def require_a_batch(images: int, protocol: Protocol, dataset: str) -> None:
    """Raise `ValueError` where so many training images of a dataset make no full batch, or classes do not fill it."""
    batch_size = of(protocol.batch_size, dataset)
    if images < batch_size:
        raise ValueError(
            f"batch_size must not exceed the {images} training images, of which a batch is drawn, but got "
            f"{batch_size}; use --set batch_size={images} or less."
        )
    if protocol.sampling == "random":
        return
    for name in ("images_per_class_pairs", "images_per_class_classes"):
        m = of(getattr(protocol, name), dataset)
        if batch_size % m:
            raise ValueError(
                f"{name} must divide batch_size={batch_size} on {dataset!r}, but got {m}; use --set {name}=NUMBER."
            )


def iterations_per_epoch(images: int, protocol: Protocol, dataset: str) -> int:
    """Give the iterations of an epoch over so many training images: as many full batches as they make, at least one."""
    return protocol.iterations_per_epoch or max(1, images // of(protocol.batch_size, dataset))


def batches(labels: Indices, *, batch_size: int, images_per_class: int, seed: int, start: int = 0) -> Iterator[Indices]:
    """Give index batches without end, as the Reality Check draws them (protocol A3).

    Each pass shuffles the classes and appends `images_per_class` images of each, without replacement (with, where a
    class has fewer); passes are concatenated and cut into batches, so one that spans two passes may hold a class twice.

    Args:
        labels: `(images,)`, any integers.
        batch_size: images per batch.
        images_per_class: m.
        seed: of the training.
        start: number of the first batch to give; none before it is drawn.

    Yields:
        `(batch_size,)` indices into `labels`.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    number, skipped = divmod(start * batch_size, len(members) * images_per_class)
    left = np.empty(0, dtype=np.int64)
    while True:
        while len(left) < skipped + batch_size:
            generator = np.random.default_rng([seed, number])
            chosen = [
                generator.choice(members[index], images_per_class, replace=len(members[index]) < images_per_class)
                for index in generator.permutation(len(members))
            ]
            left = np.concatenate([left, *chosen])
            number += 1
        yield left[skipped : skipped + batch_size]
        left, skipped = left[skipped + batch_size :], 0


BLOCK = 8192
"""Images that are drawn at once for a head: the passes that make so many, at least one."""


def batches_of_blocks(
    labels: Indices, *, batch_size: int, images_per_class: int, seed: int, start: int = 0
) -> Iterator[Indices]:
    """Give index batches without end of the distribution of `batches`, whose arguments it takes, by other draws.

    Many passes are drawn at once, from (seed, number of the block): a head's iteration takes less time than the draws
    of a pass class by class.
    """
    order = np.argsort(labels, kind="stable")
    sizes = np.unique(labels, return_counts=True)[1]
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    passes = max(1, BLOCK // (len(sizes) * images_per_class))
    number, skipped = divmod(start * batch_size, passes * len(sizes) * images_per_class)
    left = np.empty(0, dtype=np.int64)
    while True:
        while len(left) < skipped + batch_size:
            generator = np.random.default_rng([seed, number])
            classes = generator.permuted(np.tile(np.arange(len(sizes)), (passes, 1)), axis=1)
            within = _without_repetition(sizes[classes], images_per_class, generator)
            left = np.concatenate([left, order[begins[classes][..., None] + within].ravel()])
            number += 1
        yield left[skipped : skipped + batch_size]
        left, skipped = left[skipped + batch_size :], 0


def _without_repetition(sizes: Indices, count: int, generator: np.random.Generator) -> Indices:
    """Draw `count` of 0 … size − 1 in random order for every size, `(…, count)`; repeated only where there are fewer.

    The number j of a draw is one of those left, counted over the earlier draws, which are passed from the lowest on.
    """
    drawn = np.empty((*sizes.shape, count), dtype=np.int64)
    enough = sizes >= count
    for place in range(count):
        one = generator.integers(np.where(enough, sizes - place, sizes))
        for earlier in np.moveaxis(np.sort(drawn[..., :place], axis=-1), -1, 0):
            one += enough & (one >= earlier)
        drawn[..., place] = one
    return drawn


def random_batches(images: int, *, batch_size: int, seed: int, start: int = 0) -> Iterator[Indices]:
    """Give index batches without end, each pass over 0 … images − 1 shuffled and its last incomplete batch dropped.

    Args:
        images: number of them, at least `batch_size`.
        batch_size: images per batch.
        seed: of the training.
        start: number of the first batch to give; none before it is drawn.

    Yields:
        `(batch_size,)` indices.
    """
    number, within = divmod(start, images // batch_size)
    while True:
        order = np.random.default_rng([seed, number]).permutation(images)
        for batch in range(within, images // batch_size):
            yield order[batch * batch_size : (batch + 1) * batch_size]
        number, within = number + 1, 0
