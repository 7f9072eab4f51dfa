"""The one value by which a loss enters the comparison, ours or a stranger's.

A loss file ends in `SPEC = LossSpec(...)` and its distribution names it under the entry-point group `mlrc.losses`.
The author never sees a device, a fold, a file or the search.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from optuna.distributions import BaseDistribution, FloatDistribution, distribution_to_json
from torch import nn

from mlrc.losses.parts.plain_loss import PlainLoss, takes_indices

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
            Bounds that a study widened for one dataset hold for all.
        build: `build(num_classes, embedding_size, **params)` gives a PML loss, a `MinedLoss`, or any module whose
            `forward(embeddings, labels)` gives one number; `params` are exactly the names of `space` without `loss_lr`.
            Proxies are drawn here, from torch's global generator, which the harness seeds from the job within a fork;
            labels arrive as 0..num_classes-1, embeddings unnormalised.
        batch: `"pairs"` draws several images per class (m = 4 in the Reality Check), `"classes"` one (m = 1).
        weight_decay: of the loss's own parameters; `None` takes the protocol's.
        published: dataset name to the tuned parameters that a paper reports, so that the search can be skipped.
        recommended: parameters that the loss's paper takes on every dataset that `published` does not name, without
            `loss_lr`.
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
    recommended: Mapping[str, Value] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name != self.name.lower():
            raise ValueError(f"A loss's name must be lower_case_with_underscores, but got {self.name!r}.")
        if self.batch not in ("pairs", "classes"):
            raise ValueError(f"`batch` of loss {self.name!r} must be 'pairs' or 'classes', but got {self.batch!r}.")

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise `ValueError` unless `params` has exactly the names of the space, each value inside its range."""
        names = ", ".join(self.space) or "none"
        if unknown := sorted(set(params) - set(self.space)):
            raise ValueError(f"Loss {self.name!r} has no parameter {unknown[0]!r}; its parameters are {names}.")
        if missing := [name for name in self.space if name not in params]:
            raise ValueError(f"Loss {self.name!r} needs a value for {', '.join(missing)}.")
        for name, value in params.items():
            if not _contains(self.space[name], value):
                raise ValueError(f"{name}={value!r} of loss {self.name!r} must lie in {self.space[name]}.")

    def make(self, *, num_classes: int, embedding_size: int, params: Mapping[str, Any]) -> MinedLoss | nn.Module:
        """Build the loss for one training: `params` as the search proposes them, `loss_lr` included.

        Raises:
            ValueError: a parameter is missing, unknown or out of its range, or the factory itself fails.
            TypeError: the factory gives something that is no loss.
        """
        self.check(params)
        arguments = {
            name: self.space[name].to_external_repr(
                self.space[name].to_internal_repr(value)
            )  # 10.0 to 10 in an integer
            for name, value in params.items()
            if name != LOSS_LR
        }
        try:
            loss = self.build(num_classes, embedding_size, **arguments)
        except Exception as error:  # a plug-in may fail in any way, and the sentence must name it
            raise ValueError(
                f"The factory of loss {self.name!r} must build one with {arguments} for {num_classes} classes, but "
                f"raised {type(error).__name__}: {error}; correct its `build` or narrow its `space`."
            ) from error
        if not isinstance(loss, nn.Module | MinedLoss):
            raise TypeError(
                f"The factory of loss {self.name!r} must give a torch module or a MinedLoss, but gave "
                f"a {type(loss).__name__}; correct its `build`."
            )
        if isinstance(loss, MinedLoss):
            if not takes_indices(loss.loss):
                raise TypeError(
                    f"The loss in the MinedLoss of {self.name!r} must take what its miner found, as "
                    "`forward(embeddings, labels, indices_tuple)`, but takes embeddings and labels alone."
                )
            return loss
        return loss if takes_indices(loss) else PlainLoss(loss)

    def describe(self) -> dict[str, Any]:
        """Give what a list shows, in plain JSON values: the fields, and every parameter with its range."""
        return {
            "name": self.name,
            "title": self.title,
            "source": self.source,
            "batch": self.batch,
            "parameters": [
                {"name": name, "kind": type(distribution).__name__.removesuffix("Distribution").lower()}
                | json.loads(distribution_to_json(distribution))["attributes"]
                for name, distribution in self.space.items()
            ],
            "published": {dataset: dict(params) for dataset, params in self.published.items()},
            "recommended": dict(self.recommended),
            "note": self.note,
        }


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (TypeError, ValueError):  # not a number, or not one of the choices
        return False
