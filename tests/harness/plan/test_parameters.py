"""Parameters that are given instead of searched: whose they are, and what is wrong with those of a user."""

from dataclasses import replace

import pytest

from mlrc.harness.plan.parameters import buildable, given, read, space
from mlrc.harness.plugins import LOSSES
from mlrc.protocols.protocol import PerDataset
from mlrc.protocols.quick import QUICK
from mlrc.protocols.traditional_mean_field import TRADITIONAL_MEAN_FIELD
from mlrc.protocols.traditional_mpa import TRADITIONAL_MPA
from mlrc.protocols.traditional_proxy_nca_pp import TRADITIONAL_PROXY_NCA_PP

MPA, NCA_PP, CONTRASTIVE = (LOSSES.find(name) for name in ("multi_proxy_anchor", "proxy_nca_pp", "contrastive"))
MF = LOSSES.find("mean_field_contrastive")
WITHOUT_SEARCH = QUICK.vary({"trials": 0})


def test_a_search_varies_the_rate_of_the_loss_unless_the_protocol_sets_it() -> None:
    fixed = QUICK.vary({"loss_lr": PerDataset(0.0, (("sop", 0.5),))})
    assert space(MPA, fixed, "glyphs") == MPA.space
    assert space(MPA, fixed, "sop").keys() == MPA.space.keys() - {"loss_lr"}
    assert buildable(MPA, fixed, "sop", {}).space.keys() == MPA.space.keys() - {"loss_lr"}
    assert buildable(MPA, fixed, "sop", {"loss_lr": 1e-3}) == MPA
    assert buildable(MPA, fixed, "glyphs", {}) == MPA


def test_published_parameters_hold_but_for_the_rate_that_the_protocol_sets() -> None:
    assert given(MPA, WITHOUT_SEARCH, "sop", {}) == MPA.published["sop"]
    without_rate = {name: value for name, value in MPA.published["sop"].items() if name != "loss_lr"}
    assert given(MPA, TRADITIONAL_MPA, "sop", {}) == without_rate
    assert given(MPA, TRADITIONAL_MPA, "sop", {"loss_lr": 0.5, "tau": 0.0}) == {
        **without_rate,
        "loss_lr": 0.5,
        "tau": 0.0,
    }


def test_without_published_ones_a_traditional_protocol_takes_the_paper_s_or_those_of_cub() -> None:
    assert given(NCA_PP, TRADITIONAL_PROXY_NCA_PP, "cub200", {}) == {"temperature": 1 / 9}
    assert given(NCA_PP, TRADITIONAL_PROXY_NCA_PP, "glyphs", {}) == {"temperature": 1 / 9}
    assert given(MPA, TRADITIONAL_MPA, "omniglot", {})["proxies_per_class"] == 10
    assert given(MF, TRADITIONAL_MEAN_FIELD, "sop", {}) == {"pos_margin": 0.02, "neg_margin": 0.3, "lambda_mf": 0.0}
    assert given(CONTRASTIVE, TRADITIONAL_MPA, "glyphs", {}) == CONTRASTIVE.published["cub200"]


@pytest.mark.parametrize("name", ["contrastive", "multi_proxy_anchor", "proxy_nca_pp"])
def test_a_protocol_that_could_search_takes_no_other_dataset_s_parameters(name: str) -> None:
    with pytest.raises(
        ValueError, match="no published parameters for 'glyphs'.*; search them, or give .* with --param NAME=VALUE"
    ):
        given(LOSSES.find(name), WITHOUT_SEARCH, "glyphs", {})


def test_what_is_given_must_lie_in_the_range_and_be_complete() -> None:
    with pytest.raises(ValueError, match="gamma=99.0 of loss 'multi_proxy_anchor' must lie in"):
        given(MPA, TRADITIONAL_MPA, "cub200", {"gamma": 99.0})
    spec = replace(NCA_PP, recommended={})
    with pytest.raises(
        ValueError, match="'proxy_nca_pp' has no published parameters for 'cub200'; give temperature with"
    ):
        given(spec, TRADITIONAL_PROXY_NCA_PP, "cub200", {})


def test_assignments_are_read_for_all_losses_that_have_the_name_or_for_one() -> None:
    found = read(["loss_lr=0.5", "multi_proxy_anchor.loss_lr=0.25", "proxies_per_class=4"], [MPA, NCA_PP, CONTRASTIVE])
    assert found == {
        "multi_proxy_anchor": {"loss_lr": 0.25, "proxies_per_class": 4},
        "proxy_nca_pp": {"loss_lr": 0.5},
        "contrastive": {},
    }
    assert isinstance(found["multi_proxy_anchor"]["proxies_per_class"], int)
    assert read(["multi_proxy_anchor.loss_lr=0.25", "loss_lr=0.5"], [MPA])["multi_proxy_anchor"]["loss_lr"] == 0.25


def test_a_choice_is_one_of_its_words_or_numbers() -> None:
    assert read(["lambda_mf=10"], [MF])["mean_field_contrastive"] == {"lambda_mf": 10.0}
    with pytest.raises(ValueError, match="lambda_mf must be one of 0.0, 0.01, .* but got '3'"):
        read(["lambda_mf=3"], [MF])


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("tau", "--param takes name=value or loss.name=value, but got 'tau'."),
        ("=3", "--param takes name=value or loss.name=value, but got '=3'."),
        ("taw=3", "No loss here has a parameter 'taw' to give; there are multi_proxy_anchor.loss_lr, "),
        ("contrastive.tau=3", "No loss here has a parameter 'contrastive.tau' to give"),
        ("tau=much", "tau must be a number, but got 'much'."),
    ],
)
def test_a_wrong_assignment_is_one_sentence(assignment: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="^[^\n]*$") as caught:
        read([assignment], [MPA, CONTRASTIVE])
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize("value", ["2.5", "inf", "nan"])
def test_a_value_that_is_no_whole_number_is_refused_where_one_must_be(value: str) -> None:
    chosen = read([f"proxies_per_class={value}"], [MPA])["multi_proxy_anchor"]
    with pytest.raises(ValueError, match=f"proxies_per_class={value} of loss 'multi_proxy_anchor' must lie in"):
        given(MPA, TRADITIONAL_MPA, "cub200", chosen)
