"""The one value by which a loss enters the comparison, ours or a stranger's.

A loss file ends in `SPEC = LossSpec(...)` and its distribution names it under the entry-point group `mlrc.losses`.
The author never sees a device, a fold, a file or the search.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution, distribution_to_json
from torch import nn

from mlrc.losses.parts.plain_loss import PlainLoss, takes_indices

LOSS_LR = "loss_lr"
"""The reserved name in a space: the learning rate of the loss's own parameters. The harness takes it for their
optimizer and does not hand it to `build`."""

LOSS_LR_RANGE = FloatDistribution(1e-6, 1, log=True)
"""Where the Reality Check searches `loss_lr`; every loss here takes it, so that none gets a better chance."""

EVERY = "*"
"""In `under`, the name that stands for every dataset that is not named."""

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
            `forward(embeddings, labels)` gives one number; `params` are exactly the names of `space` without `loss_lr`,
            and whatever is set of `settable`.
            Proxies are drawn here, from torch's global generator, which the harness seeds from the job within a fork;
            labels arrive as 0..num_classes-1, embeddings unnormalised.
        batch: `"pairs"` draws several images per class (m = 4 in the Reality Check), `"classes"` one (m = 1).
        weight_decay: of the loss's own parameters; `None` takes the protocol's.
        published: dataset name to the parameters that were tuned on it under the Reality Check's rules, so that the
            search can be skipped. They hold under protocols of the family `reality_check`.
        under: family of protocols (`Protocol.family`) to dataset name, or `EVERY` for all others, to the parameters
            that a paper reports or takes under its rules: a rate, a margin belong to the optimizer and the batch that
            they were found with. `loss_lr` is among them where the paper has one of its own for this loss, and may lie
            beyond the range of the search, as the others may.
        recommended: parameters that the loss's own paper takes where neither names any, under whatever rules, or where
            it takes none, its usual code; without `loss_lr`.
        settable: parameter name to the range in which a user, a sweep or a paper may set it; no search varies it, and
            `build` has a default for it.
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
    under: Mapping[str, Mapping[str, Mapping[str, Value]]] = field(default_factory=dict)
    recommended: Mapping[str, Value] = field(default_factory=dict)
    settable: Mapping[str, BaseDistribution] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name != self.name.lower():
            raise ValueError(f"A loss's name must be lower_case_with_underscores, but got {self.name!r}.")
        if self.batch not in ("pairs", "classes"):
            raise ValueError(f"`batch` of loss {self.name!r} must be 'pairs' or 'classes', but got {self.batch!r}.")
        if both := sorted(set(self.space) & set(self.settable)):
            raise ValueError(
                f"A parameter of loss {self.name!r} must be searched or settable, but {both[0]!r} is both."
            )

    @property
    def parameters(self) -> dict[str, BaseDistribution]:
        """What may be given: the searched parameters, then the settable ones."""
        return {**self.space, **self.settable}

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise `ValueError` unless `params` has the names of the space, and else settable ones, each in its range."""
        known = self.parameters
        names = ", ".join(known) or "none"
        if unknown := sorted(set(params) - set(known)):
            raise ValueError(f"Loss {self.name!r} has no parameter {unknown[0]!r}; its parameters are {names}.")
        if missing := [name for name in self.space if name not in params]:
            raise ValueError(f"Loss {self.name!r} needs a value for {', '.join(missing)}.")
        for name, value in params.items():
            if not _contains(known[name], value):
                raise ValueError(f"{name}={value!r} of loss {self.name!r} must lie in {known[name]}.")

    def widened_to(self, params: Mapping[str, Value]) -> "LossSpec":
        """Give the spec whose ranges take in these numbers, too: what a paper reports may lie beyond a search."""
        wide = {name: _widened(one, params.get(name)) for name, one in self.parameters.items()}
        return replace(
            self,
            space={name: wide[name] for name in self.space},
            settable={name: wide[name] for name in self.settable},
        )

    def make(self, *, num_classes: int, embedding_size: int, params: Mapping[str, Any]) -> MinedLoss | nn.Module:
        """Build the loss for one training: `params` as the search proposes them, `loss_lr` included.

        Raises:
            ValueError: a parameter is missing, unknown or out of its range, or the factory itself fails.
            TypeError: the factory gives something that is no loss.
        """
        self.check(params)
        known = self.parameters
        arguments = {
            name: known[name].to_external_repr(known[name].to_internal_repr(value))  # 10.0 to 10 in an integer
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
            "parameters": _described(self.space),
            "settable": _described(self.settable),
            "published": {dataset: dict(params) for dataset, params in self.published.items()},
            "under": {
                family: {dataset: dict(params) for dataset, params in of_family.items()}
                for family, of_family in self.under.items()
            },
            "recommended": dict(self.recommended),
            "note": self.note,
        }


def _widened(distribution: BaseDistribution, value: Value | None) -> BaseDistribution:
    if not isinstance(value, int | float) or not isinstance(distribution, FloatDistribution | IntDistribution):
        return distribution
    low, high = min(distribution.low, value), max(distribution.high, value)
    if not math.isfinite(low + high) or (low, high) == (distribution.low, distribution.high):
        return distribution
    if isinstance(distribution, IntDistribution):
        return IntDistribution(int(low), int(high), log=distribution.log) if value == int(value) else distribution
    return FloatDistribution(low, high, log=distribution.log and low > 0)


def _described(parameters: Mapping[str, BaseDistribution]) -> list[dict[str, Any]]:
    return [
        {"name": name, "kind": type(distribution).__name__.removesuffix("Distribution").lower()}
        | json.loads(distribution_to_json(distribution))["attributes"]
        for name, distribution in parameters.items()
    ]


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (TypeError, ValueError):  # not a number, or not one of the choices
        return False
