"""The small trunk's promises: any small input, grey or colour, and an output that its facts describe."""

import pytest
import torch

from mlrc.harness.trunks.trunk import TRUNKS


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (28, 28), (33, 57)])
def test_it_maps_any_small_image_to_its_features(channels: int, height: int, width: int) -> None:
    trunk = TRUNKS.find("small_conv")
    maps = trunk.build(channels)(torch.zeros(2, channels, height, width))
    assert maps.shape == (2, trunk.features, height // 8, width // 8)


def test_every_parameter_receives_a_gradient() -> None:
    torch.manual_seed(0)
    module = TRUNKS.find("small_conv").build(1)
    module(torch.rand(4, 1, 28, 28)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in module.parameters())
