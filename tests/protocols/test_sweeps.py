"""Sweeps as values: how they are read, and that the papers' ablations name things that exist."""

import pytest

from mlrc.harness.plugins import PROTOCOLS
from mlrc.protocols.sweeps import SWEEPS, factor, find


def test_a_factor_is_read_with_its_values_in_their_order() -> None:
    found = factor(" margin = 0.1, 0.3,0.2")
    assert found.name == "margin"
    assert [choice.label for choice in found.choices] == ["0.1", "0.3", "0.2"]
    assert [choice.assignments for choice in found.choices] == [("margin=0.1",), ("margin=0.3",), ("margin=0.2",)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("margin=", "at least one value and none empty, but got 'margin='"),
        ("margin", "takes name=value,value,…"),
        ("=1,2", "takes name=value,value,…"),
        ("margin=1,,2", "none empty"),
        ("margin=1,2,1", "must differ, but got '1,2,1'"),
    ],
)
def test_what_is_no_factor_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        factor(text)


def test_a_sweep_that_is_not_there_gets_a_suggestion() -> None:
    with pytest.raises(LookupError, match="Did you mean 'mpa_proxies'"):
        find("mpa_proxy")


def test_named_sweeps_stand_under_protocols_that_exist() -> None:
    assert {sweep.protocol for sweep in SWEEPS.values()} <= set(PROTOCOLS.names())


def test_the_values_are_those_of_the_papers() -> None:
    def labels(name: str) -> list[str]:
        return [choice.label for choice in find(name).factors[0].choices]

    assert labels("mpa_proxies") == ["1", "4", "8", "12", "16"]
    assert [float(label) for label in labels("mean_field_lambda")] == [0, 0.01, 0.1, 1, 10, 100]
    assert labels("proxy_nca_pp_enhancements") == ["all", "-prob", "-scale", "-norm", "-cbs", "-max", "-fast"]
