"""Spaces and published optima of the Reality Check's losses are, to the last digit, those of its search reports.

`reality_check.csv` is what the study's 42 reports at batch 32 say (harness KevinMusgrave/powerful-benchmarker 222790a),
with the bounds as they ended; FastAP's three were grids and are taken from its paper.
"""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from mlrc.harness.plugins import LOSSES, PROTOCOLS
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE

DATASETS = ("cub200", "cars196", "sop")


class Fact(NamedTuple):
    """One row: a parameter of a loss on a dataset, its final bounds, and the best value found."""

    loss: str
    dataset: str
    parameter: str
    low: float
    high: float
    scale: str
    best: float


def facts() -> Iterator[Fact]:
    """Give the rows of the table beside this file."""
    with Path(__file__).with_name("reality_check.csv").open() as file:
        for row in csv.DictReader(file):
            numbers = {name: float(row[name]) for name in ("low", "high", "best")}
            yield Fact(row["loss"], row["dataset"], row["parameter"], scale=row["scale"], **numbers)


FACTS = tuple(facts())
STUDIED = sorted({fact.loss for fact in FACTS})


def test_the_table_holds_fourteen_losses_on_three_datasets() -> None:
    assert len(STUDIED) == 14
    assert {(fact.loss, fact.dataset) for fact in FACTS} == {
        (loss, dataset) for loss in STUDIED for dataset in DATASETS
    }


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact.loss}-{fact.dataset}-{fact.parameter}")
def test_a_published_optimum_is_the_reports(fact: Fact) -> None:
    assert LOSSES.find(fact.loss).published[fact.dataset][fact.parameter] == fact.best


@pytest.mark.parametrize("name", STUDIED)
def test_the_optima_of_batches_of_256_are_those_of_their_reports(name: str) -> None:
    with Path(__file__).with_name("reality_check_batch_256.csv").open() as file:
        found = {row["parameter"]: float(row["best"]) for row in csv.DictReader(file) if row["loss"] == name}
    assert found
    assert LOSSES.find(name).under["reality_check_batch_256"] == {"cub200": found}


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_family_is_one_of_a_protocol(name: str) -> None:
    families = {PROTOCOLS.find(one).family for one in PROTOCOLS.names()}
    assert set(LOSSES.find(name).under) <= families


@pytest.mark.parametrize("name", STUDIED)
def test_a_published_optimum_has_no_other_parameters_but_the_unsearched_regulariser_of_soft_triple_on_sop(
    name: str,
) -> None:
    for dataset, params in LOSSES.find(name).published.items():
        known = {fact.parameter for fact in FACTS if (fact.loss, fact.dataset) == (name, dataset)}
        if (name, dataset) == ("soft_triple", "sop"):
            assert params["reg_weight"] == 0
            known |= {"reg_weight"}
        assert set(params) == known


@pytest.mark.parametrize("name", STUDIED)
def test_bounds_are_the_widest_over_the_datasets(name: str) -> None:
    spec = LOSSES.find(name)
    assert set(spec.space) == {fact.parameter for fact in FACTS if fact.loss == name}
    for parameter, distribution in spec.space.items():
        rows = [fact for fact in FACTS if (fact.loss, fact.parameter) == (name, parameter)]
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        assert distribution.low == min(fact.low for fact in rows)
        assert distribution.high == max(fact.high for fact in rows)
        assert {fact.scale for fact in rows} == {
            "log" if distribution.log else "integer" if isinstance(distribution, IntDistribution) else "linear"
        }


@pytest.mark.parametrize("name", STUDIED)
def test_classification_losses_draw_one_image_per_class_and_all_others_four(name: str) -> None:
    classification = {"arcface", "cosface", "normalized_softmax", "proxy_nca", "soft_triple"}
    assert LOSSES.find(name).batch == ("classes" if name in classification else "pairs")


@pytest.mark.parametrize("name", STUDIED)
def test_only_the_margins_boundary_is_spared_the_weight_decay(name: str) -> None:
    assert LOSSES.find(name).weight_decay == (0 if name.startswith("margin") else None)


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_searches_the_learning_rate_of_its_parameters_in_one_range(name: str) -> None:
    assert LOSSES.find(name).space.get("loss_lr", LOSS_LR_RANGE) == LOSS_LR_RANGE


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_published_set_lies_in_its_space(name: str) -> None:
    spec = LOSSES.find(name)
    assert set(spec.published) <= set(DATASETS)
    for params in spec.published.values():
        spec.check(params)


@pytest.mark.parametrize("name", [name for name in LOSSES.names() if LOSSES.find(name).recommended])
def test_what_a_paper_recommends_is_a_value_for_everything_but_the_learning_rate(name: str) -> None:
    spec = LOSSES.find(name)
    assert LOSS_LR not in spec.recommended
    without_rate = {key: range_ for key, range_ in spec.space.items() if key != LOSS_LR}
    replace(spec, space=without_rate).check(spec.recommended)
