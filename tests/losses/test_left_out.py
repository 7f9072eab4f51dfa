"""Every class of PML's losses is compared, or left out for a stated reason."""

import inspect

import pytest
from pytorch_metric_learning import losses as pml
from torch import nn

from mlrc.harness.plugins import LOSSES
from mlrc.losses.contract import rehearsal
from mlrc.losses.contract.space import centre
from mlrc.losses.left_out import LEFT_OUT

CLASSES = {name: one for name, one in vars(pml).items() if inspect.isclass(one)}


@pytest.fixture(scope="module")
def compared() -> set[str]:
    """Give the names of PML's losses of which the registered ones are made, as they are or as an ancestor."""
    modules: list[nn.Module] = []
    for name in LOSSES.names():
        spec = LOSSES.find(name)
        modules += rehearsal.module(rehearsal.build(spec, centre(spec.space))).modules()
    ancestors = {ancestor for module in modules for ancestor in type(module).__mro__}
    return {name for name, one in CLASSES.items() if one in ancestors}


def test_every_loss_of_pml_is_registered_or_left_out(compared: set[str]) -> None:
    assert set(CLASSES) == compared | set(LEFT_OUT)


def test_no_loss_is_left_out_that_is_registered_or_does_not_exist(compared: set[str]) -> None:
    bases = {name for name, reason in LEFT_OUT.items() if "no loss" in reason}
    assert set(LEFT_OUT) - bases <= set(CLASSES) - compared


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_reason_is_a_clause(name: str) -> None:
    assert len(LEFT_OUT[name].split()) >= 5
