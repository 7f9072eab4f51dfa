"""The promises that are held before a run spends anything: those on which resume, seeds and devices rest.

A loss that breaks one trains all the same, and its numbers are others after a stop, or on another machine, without a
word. They take a fraction of a second per loss; `mlrc check` holds all the others, too.
"""

from collections.abc import Callable

from mlrc.losses.contract import promises
from mlrc.losses.contract.promises import Finding
from mlrc.losses.spec import LossSpec

BEFORE_A_RUN: tuple[Callable[[LossSpec], None], ...] = (
    promises.the_same_seed_gives_the_same_training,
    promises.a_saved_state_continues_the_training,
    promises.labels_may_lie_on_another_device,
)

_held: dict[int, tuple[LossSpec, tuple[Finding, ...]]] = {}
"""By the identity of the spec, which stays alive with it; a sweep asks for the same loss at every point."""


def broken(spec: LossSpec) -> tuple[Finding, ...]:
    """Give what was found of the promises that a loss breaks, once for a spec in a process."""
    if id(spec) not in _held:
        found = (promises.find(promise, spec) for promise in BEFORE_A_RUN)
        _held[id(spec)] = spec, tuple(one for one in found if not one.ok)
    return _held[id(spec)][1]
