"""timm's networks as trunks, `timm:<name>`, where the optional package is installed."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

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


class _Probe(NamedTuple):
    """What a network is found to be, built without memory.

    Attributes:
        width: of its own pooled output, which need not be that of its maps.
        gives_maps: whether it can give maps of that width for the protocol's pooling; transformers and channels-last
            networks give tokens, others widen after their pooling, and then their own pooling stays.
        options: to build it with.
    """

    network: Any
    width: int
    gives_maps: bool
    options: Mapping[str, Any]


def find(name: str) -> Trunk:
    """Give the trunk `timm:<name>`, its input as its own configuration says.

    Networks for one size of image bring it: the protocol's crop becomes theirs, and `resize` what their `crop_pct`
    makes of it. Those for any size keep the protocol's.

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
    probe = _probed(model)
    own = probe.network.pretrained_cfg
    side = min(own["input_size"][-2:]) if own.get("fixed_input_size") else None
    return Trunk(
        name=name,
        title=model,
        source="timm, github.com/huggingface/pytorch-image-models",
        build=lambda channels: TimmMaps(timm.create_model(model, num_classes=0, in_chans=channels, **probe.options)),
        features=probe.width,
        convention=InputConvention(channels="RGB", maximum=1.0, mean=tuple(own["mean"]), std=tuple(own["std"])),
        classifier=tuple(f"{layer}." for layer in _classifiers(probe.network)),
        keys="network.",
        crop=side,
        resize=None if side is None else int(side / (own.get("crop_pct") or 1)),
    )


@cache
def _probed(model: str) -> _Probe:
    timm = import_module("timm")
    with torch.device("meta"):
        network = timm.create_model(model, pretrained=False, num_classes=0).eval()
        width = _shape(network)[1]
        options: dict[str, Any] = {"pretrained": False}
        if hasattr(network, "dynamic_img_size"):
            options["dynamic_img_size"] = True  # the weights' grid of positions is interpolated for another crop
        try:
            maps = _shape(timm.create_model(model, pretrained=False, num_classes=0, global_pool="").eval())
        except (AssertionError, TypeError, ValueError):
            maps = ()  # it cannot do without its pooling
    gives_maps = len(maps) == 4 and maps[1] == width == network.num_features
    if gives_maps:
        options["global_pool"] = ""
    return _Probe(network, width, gives_maps, options)


def _shape(network: Any) -> tuple[int, ...]:
    return tuple(network(torch.empty(1, *network.pretrained_cfg["input_size"])).shape)


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
