"""Features in as many dimensions as an embedding has, without any learning from labels: what a head has to beat."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits


def principal_components(learnt: NDArray[np.float32], reduced: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Give rows along the directions in which other rows vary most, about their mean.

    Args:
        learnt: `(rows, width)`, from which mean and directions are taken; two rows at least.
        reduced: `(others, width)`.
        size: number of directions.

    Returns:
        `(others, size)`; fewer columns where rows or width have no more directions.
    """
    mean = learnt.mean(axis=0, dtype=np.float64)
    centred = learnt - mean
    with threadpool_limits(1):
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        along: NDArray[np.float64] = (reduced - mean) @ directions[: min(size, len(learnt) - 1)].T
    return along.astype(np.float32)
