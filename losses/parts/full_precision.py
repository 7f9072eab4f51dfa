"""Why a loss here never computes in half precision: cosines near 1 and exponents of 100 need more than 11 bits."""

from typing import Any

import torch
from torch import Tensor


class FullPrecision:
    """Mixed in before a PML loss or miner: computes in float32 or wider, and takes labels of any integer type.

    Half-precision embeddings are widened to float32 and autocast is off inside, so that the value comes out as float32
    and the loss's own parameters stay what the optimizer holds. PML's own classes follow the embeddings' type instead:
    they cast their parameters to half, and index and one-hot with int64 labels only.
    """

    def forward(self, embeddings: Tensor, *rest: Any, **named: Any) -> Any:
        """Compute as the class mixed in does: embeddings `(batch, dim)`, labels `(batch,)`, and PML's further ones."""
        with torch.autocast(embeddings.device.type, enabled=False):
            return super().forward(  # type: ignore[misc]  # of the PML class mixed in after this one
                _widen(embeddings),
                *(_widen(argument) for argument in rest),
                **{name: _widen(argument) for name, argument in named.items()},
            )


def _widen(argument: Any) -> Any:
    if not isinstance(argument, Tensor) or argument.dtype in (torch.float64, torch.bool):
        return argument
    return argument.float() if argument.is_floating_point() else argument.long()
