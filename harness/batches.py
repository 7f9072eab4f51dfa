"""Which images make a batch: m images of every class, shuffled per pass, from the job's seed alone.

PML's `MPerClassSampler` draws from a global generator; here pass p of a training draws from (seed, p), so a batch is a
function of the job and its position.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


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
