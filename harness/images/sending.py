"""From the host's memory to a device's: what belongs to one batch goes in one copy, which nobody waits for."""

from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

ALIGNMENT = 64
"""Of each array within a parcel, in bytes: a multiple of every number's size."""


class Parcel:
    """Arrays of one batch that travel to a device together: pinned memory to write into, and one copy of it.

    Nothing is copied for a processor. On CUDA the copy is of the current stream, and the host goes on at once; the
    pinned memory is not reused before the copy is done, as torch's allocator of the host sees to it.

    Attributes:
        here: the arrays to fill, of the kinds and shapes asked for; whatever lay there before.

    Args:
        contents: kind of number and shape of each array.
        device: that they are sent to.
    """

    def __init__(self, contents: Sequence[tuple[DTypeLike, tuple[int, ...]]], device: torch.device) -> None:
        self._device = device
        kinds = [(np.dtype(kind), shape) for kind, shape in contents]
        if device.type == "cpu":
            self.here: tuple[NDArray[Any], ...] = tuple(np.empty(shape, kind) for kind, shape in kinds)
            return
        sizes = [kind.itemsize * prod(shape) for kind, shape in kinds]
        room = [-(-size // ALIGNMENT) * ALIGNMENT for size in sizes]
        self._starts = np.cumsum([0, *room]).tolist()
        self._buffer = torch.empty(self._starts[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
        raw = self._buffer.numpy()
        self.here = tuple(
            raw[start : start + size].view(kind).reshape(shape)
            for start, size, (kind, shape) in zip(self._starts, sizes, kinds, strict=False)
        )

    def sent(self) -> tuple[Tensor, ...]:
        """Give the arrays on the device."""
        if self._device.type == "cpu":
            return tuple(map(torch.from_numpy, self.here))
        there = self._buffer.to(self._device, non_blocking=self._device.type == "cuda")
        return tuple(
            there[start : start + array.nbytes].view(torch.from_numpy(array).dtype).view(array.shape)
            for start, array in zip(self._starts, self.here, strict=False)
        )


def send(arrays: Sequence[NDArray[Any]], device: torch.device) -> tuple[Tensor, ...]:
    """Give arrays on a device, by one copy; on a processor they stay where they are."""
    if device.type == "cpu":
        return tuple(map(torch.from_numpy, arrays))
    parcel = Parcel([(array.dtype, array.shape) for array in arrays], device)
    for place, array in zip(parcel.here, arrays, strict=True):
        place[...] = array
    return parcel.sent()


class Prepared(NamedTuple):
    """Tensors that a stream is still at work on, and the event that tells that it is done."""

    tensors: tuple[Tensor, ...]
    done: torch.cuda.Event


class Aside:
    """A stream beside the one that trains: what is copied and computed in it holds up no kernel of the training.

    Attributes:
        stream: it.

    Args:
        device: of CUDA.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def begun(self, work: Callable[[], tuple[Tensor, ...]]) -> Prepared:
        """Have the device begin the work on this stream; for any thread."""
        with torch.cuda.stream(self.stream):
            tensors = work()
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record(self.stream)
        return Prepared(tensors, done)

    def taken(self, prepared: Prepared) -> tuple[Tensor, ...]:
        """Give the tensors to the current stream, which waits for the event; the host does not."""
        current = torch.cuda.current_stream(self._device)
        current.wait_event(prepared.done)
        for tensor in prepared.tensors:
            tensor.record_stream(current)  # its memory is not for the side stream again before the training is done
        return prepared.tensors


@cache
def aside(device: torch.device) -> Aside:
    """Give the one such stream of a device: torch's allocator keeps memory for each stream."""
    return Aside(device)
