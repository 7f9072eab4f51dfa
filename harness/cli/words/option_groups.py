"""Options that several commands have together, and how a command takes them as one value."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from mlrc.harness.cli.words.options import (
    AcceptDataset,
    AcceptLoss,
    AcceptTrunk,
    Changes,
    Dataset,
    Device,
    Mps,
    NoCache,
    PerDevice,
    Ray,
    Root,
    StopAfter,
    TensorBoard,
    Trunk,
    Unchecked,
    Weights,
    Workers,
    user_errors,
)
from mlrc.harness.machine import mps
from mlrc.harness.machine.given import require_means


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What models are trained on, and the changes to a protocol."""

    dataset: Dataset
    changes: Changes = None
    trunk: Trunk = None
    weights: Weights = None
    no_cache: NoCache = False
    root: Root = Path("data")
    unchecked: Unchecked = False

    @property
    def cache(self) -> Path | None:
        """The folder of decoded images."""
        return None if self.no_cache else self.root / "cache"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Which plug-ins may be others than those that the records of a run were made with."""

    accept_changed_loss: AcceptLoss = False
    accept_changed_dataset: AcceptDataset = False
    accept_changed_trunk: AcceptTrunk = False

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds, of `mlrc.results.records.origin.KINDS`."""
        given = {
            "loss": self.accept_changed_loss,
            "dataset": self.accept_changed_dataset,
            "trunk": self.accept_changed_trunk,
        }
        return frozenset(kind for kind, accepted in given.items() if accepted)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Where the trainings run, and for how long."""

    workers: Workers = None
    per_device: PerDevice = None
    mps: Mps = False
    device: Device = "auto"
    stop_after: StopAfter = None
    ray: Ray = None
    tensorboard: TensorBoard = False

    def __post_init__(self) -> None:
        require_means(
            workers=self.workers, per_device=self.per_device, stop_after=self.stop_after, ray=self.ray, mps=self.mps
        )
        if self.mps:
            mps.require(self.device_here)

    @property
    def device_here(self) -> str:
        """The device of this machine; with Ray the driver trains nothing itself."""
        return "cpu" if self.ray else self.device


def spelled_out(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command in which each parameter that is such a group is spelled out as the options of the group."""
    parameters = inspect.signature(command).parameters.values()
    groups: dict[str, Any] = {one.name: one.annotation for one in parameters if is_dataclass(one.annotation)}
    options: list[inspect.Parameter] = []
    for one in parameters:
        if one.name not in groups:
            options.append(one.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        for option in fields(groups[one.name]):
            default = inspect.Parameter.empty if option.default is MISSING else option.default
            options.append(
                inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option.type)
            )

    @wraps(command)
    def with_options(**given: Any) -> None:
        for name, group in groups.items():
            with user_errors():
                given[name] = group(**{option.name: given.pop(option.name) for option in fields(group)})
        command(**given)

    with_options.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined] # as `inspect` documents it
    return with_options
