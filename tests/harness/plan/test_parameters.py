"""Parameters that are given instead of searched: whose they are, and what is wrong with those of a user."""

from dataclasses import replace

import pytest

from mlrc.harness.plan.parameters import buildable, given, read, space
from mlrc.harness.plugins import LOSSES
from mlrc.protocols.protocol import PerDataset, Protocol
from mlrc.protocols.quick import QUICK
from mlrc.protocols.reality_check_batch_256 import REALITY_CHECK_BATCH_256
from mlrc.protocols.traditional_mean_field import TRADITIONAL_MEAN_FIELD
from mlrc.protocols.traditional_mpa import TRADITIONAL_MPA
from mlrc.protocols.traditional_proxy_nca_pp import TRADITIONAL_PROXY_NCA_PP

MPA, NCA_PP, CONTRASTIVE = (LOSSES.find(name) for name in ("multi_proxy_anchor", "proxy_nca_pp", "contrastive"))
MF, SOFT_TRIPLE, FAST_AP = (LOSSES.find(name) for name in ("mean_field_contrastive", "soft_triple", "fast_ap"))
WITHOUT_SEARCH = QUICK.vary({"trials": 0})


def test_a_search_varies_the_rate_of_the_loss_unless_the_protocol_sets_it() -> None:
    fixed = QUICK.vary({"loss_lr": PerDataset(0.0, (("sop", 0.5),))})
    assert space(MPA, fixed, "glyphs") == MPA.space
    assert space(MPA, fixed, "sop").keys() == MPA.space.keys() - {"loss_lr"}
    assert buildable(MPA, fixed, "sop", {}).space.keys() == MPA.space.keys() - {"loss_lr"}
    assert buildable(MPA, fixed, "sop", {"loss_lr": 1e-3}) == MPA
    assert buildable(MPA, fixed, "glyphs", {}) == MPA


def test_published_parameters_hold_under_the_family_they_were_published_for() -> None:
    assert given(SOFT_TRIPLE, WITHOUT_SEARCH, "sop", {}) == SOFT_TRIPLE.published["sop"]
    assert given(SOFT_TRIPLE, TRADITIONAL_MPA, "cub200", {})["gamma"] == 0.1
    large = REALITY_CHECK_BATCH_256.vary({"trials": 0})
    assert given(SOFT_TRIPLE, large, "cub200", {})["gamma"] == pytest.approx(51.08, abs=0.01)
    assert given(CONTRASTIVE, large, "cub200", {}) != given(CONTRASTIVE, WITHOUT_SEARCH, "cub200", {})


@pytest.mark.parametrize(
    ("loss", "protocol", "rates"),
    [
        # In the order CUB, SOP, In-Shop, a folder.
        ("proxy_anchor", TRADITIONAL_MEAN_FIELD, (1e-2, 6e-2, 6e-2, 1e-2)),
        ("mean_field_contrastive", TRADITIONAL_MEAN_FIELD, (0.2, 1.2, 1.2, 0.2)),
        ("mean_field_classwise_multi_similarity", TRADITIONAL_MEAN_FIELD, (0.2, 1.2, 1.2, 0.2)),
        ("proxy_nca", TRADITIONAL_MEAN_FIELD, (1e-2, 6e-2, 6e-2, 1e-2)),
        ("arcface", TRADITIONAL_MEAN_FIELD, (1e-2, 6e-2, 6e-2, 1e-2)),
        ("multi_proxy_anchor", TRADITIONAL_MPA, (1e-2, 5e-2, 1e-2, 1e-2)),
        ("soft_triple", TRADITIONAL_MPA, (1e-2, 5e-2, 1e-2, 1e-2)),
        ("proxy_nca_pp", TRADITIONAL_PROXY_NCA_PP, (400, 240, 2400, 400)),
        ("proxy_anchor", TRADITIONAL_PROXY_NCA_PP, (0.4, 2.4, 2.4, 0.4)),
        ("proxy_nca_classic", TRADITIONAL_PROXY_NCA_PP, (4e-3, 2.4e-2, 2.4e-2, 4e-3)),
    ],
)
def test_each_loss_learns_at_its_own_rate_under_a_family(
    loss: str, protocol: Protocol, rates: tuple[float, ...]
) -> None:
    spec = LOSSES.find(loss)
    for dataset, rate in zip(("cub200", "sop", "inshop", "folder:mine"), rates, strict=True):
        params = given(spec, protocol, dataset, {})
        assert params.get("loss_lr", protocol.loss_lr.of(dataset)) == rate
        buildable(spec, protocol, dataset, params).make(num_classes=4, embedding_size=3, params=params)


def test_a_rate_that_a_user_sets_goes_before_a_paper_s() -> None:
    slow = TRADITIONAL_MEAN_FIELD.set(["loss_lr=0.004"])
    assert "loss_lr" not in given(MF, slow, "cub200", {})
    assert "loss_lr" not in given(MF, TRADITIONAL_MEAN_FIELD.set(["loss_lr.sop=0.004"]), "sop", {})
    assert given(MF, TRADITIONAL_MEAN_FIELD.set(["lr=0.004"]), "cub200", {})["loss_lr"] == 0.2
    chosen = given(MF, TRADITIONAL_MEAN_FIELD, "cub200", {"loss_lr": 4000.0})
    assert chosen["loss_lr"] == 4000.0


def test_without_published_ones_a_traditional_protocol_takes_the_paper_s() -> None:
    assert given(NCA_PP, TRADITIONAL_PROXY_NCA_PP, "glyphs", {}) == {"loss_lr": 400, "temperature": 1 / 9}
    assert given(NCA_PP, TRADITIONAL_MPA, "glyphs", {}) == {"temperature": 1 / 9}
    assert given(MPA, TRADITIONAL_MPA, "omniglot", {})["proxies_per_class"] == 10
    assert given(MPA, TRADITIONAL_MPA, "sop", {})["proxies_per_class"] == 2
    assert given(SOFT_TRIPLE, TRADITIONAL_MPA, "sop", {})["centers_per_class"] == 2
    assert given(CONTRASTIVE, TRADITIONAL_MEAN_FIELD, "glyphs", {}) == {"pos_margin": 0.02, "neg_margin": 0.3}
    assert given(CONTRASTIVE, TRADITIONAL_MPA, "glyphs", {}) == CONTRASTIVE.recommended


def test_a_sweep_under_the_reality_check_s_rules_takes_what_is_published_for_cub() -> None:
    assert given(CONTRASTIVE, WITHOUT_SEARCH, "glyphs", {}, fall_back=True) == CONTRASTIVE.published["cub200"]
    assert given(MPA, WITHOUT_SEARCH, "glyphs", {}, fall_back=True)["loss_lr"] == 1e-2


def test_a_published_value_beyond_the_range_of_the_search_is_built_and_no_other() -> None:
    large = REALITY_CHECK_BATCH_256.vary({"trials": 0})
    params = given(FAST_AP, large, "cub200", {})
    assert params == {"num_bins": 86}
    buildable(FAST_AP, large, "cub200", params).make(num_classes=4, embedding_size=3, params=params)
    with pytest.raises(ValueError, match="num_bins=87 of loss 'fast_ap' must lie in"):
        given(FAST_AP, large, "cub200", {"num_bins": 87})
    with pytest.raises(ValueError, match="num_bins=86 of loss 'fast_ap' must lie in"):
        given(FAST_AP, WITHOUT_SEARCH, "cub200", {"num_bins": 86})


def test_what_no_search_varies_may_be_given() -> None:
    assert read(["centers_per_class=4"], [SOFT_TRIPLE]) == {"soft_triple": {"centers_per_class": 4}}
    params = given(SOFT_TRIPLE, TRADITIONAL_MPA, "cub200", {"centers_per_class": 4})
    made = buildable(SOFT_TRIPLE, TRADITIONAL_MPA, "cub200", params)
    loss = made.make(num_classes=3, embedding_size=5, params=params)
    assert [tuple(parameter.shape) for parameter in loss.parameters()] == [(5, 3 * 4)]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["contrastive", "multi_proxy_anchor", "proxy_nca_pp"])
def test_a_protocol_that_could_search_takes_no_other_dataset_s_parameters(name: str) -> None:
    with pytest.raises(
        ValueError, match="no published parameters for 'glyphs'.*; search them, or give .* with --param NAME=VALUE"
    ):
        given(LOSSES.find(name), WITHOUT_SEARCH, "glyphs", {})


def test_what_is_given_must_lie_in_the_range_and_be_complete() -> None:
    with pytest.raises(ValueError, match="gamma=99.0 of loss 'multi_proxy_anchor' must lie in"):
        given(MPA, TRADITIONAL_MPA, "cub200", {"gamma": 99.0})
    spec = replace(NCA_PP, recommended={}, under={})
    with pytest.raises(
        ValueError,
        match="'proxy_nca_pp' has no .* 'cub200' .rules of the family '\\w+'.; give temperature with",
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
