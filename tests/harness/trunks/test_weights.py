"""Weights files are verified, read without running code, and refused by key; trunks state their input convention."""

import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from mlrc.harness.trunks import timm_models, weights
from mlrc.harness.trunks.catalogue import build_trunk, find_trunk, with_trunk
from mlrc.harness.trunks.trunk import TRUNKS
from mlrc.harness.trunks.weights import find_weights, load_weights, read_state_dict, sha256_of
from mlrc.protocols.quick import QUICK


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def saved(path: Path, content: object) -> tuple[Path, str]:
    torch.save(content, path)
    return path, sha256_of(path)


def test_safetensors_checkpoints_and_parallel_models_are_read_alike(tmp_path: Path, module: nn.Module) -> None:
    state = {name: torch.rand_like(tensor.float()) for name, tensor in module.state_dict().items()}
    state["1.num_batches_tracked"] = torch.tensor(3)
    save_file(state, tmp_path / "it.safetensors")
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "it.pth")
    for name in ("it.safetensors", "it.pth"):
        target = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        load_weights(target, tmp_path / name, sha256_of(tmp_path / name))
        for key, tensor in target.state_dict().items():
            torch.testing.assert_close(tensor, state[key], rtol=0, atol=0)


def test_another_hash_is_refused(tmp_path: Path, module: nn.Module) -> None:
    path, sha256 = saved(tmp_path / "it.pth", module.state_dict())
    with pytest.raises(ValueError, match=f"it.pth must have the sha256 {'0' * 64}, but has {sha256}"):
        load_weights(module, path, "0" * 64)


def test_a_file_that_does_not_fit_names_its_keys_and_changes_nothing(tmp_path: Path, module: nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = {name: tensor + 1 for name, tensor in before.items()}
    del state["1.running_mean"]
    state["0.weight"] = torch.zeros(4, 5, 1, 1)
    state |= {f"head.{number}": torch.zeros(1) for number in range(5)}
    path, sha256 = saved(tmp_path / "it.pth", state)
    with pytest.raises(ValueError, match="must fit the trunk") as caught:
        load_weights(module, path, sha256)
    for part in (
        "it lacks 1.running_mean",
        "it has unknown head.0, head.1, head.2 and 2 more",
        "it has 0.weight (4, 5, 1, 1) in place of (4, 3, 1, 1)",
    ):
        assert part in str(caught.value)
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise AssertionError('code of the file has run')",)


def test_code_in_a_file_is_never_run(tmp_path: Path, module: nn.Module) -> None:
    for name, content in (("torch.pth", None), ("pickle.pth", pickle.dumps({"0.weight": Bomb()}, protocol=2))):
        path = tmp_path / name
        if content is None:
            torch.save({"0.weight": Bomb()}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} must be a whole file of plain tensors, but cannot be read"):
            load_weights(module, path, sha256_of(path))


@pytest.mark.parametrize("name", ["it.pth", "it.safetensors"])
def test_a_truncated_file_is_named(tmp_path: Path, module: nn.Module, name: str) -> None:
    path = tmp_path / name
    if name == "it.pth":
        torch.save(module.state_dict(), path)
    else:
        save_file(module.state_dict(), path)
    for content in (path.read_bytes()[:200], b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} must be a whole file of plain tensors"):
            load_weights(module, path, sha256_of(path))


@given(st.binary(min_size=1, max_size=40))
def test_foreign_bytes_are_refused_in_one_sentence(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of old pickle protocols
        path = Path(folder) / "it.pth"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"it\.pth must"):
            read_state_dict(path)


def test_something_else_than_a_state_dict_is_refused(tmp_path: Path, module: nn.Module) -> None:
    for content in ([torch.zeros(1)], {"epoch": 3}):
        path, sha256 = saved(tmp_path / "it.pth", content)
        with pytest.raises(ValueError, match="must hold a state dict of tensors"):
            load_weights(module, path, sha256)


def test_weights_are_a_file_or_a_published_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = find_trunk("resnet50")
    path = tmp_path / "mine.pth"
    path.touch()
    assert find_weights(trunk, str(path)) == path
    with pytest.raises(FileNotFoundError, match="must be a file or one of IMAGENET1K_V1, IMAGENET1K_V2 for"):
        find_weights(trunk, "imagenet")
    with pytest.raises(FileNotFoundError, match="must be a file for the trunk bn_inception, but there is no x.pth"):
        find_weights(find_trunk("bn_inception"), "x.pth")
    asked: list[tuple[str, str]] = []

    def fetch(address: str, target: str, hash_prefix: str, progress: bool) -> None:
        asked.append((address, hash_prefix))
        if len(asked) == 1:
            raise OSError("no route to host")
        Path(target).touch()

    monkeypatch.setattr(weights, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(weights, "download_url_to_file", fetch)
    with pytest.raises(OSError, match=r"resnet50-0676ba61\.pth could not be downloaded .*no route to host.* bring it"):
        find_weights(trunk, "IMAGENET1K_V1")
    found = find_weights(trunk, "IMAGENET1K_V1")
    assert found.name == "resnet50-0676ba61.pth"
    assert find_weights(trunk, "IMAGENET1K_V1") == found
    assert asked == [("https://download.pytorch.org/models/resnet50-0676ba61.pth", "0676ba61")] * 2


@pytest.mark.parametrize("name", [name for name in TRUNKS.names() if name not in ("small_conv", "bn_inception")])
def test_torchvisions_trunks_keep_its_keys_and_give_maps(name: str, tmp_path: Path) -> None:
    trunk = find_trunk(name)
    built = trunk.build(3).eval()
    with torch.inference_mode():
        assert built(torch.rand(1, 3, 64, 64)).shape[:2] == (1, trunk.features)
    options = {"init_weights": False} if name == "googlenet" else {}
    path, sha256 = saved(tmp_path / "it.pth", models.get_model(name, weights=None, **options).state_dict())
    load_weights(built, path, sha256, classifier=trunk.classifier)
    with pytest.raises(ValueError, match=f"{name} takes 3 channels"):
        trunk.build(1)


def test_torchvisions_trunk_and_pooling_give_what_its_network_gives() -> None:
    torch.manual_seed(0)
    network = models.resnet18(weights=None).eval()
    built = find_trunk("resnet18").build(3).eval()
    built.load_state_dict(network.state_dict(), strict=False)
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network.fc(built(images).mean(dim=(2, 3))), network(images))


def test_choosing_a_trunk_sets_its_input_convention(tmp_path: Path) -> None:
    protocol = with_trunk(QUICK, "bn_inception", None)
    assert (protocol.channels, protocol.maximum, protocol.mean) == ("BGR", 255.0, (104.0, 117.0, 128.0))
    assert protocol.weights == ""
    path, sha256 = saved(tmp_path / "it.pth", find_trunk("resnet18").build(3).state_dict())
    protocol = with_trunk(QUICK, "resnet18", path)
    assert (protocol.channels, protocol.weights) == ("RGB", sha256)
    build_trunk(protocol, path)
    with pytest.raises(ValueError, match="needs the weights of resnet18 with the sha256 .* give .* --weights"):
        build_trunk(protocol, None)


def test_known_weights_have_their_own_convention() -> None:
    by_hash = find_trunk("squeezenet1_1").conventions
    convention = by_hash["d54f741d3dead01db17c517e5ef23961f0e5715b91a146af273753c24bb52d5e"]
    assert (convention.channels, convention.maximum, convention.mean) == ("BGR", 255.0, (104.0, 117.0, 123.0))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "file", "tensors"),
    [("squeezenet1_1", "squeezenet1_1_features.pth", 50), ("mobilenet_v2", "mobilenet_v2_1001.pth", 312)],
)
def test_real_weights_load_with_their_own_convention(shared_data: Path, name: str, file: str, tensors: int) -> None:
    path = shared_data / "weights" / file
    protocol = with_trunk(QUICK, name, path)
    trunk = find_trunk(name)
    assert trunk.conventions[protocol.weights].mean == protocol.mean != trunk.convention.mean
    assert len(build_trunk(protocol, path).state_dict()) == tensors


def test_without_timm_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        raise ImportError("No module named 'timm'")

    monkeypatch.setattr(timm_models, "import_module", absent)
    with pytest.raises(ImportError, match=r"timm:resnet18 needs the package timm, .* pip install 'mlrc\[timm\]'"):
        find_trunk("timm:resnet18")


@pytest.mark.parametrize(("model", "shape"), [("resnet18", (1, 512, 7, 7)), ("vit_tiny_patch16_224", (1, 192, 1, 1))])
def test_timms_networks_are_trunks(model: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    trunk = find_trunk(f"timm:{model}")
    built = trunk.build(3).eval()
    with torch.inference_mode():
        assert built(torch.rand(1, 3, 224, 224)).shape == shape
    assert trunk.features == shape[1]
    path, sha256 = saved(tmp_path / "it.pth", timm.create_model(model, pretrained=False).state_dict())
    load_weights(built, path, sha256, classifier=trunk.classifier, keys=trunk.keys)


def test_an_unknown_network_of_timm_is_a_lookup_error() -> None:
    pytest.importorskip("timm")
    with pytest.raises(LookupError, match="timm has no network named 'resnet_eighteen'"):
        find_trunk("timm:resnet_eighteen")
