"""The one value by which a loss enters the comparison, ours or a stranger's.

A loss file ends in `SPEC = LossSpec(...)` and its distribution names it under the entry-point group `mlrc.losses`.
The author never sees a device, a fold, a file or the search.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from optuna.distributions import BaseDistribution, FloatDistribution
from torch import nn

LOSS_LR = "loss_lr"
"""The reserved name in a space: the learning rate of the loss's own parameters. The harness takes it for their
optimizer and does not hand it to `build`."""

LOSS_LR_RANGE = FloatDistribution(1e-6, 1, log=True)
"""Where the Reality Check searches `loss_lr`; every loss here takes it, so that none gets a better chance."""

Batch = Literal["pairs", "classes"]
Value = float | int | str | bool


class MinedLoss(NamedTuple):
    """A PML loss together with the PML miner that picks its pairs or triplets from every batch."""

    loss: nn.Module
    miner: nn.Module


@dataclass(frozen=True, kw_only=True)
class LossSpec:
    """A loss, what of it is searched, and how its batches are drawn.

    Attributes:
        name: the name on the command line and in every table, `lower_case_with_underscores`.
        title: the name as papers print it.
        source: the paper (authors, venue or arXiv number), with the equation where it helps.
        space: parameter name to the Optuna distribution it is searched in. The reserved name `loss_lr` is the learning
            rate of the loss's own parameters; a loss with parameters needs it and a loss without must not have it.
        build: `build(num_classes, embedding_size, **params)` gives a PML loss, or a `MinedLoss`; `params` are exactly
            the names of `space` without `loss_lr`.
        batch: `"pairs"` draws several images per class (m = 4 in the Reality Check), `"classes"` one (m = 1).
        weight_decay: of the loss's own parameters; `None` takes the protocol's.
        published: dataset name to the tuned parameters that a paper reports, so that the search can be skipped.
        note: what a reader of a table must know: the range's origin, a deviation from the paper.
    """

    name: str
    title: str
    source: str
    space: Mapping[str, BaseDistribution]
    build: Callable[..., nn.Module | MinedLoss]
    batch: Batch
    weight_decay: float | None = None
    published: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name != self.name.lower():
            raise ValueError(f"A loss's name must be lower_case_with_underscores, but got {self.name!r}.")
        if self.batch not in ("pairs", "classes"):
            raise ValueError(f"`batch` of loss {self.name!r} must be 'pairs' or 'classes', but got {self.batch!r}.")

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise `ValueError` unless `params` has exactly the names of the space, each value inside its range."""
        if unknown := sorted(set(params) - set(self.space)):
            raise ValueError(
                f"Loss {self.name!r} has no parameter {unknown[0]!r}; its parameters are {', '.join(self.space)}."
            )
        if missing := [name for name in self.space if name not in params]:
            raise ValueError(f"Loss {self.name!r} needs a value for {', '.join(missing)}.")
        for name, value in params.items():
            distribution = self.space[name]
            if not distribution._contains(distribution.to_internal_repr(value)):
                raise ValueError(f"{name}={value!r} of loss {self.name!r} must lie in {distribution}.")

    def make(self, *, num_classes: int, embedding_size: int, params: Mapping[str, Any]) -> MinedLoss | nn.Module:
        """Build the loss for one training: `params` as the search proposes them, `loss_lr` included."""
        self.check(params)
        arguments = {name: value for name, value in params.items() if name != LOSS_LR}
        return self.build(num_classes, embedding_size, **arguments)
