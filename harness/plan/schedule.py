"""When learning rates fall: pure functions of the epoch and of the validations so far.

Nothing here has a state, so a training that goes on from a checkpoint, and a stage 2 that follows the record of its
stage 1, fall where they must.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mlrc.protocols.protocol import Protocol
from mlrc.protocols.recorded import from_fields

History = Sequence[tuple[int, float]]
"""(epoch, validation score), epoch 0 before training."""

THRESHOLD = 1e-4
"""By this share of the best score so far a better one must exceed it, as in torch's `ReduceLROnPlateau`."""


class Recorded(NamedTuple):
    """What stage 1 of ProxyNCA++ tells stage 2.

    Attributes:
        steps: epochs after which the learning rates fall.
        epochs: to train.
    """

    steps: tuple[int, ...]
    epochs: int


def recorded(history: History, protocol: Protocol) -> Recorded:
    """Give the schedule that stage 2 repeats: the falls of stage 1 up to its best epoch, with which it ends.

    Args:
        history: of stage 1; epochs of the warm-up count for nothing.
        protocol: of both stages.

    Raises:
        ValueError: nothing was validated after the warm-up.
    """
    counting = _after_warm_up(history, protocol)
    if not counting:
        raise ValueError("Stage 1 must be validated after its warm-up, but was not; set max_epochs above warm_up.")
    score = max(score for _, score in counting)
    best = next(epoch for epoch, of_epoch in counting if of_epoch == score)
    return Recorded(tuple(step for step in falls(history, protocol) if step < best), best)


def schedule_of(history: History, fields: Mapping[str, Any]) -> Recorded:
    """Give what `recorded` gives under the protocol whose record has these fields; raises what it raises."""
    return recorded(history, from_fields(fields))


def falls(history: History, protocol: Protocol) -> tuple[int, ...]:
    """Give the epochs after which a plateau made the learning rates fall.

    That is when more than `plateau_patience` validations in a row were not better than the best by `THRESHOLD`; they
    are counted anew after every fall.
    """
    best, waited, found = -math.inf, 0, []
    for epoch, score in _after_warm_up(history, protocol):
        if score > best * (1 + THRESHOLD):
            best, waited = score, 0
        else:
            waited += 1
        if waited > protocol.plateau_patience:
            found.append(epoch)
            waited = 0
    return tuple(found)


def factor(done: int, steps: Sequence[int], protocol: Protocol, dataset: str) -> float:
    """Give what all learning rates are multiplied by in the epoch that follows `done` epochs.

    Args:
        done: epochs over.
        steps: epochs after which they fall, beside those every `lr_step` epochs.
        protocol: of the training.
        dataset: of the training.
    """
    every = protocol.lr_step.of(dataset)
    fallen = (done // every if every else 0) + sum(step <= done for step in steps)
    return float(protocol.lr_decay.of(dataset) ** fallen)


def _after_warm_up(history: History, protocol: Protocol) -> list[tuple[int, float]]:
    return [(epoch, score) for epoch, score in history if epoch > protocol.warm_up]
