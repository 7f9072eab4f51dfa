"""Sweeps as values: how they are read, and that the papers' ablations name things that exist."""

import pytest

from mlrc.harness.plugins import PROTOCOLS
from mlrc.protocols.sweeps import SWEEPS, factor, find
from mlrc.results.boards.papers import read_papers
from mlrc.results.boards.sweep import placed
from mlrc.results.publishing.place import PUBLISHED


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
        ("variant=a:p=1;a:q=2", "must differ"),
        ("variant=a:p=1;b", "takes name=label:p=1,q=2;label:p=3"),
        ("variant=:p=1", "each label needs a colon and name=value after it"),
    ],
)
def test_what_is_no_factor_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        factor(text)


def test_a_composite_factor_is_read_with_commas_in_its_values() -> None:
    found = factor("variant=a:crop_scale=0.2,1,flip=0; b:pooling=gem:3")
    assert [(choice.label, choice.assignments) for choice in found.choices] == [
        ("a", ("crop_scale=0.2,1", "flip=0")),
        ("b", ("pooling=gem:3",)),
    ]


@pytest.mark.parametrize(
    ("name", "table", "rows"),
    [
        ("proxy_nca_pp_enhancements", "table7", 7),
        ("proxy_nca_pp_probability", "table8", 14),
        ("proxy_nca_pp_scale", "table9", 20),
        ("proxy_nca_pp_max", "table10", 22),
    ],
)
def test_every_row_of_an_ablation_s_table_is_a_point_with_its_printed_number(name: str, table: str, rows: int) -> None:
    papers = read_papers((PUBLISHED / "papers.csv").read_text(encoding="utf-8"))
    printed = {(one.title, one.place) for one in papers if one.place.partition(",")[0] == table}
    (points,) = find(name).factors
    assert len(points.choices) == len(printed) == rows
    found: list[tuple[str, str]] = []
    for choice in points.choices:
        (place,) = choice.printed
        at = {(one.title, one.place) for one in placed(place.source, place.title, place.place, papers)}
        assert len(at) == 1, choice
        found += at
    assert set(found) == printed
    assert len({choice.label for choice in points.choices}) == len({choice.assignments for choice in points.choices})


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
