"""The value that a trunk plug-in gives: how to build the network, and which input it expects."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import nn

from mlrc.harness import plugins

Channels = Literal["grey", "RGB", "BGR"]


@dataclass(frozen=True, kw_only=True)
class InputConvention:
    """What a network expects of its input: channel order, range, and the mean and deviation taken off it.

    Attributes:
        channels: `"grey"` is one channel.
        maximum: the value of white before normalisation, 1 or 255.
        mean: per channel, in units of `maximum`.
        std: per channel, in units of `maximum`.
    """

    channels: Channels
    maximum: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = InputConvention(channels="RGB", maximum=1.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""What most published networks expect."""


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """A trunk plug-in.

    Attributes:
        name: the name on the command line and in the protocol.
        title: the name as papers print it.
        source: the paper, and where its weights are published.
        build: `build(channels)` gives a randomly initialised module from `(n, channels, height, width)` to
            feature maps `(n, features, rows, columns)`.
        features: the number of feature maps.
        convention: the input convention of the trunk when nothing else is known.
        conventions: sha256 of a weights file to its own input convention, where that differs.
        classifier: prefixes of the published weights' keys that belong to the classifier, which no embedding uses.
        published: name of published weights to their address.
        keys: prefix of the module's keys that the published weights' keys lack.
        crop: pixels of the only crop that it is made for, with the `resize` before that; `None` where any will do.
    """

    name: str
    title: str
    source: str
    build: Callable[[int], nn.Module]
    features: int
    convention: InputConvention
    conventions: Mapping[str, InputConvention] = field(default_factory=dict)
    classifier: tuple[str, ...] = ()
    published: Mapping[str, str] = field(default_factory=dict)
    keys: str = ""
    crop: int | None = None
    resize: int | None = None


TRUNKS = plugins.Kind(group="mlrc.trunks", noun="trunk", plural="trunks", type=Trunk)
