"""A specification says in one sentence what is wrong with parameters or with itself, and describes itself in JSON."""

import json

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import nn

from mlrc.harness.plugins import LOSSES
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


def spec_of(**named: object) -> LossSpec:
    def build(num_classes: int, embedding_size: int, *, bins: int, mode: str) -> nn.Module:
        return nn.Linear(bins, num_classes)

    fields: dict[str, object] = {
        "name": "odd",
        "title": "Odd",
        "source": "nowhere",
        "space": {
            LOSS_LR: LOSS_LR_RANGE,
            "bins": IntDistribution(2, 32),
            "mode": CategoricalDistribution(("soft", "hard")),
        },
        "build": build,
        "batch": "pairs",
    }
    return LossSpec(**(fields | named))  # type: ignore[arg-type]  # wrong types are what some tests are about


GOOD = {LOSS_LR: 1e-3, "bins": 7, "mode": "hard"}


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        (GOOD | {"bin": 3}, "Loss 'odd' has no parameter 'bin'; its parameters are loss_lr, bins, mode."),
        ({"bins": 7}, "Loss 'odd' needs a value for loss_lr, mode."),
        (GOOD | {"bins": 33}, r"bins=33 of loss 'odd' must lie in IntDistribution\(.*high=32.*\)\."),
        (GOOD | {"bins": 7.5}, "bins=7.5 of loss 'odd' must lie in"),
        (GOOD | {"bins": "many"}, "bins='many' of loss 'odd' must lie in"),
        (GOOD | {LOSS_LR: float("nan")}, "loss_lr=nan of loss 'odd' must lie in"),
        (GOOD | {LOSS_LR: 0}, "loss_lr=0 of loss 'odd' must lie in"),
        (GOOD | {"mode": "medium"}, "mode='medium' of loss 'odd' must lie in"),
    ],
)
def test_wrong_parameters_are_named_with_what_would_be_right(params: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        spec_of().check(params)
    with pytest.raises(ValueError, match=sentence):
        spec_of().make(num_classes=3, embedding_size=4, params=params)


def test_the_factory_gets_every_parameter_but_the_learning_rate_in_its_own_type() -> None:
    got: dict[str, object] = {}

    def build(num_classes: int, embedding_size: int, *, bins: int, mode: str) -> nn.Module:
        got.update(num_classes=num_classes, embedding_size=embedding_size, bins=bins, mode=mode)
        return nn.Identity()

    spec_of(build=build).make(num_classes=3, embedding_size=4, params=GOOD | {"bins": 7.0})
    assert got == {"num_classes": 3, "embedding_size": 4, "bins": 7, "mode": "hard"}
    assert type(got["bins"]) is int


def test_a_factory_that_raises_is_named_with_its_arguments() -> None:
    def build(num_classes: int, embedding_size: int, *, bins: int, mode: str) -> nn.Module:
        raise KeyError("gamma")

    sentence = (
        r"factory of loss 'odd' must build one with \{'bins': 7, 'mode': 'hard'\} for 3 classes, but raised KeyError"
    )
    with pytest.raises(ValueError, match=sentence) as caught:
        spec_of(build=build).make(num_classes=3, embedding_size=4, params=GOOD)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_factory_that_gives_no_loss_is_named() -> None:
    with pytest.raises(TypeError, match="must give a torch module or a MinedLoss, but gave a Tensor"):
        spec_of(build=lambda *_, **__: torch.zeros(1)).make(num_classes=3, embedding_size=4, params=GOOD)


@pytest.mark.parametrize("name", ["Odd", "odd loss", "odd-loss", ""])
def test_a_name_that_no_command_line_or_table_could_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be lower_case_with_underscores"):
        spec_of(name=name)


def test_an_unknown_kind_of_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 'pairs' or 'classes', but got 'triplets'"):
        spec_of(batch="triplets")


def test_a_description_is_plain_json_with_every_range() -> None:
    described = json.loads(json.dumps(spec_of(published={"sop": GOOD}).describe()))
    assert described["parameters"] == [
        {"name": "loss_lr", "kind": "float", "low": 1e-6, "high": 1.0, "log": True, "step": None},
        {"name": "bins", "kind": "int", "low": 2, "high": 32, "log": False, "step": 1},
        {"name": "mode", "kind": "categorical", "choices": ["soft", "hard"]},
    ]
    assert described["published"] == {"sop": GOOD}
    assert described["batch"] == "pairs"


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_registered_loss_says_what_it_is(name: str) -> None:
    described = LOSSES.find(name).describe()
    json.dumps(described)
    assert described["name"] == name
    assert described["title"]
    assert described["source"]


def test_titles_tell_the_registered_losses_apart() -> None:
    titles = [LOSSES.find(name).title for name in LOSSES.names()]
    assert len(titles) == len(set(titles))


def test_an_empty_space_needs_no_parameters() -> None:
    spec = spec_of(space={}, build=lambda *_: nn.Identity())
    assert isinstance(spec.make(num_classes=3, embedding_size=4, params={}), nn.Identity)
    with pytest.raises(ValueError, match="its parameters are none"):
        spec.check({"alpha": FloatDistribution(0, 1).low})
