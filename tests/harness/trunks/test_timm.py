"""timm's networks as trunks: the width and the input are their own, and what does not fit is told before any work."""

from typing import Any

import pytest
import torch

from mlrc.harness.training import model as models
from mlrc.harness.trunks.catalogue import find_trunk, with_trunk
from mlrc.protocols.quick import QUICK
from tests.harness.trunks.test_weights import saved

timm: Any = pytest.importorskip("timm")


@pytest.mark.parametrize(
    ("name", "width", "crop", "resize"),
    [
        ("test_vit", 64, 160, 168),  # tokens, one size, pooled by itself
        ("test_efficientnet", 256, None, None),
        ("mobilenetv3_small_050", 1024, None, None),  # widened from 288 after its pooling
        ("swin_tiny_patch4_window7_224", 768, 224, 248),  # channels last
        ("vit_small_patch14_dinov2", 384, 518, 518),
        ("vit_base_patch16_clip_224", 768, 224, 235),
        ("vgg11", 4096, None, None),
    ],
)
def test_a_trunk_has_the_width_of_its_pooled_output_and_the_size_of_its_own_configuration(
    name: str, width: int, crop: int | None, resize: int | None
) -> None:
    trunk = find_trunk(f"timm:{name}")
    assert (trunk.features, trunk.crop, trunk.resize) == (width, crop, resize)
    own = timm.create_model(name, pretrained=False, num_classes=0).pretrained_cfg if name == "test_vit" else None
    assert own is None or trunk.convention.mean == tuple(own["mean"])


@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet", "mobilenetv3_small_050", "test_convnext"])
def test_a_network_embeds_as_its_protocol_says(name: str) -> None:
    protocol = with_trunk(QUICK.vary({"crop": 64, "resize": 64}), f"timm:{name}", None)
    assert protocol.crop == (160 if name == "test_vit" else 64)
    network = models.build(protocol, seed=0)
    models.rehearse(network, protocol)
    images = torch.rand(2, 3, protocol.crop, protocol.crop)
    with torch.inference_mode():
        features = network.eval().features(images)
    assert features.shape == (2, find_trunk(f"timm:{name}").features)


def test_a_transformer_with_its_weights_pools_as_timm_does_and_takes_another_crop_when_told(tmp_path: Any) -> None:
    own = timm.create_model("test_vit", pretrained=False)
    path, _ = saved(tmp_path / "it.pth", own.state_dict())
    protocol = with_trunk(QUICK, "timm:test_vit", path)
    images = torch.rand(2, 3, 160, 160)
    with torch.inference_mode():
        network = models.build(protocol, seed=0, weights=path).eval()
        expected = own.eval().forward_head(own.forward_features(images), pre_logits=True)
        torch.testing.assert_close(network.features(images), expected)
    smaller = protocol.vary({"crop": 128})
    models.rehearse(models.build(smaller, seed=0, weights=path), smaller)


def test_a_crop_that_does_not_fit_is_one_sentence_before_any_work() -> None:
    protocol = with_trunk(QUICK, "timm:test_vit", None).vary({"crop": 150})
    with pytest.raises(
        ValueError, match=r"trunk timm:test_vit must embed images of 150 × 150 pixels, but fails \("
    ) as it:
        models.rehearse(models.build(protocol, seed=0), protocol)
    assert "\n" not in str(it.value)
