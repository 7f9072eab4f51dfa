"""Labels that claim another device than they have, so that a loss's handling of devices shows on a machine with one."""

from typing import Any

import torch
from torch import Tensor

_METADATA = frozenset({"detach", "alias", "lift_fresh", "_to_copy"})


class ElsewhereTensor(Tensor):
    """A tensor on a device that is not there: it can be moved to a real one, and any other use is an error.

    A loss that moves its labels to the embeddings' device first, as PML's do, works with it; one that does not fails
    as it would with labels on the CPU and embeddings on a GPU.
    """

    contents: Tensor

    @staticmethod
    def __new__(cls, contents: Tensor) -> "ElsewhereTensor":
        """Hide `contents`, a CPU tensor, behind the device `meta`."""
        outside = Tensor._make_wrapper_subclass(cls, contents.shape, dtype=contents.dtype, device=torch.device("meta"))
        outside.contents = contents
        return outside

    def __repr__(self) -> str:  # type: ignore[override]  # the contents cannot be printed from elsewhere
        return f"ElsewhereTensor({tuple(self.shape)})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        """Let the tensor be copied to a device or to another type; refuse to compute with it."""
        del types
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        if name not in _METADATA:
            raise RuntimeError(f"{name} was called on labels that are not on the embeddings' device.")
        target = kwargs.get("device")
        if target is not None and torch.device(target).type != "meta":
            return func(*(_contents(argument) for argument in args), **kwargs)
        kwargs.pop("device", None)
        return cls(func(*(_contents(argument) for argument in args), **kwargs))


def _contents(argument: Any) -> Any:
    return argument.contents if isinstance(argument, ElsewhereTensor) else argument
