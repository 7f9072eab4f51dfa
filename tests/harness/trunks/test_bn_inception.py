"""The Reality Check's trunk: the published file's keys and shapes, and the arithmetic of its description."""

import hashlib
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from mlrc.harness.trunks.bn_inception import TRUNK
from mlrc.harness.trunks.weights import load_weights, sha256_of

# over the lines "key,shape" of the published state dict, in its order, without the classifier's two
PUBLISHED = "c7bc5650bef3fb54fc09fda1972cdb4ee61936bea7596883ca7efd580f1a03e6"


def test_keys_and_shapes_are_those_of_the_published_weights() -> None:
    state = TRUNK.build(3).state_dict()
    lines = [f"{key},{'x'.join(map(str, tensor.shape)) or 'scalar'}" for key, tensor in state.items()]
    assert len(lines) == 483
    assert lines[0] == "conv1_7x7_s2.weight,64x3x7x7"
    assert "inception_4e_double_3x3_2.weight,256x256x3x3" in lines
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == PUBLISHED


def test_the_parameter_count_is_the_published_one_without_the_classifier() -> None:
    assert sum(parameter.numel() for parameter in TRUNK.build(3).parameters()) == 11_295_240 - (1024 + 1) * 1000


@pytest.mark.parametrize(("side", "rows"), [(227, 7), (224, 7), (128, 4), (288, 9)])
def test_the_maps_have_1024_features(side: int, rows: int) -> None:
    with torch.inference_mode():
        maps = TRUNK.build(3).eval()(torch.zeros(1, 3, side, side))
    assert maps.shape == (1, TRUNK.features, rows, rows) == (1, 1024, rows, rows)


def test_grey_input_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match="takes 3 channels, but the protocol has 1; set channels=BGR"):
        TRUNK.build(1)


def unit(state: dict[str, Tensor], name: str, maps: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    maps = conv2d(maps, weight, state[f"{name}.bias"], stride, weight.shape[-1] // 2)
    mean, variance, scale, shift = (
        state[f"{name}_bn.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return ((maps - mean) / (variance + 1e-5).sqrt() * scale + shift).clamp(min=0)


def test_the_forward_pass_is_the_described_one_written_out_by_hand() -> None:
    torch.manual_seed(0)
    trunk = TRUNK.build(3).eval()
    state = trunk.state_dict()
    for name, tensor in state.items():  # statistics and scales that matter
        if "_bn." in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    images = torch.rand(1, 3, 64, 64)
    x = max_pool2d(unit(state, "conv1_7x7_s2", images, 2), 3, 2, ceil_mode=True)
    x = unit(state, "conv2_3x3", unit(state, "conv2_3x3_reduce", x))
    x = max_pool2d(x, 3, 2, ceil_mode=True)
    for block in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        b = f"inception_{block}"
        stride = 2 if block in ("3c", "4e") else 1
        three = unit(state, f"{b}_3x3", unit(state, f"{b}_3x3_reduce", x), stride)
        double = unit(state, f"{b}_double_3x3_1", unit(state, f"{b}_double_3x3_reduce", x))
        double = unit(state, f"{b}_double_3x3_2", double, stride)
        if stride == 2:
            x = torch.cat([three, double, max_pool2d(x, 3, 2, ceil_mode=True)], 1)
            continue
        pooled = max_pool2d(x, 3, 1, 1) if block == "5b" else avg_pool2d(x, 3, 1, 1, count_include_pad=True)
        x = torch.cat([unit(state, f"{b}_1x1", x), three, double, unit(state, f"{b}_pool_proj", pooled)], 1)
    with torch.inference_mode():
        torch.testing.assert_close(trunk(images), x)


def test_a_file_in_the_published_form_loads(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = TRUNK.build(3), TRUNK.build(3)
    published: OrderedDict[str, Tensor] = OrderedDict()
    for name, tensor in source.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            published[name] = torch.rand_like(tensor)[None] if "_bn." in name else tensor
    published["last_linear.weight"], published["last_linear.bias"] = torch.rand(1000, 1024), torch.rand(1000)
    path = tmp_path / "bn_inception.pth"
    torch.save(published, path)
    load_weights(target, path, sha256_of(path), classifier=TRUNK.classifier)
    for name, tensor in target.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(tensor, published[name].reshape(tensor.shape), rtol=0, atol=0)


def test_every_unit_is_used() -> None:
    trunk = TRUNK.build(3).eval()
    trunk(torch.rand(1, 3, 64, 64)).sum().backward()
    convolutions = [module for module in trunk.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 69
    assert all(module.weight.grad is not None for module in convolutions)
