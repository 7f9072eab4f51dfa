"""The network of a protocol: its poolings by their definitions, its normalisation, its frozen statistics."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mlrc.harness.training import model
from mlrc.harness.trunks.catalogue import find_trunk, with_trunk
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.quick import QUICK
from mlrc.protocols.reality_check import REALITY_CHECK

MAPS = torch.tensor([[[[1.0, 4.0], [2.0, 3.0]], [[0.0, -1.0], [5.0, 8.0]]]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("avg", [2.5, 3.0]),
        ("max", [4.0, 8.0]),
        ("avg+max", [6.5, 11.0]),
        ("gem", [25 ** (1 / 3), ((125 + 512) / 4) ** (1 / 3)]),
        ("gem:1", [2.5, 13 / 4]),
        ("kmax:1", [4.0, 8.0]),
        ("kmax:2", [3.5, 6.5]),
        ("kmax:4", [2.5, 3.0]),
        ("kmax:99", [2.5, 3.0]),
    ],
)
def test_poolings_are_what_their_names_say(name: str, expected: list[float]) -> None:
    torch.testing.assert_close(model.pooling(name)(MAPS), torch.tensor([expected]), rtol=1e-4, atol=1e-4)


@given(st.floats(1.0, 4.0), st.floats(4.0, 9.0), st.integers(1, 9))
def test_the_power_mean_lies_between_mean_and_maximum_and_grows_with_its_power(
    low: float, high: float, seed: int
) -> None:
    maps = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lesser, greater = model.generalised_mean(maps, low), model.generalised_mean(maps, high)
    slack = 1e-6
    assert (model.average(maps) <= lesser + slack).all()
    assert (lesser <= greater + slack).all()
    assert (greater <= model.maximum(maps) + slack).all()


@pytest.mark.parametrize("name", ["mean", "gem:", "gem:0", "gem:x", "gem:inf", "kmax", "kmax:0", "kmax:1.5", ""])
def test_an_unknown_pooling_is_one_sentence(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"^pooling must be one of avg, max, avg\+max, gem, gem:P \(0.1 to 100\) or kmax:K .* but got"
    ):
        model.pooling(name)


def test_layer_norm_comes_between_pooling_and_head_and_learns_nothing() -> None:
    images = torch.rand(3, 1, 28, 28)
    plain = model.build(QUICK, seed=1).eval()
    normed = model.build(QUICK.vary({"layer_norm": True}), seed=1).eval()
    assert sum(p.numel() for p in normed.parameters()) == sum(p.numel() for p in plain.parameters())
    features = plain.features(images)
    torch.testing.assert_close(normed.features(images), features)
    centred = features - features.mean(dim=1, keepdim=True)
    expected = plain.head(centred / (features.var(dim=1, keepdim=True, unbiased=False) + 1e-5).sqrt())
    torch.testing.assert_close(normed(images), expected)


def statistics(network: model.Embedder) -> list[Tensor]:
    return [module.running_mean.clone() for module in network.modules() if isinstance(module, nn.BatchNorm2d)]  # type: ignore[union-attr]


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_norm_keeps_its_statistics_and_learns_weight_and_bias(frozen: bool) -> None:
    network = model.build(QUICK.vary({"frozen_batch_norm": frozen}), seed=0)
    before = statistics(network)
    network.train()
    network(torch.rand(8, 1, 28, 28)).square().sum().backward()
    same = all(torch.equal(old, new) for old, new in zip(before, statistics(network), strict=True))
    assert same is frozen
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(norm.weight.grad is not None and norm.bias.grad is not None for norm in norms)
    assert network.training


def test_the_weights_come_from_the_seed_and_the_global_generator_stays_as_it_was() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, same, other = (model.build(QUICK, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])


def test_the_reality_checks_network_is_bn_inception_with_one_linear_layer() -> None:
    protocol = REALITY_CHECK.vary({"weights": ""})
    network = model.build(protocol, seed=0).eval()
    assert sum(p.numel() for p in network.parameters()) == 10_270_240 + (1024 + 1) * 128
    with torch.inference_mode():
        assert network.features(torch.zeros(1, 3, 227, 227)).shape == (1, 1024)
        assert network(torch.zeros(1, 3, 227, 227)).shape == (1, 128)


def test_weights_that_the_protocol_names_must_be_given_and_are_loaded(tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = find_trunk("squeezenet1_1").build(3).state_dict()
    torch.save(state, tmp_path / "it.pth")
    protocol: Protocol = with_trunk(QUICK, "squeezenet1_1", tmp_path / "it.pth")
    with pytest.raises(ValueError, match="give the file with --weights"):
        model.build(protocol, seed=0)
    loaded = model.build(protocol, seed=0, weights=tmp_path / "it.pth").trunk.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
