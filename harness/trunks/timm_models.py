"""timm's networks as trunks, `timm:<name>`, where the optional package is installed."""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from mlrc.harness.trunks.trunk import InputConvention, Trunk

PREFIX = "timm:"


class TimmMaps(nn.Module):
    """A timm network without its classifier; one that gives no maps but a vector gives it as a 1 x 1 map."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Give `(n, features, rows, columns)`."""
        maps: Tensor = self.network(images)
        return maps if maps.ndim == 4 else maps[:, :, None, None]


def find(name: str) -> Trunk:
    """Give the trunk `timm:<name>`.

    Raises:
        ImportError: timm is not installed.
        LookupError: timm has no such network.
    """
    timm = _timm(name)
    model = name.removeprefix(PREFIX)
    if not timm.is_model(model):
        close = timm.list_models(f"*{model}*")[:3]
        hint = f"Did you mean {', '.join(close)}?" if close else "See timm.list_models()."
        raise LookupError(f"timm has no network named {model!r}. {hint}")
    with torch.device("meta"):
        network = timm.create_model(model, pretrained=False, num_classes=0)
    mean, std = network.pretrained_cfg["mean"], network.pretrained_cfg["std"]
    return Trunk(
        name=name,
        title=model,
        source="timm, github.com/huggingface/pytorch-image-models",
        build=lambda channels: _build(timm, model, channels),
        features=network.num_features,
        convention=InputConvention(channels="RGB", maximum=1.0, mean=tuple(mean), std=tuple(std)),
        classifier=tuple(f"{layer}." for layer in _classifiers(network)),
        keys="network.",
    )


def _build(timm: Any, model: str, channels: int) -> nn.Module:
    with torch.device("meta"):
        probe = timm.create_model(model, pretrained=False, num_classes=0, global_pool="", in_chans=channels).eval()
        size = probe.pretrained_cfg["input_size"][-2:]
        maps = probe(torch.empty(1, channels, *size))
    # transformers and channels-last networks give tokens, which their own pooling turns into a vector
    is_map = maps.ndim == 4 and maps.shape[1] == probe.num_features
    options = {"global_pool": ""} if is_map else {}
    return TimmMaps(timm.create_model(model, pretrained=False, num_classes=0, in_chans=channels, **options))


def _classifiers(network: Any) -> tuple[str, ...]:
    names = network.pretrained_cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _timm(name: str) -> Any:
    try:
        return import_module("timm")
    except ImportError as error:
        raise ImportError(
            f"The trunk {name} needs the package timm, which is not installed: pip install 'mlrc[timm]'"
        ) from error
