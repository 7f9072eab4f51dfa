"""Which trunk a name means, and which protocol follows from choosing a trunk and a weights file."""

from pathlib import Path

from torch import nn

from mlrc.harness.trunks import timm_models
from mlrc.harness.trunks.trunk import TRUNKS, Trunk
from mlrc.harness.trunks.weights import load_weights, sha256_of
from mlrc.protocols.protocol import NO_TRUNK, Protocol


def find_trunk(name: str) -> Trunk:
    """Give a trunk by its plug-in name or as `timm:<name>`.

    Raises:
        ValueError: the name is the word for none.

    Raises what `TRUNKS.find` and `timm_models.find` raise, too.
    """
    if name == NO_TRUNK:
        raise ValueError(
            f"A trunk must be named to see images with, but trunk={NO_TRUNK} takes vectors (--dataset features:PATH); "
            "name one with --trunk NAME and --weights FILE."
        )
    return timm_models.find(name) if name.startswith(timm_models.PREFIX) else TRUNKS.find(name)


def with_trunk(protocol: Protocol, name: str, weights: Path | None) -> Protocol:
    """Derive the protocol that trains another trunk, with the input convention of the trunk or of its weights file.

    Where the trunk is made for one size of image, crop and resize become its own.
    """
    trunk = find_trunk(name)
    sha256 = sha256_of(weights) if weights else ""
    convention = trunk.conventions.get(sha256, trunk.convention)
    size = {name: value for name, value in (("crop", trunk.crop), ("resize", trunk.resize)) if value is not None}
    return protocol.vary(
        {
            **size,
            "trunk": name,
            "weights": sha256,
            "channels": convention.channels,
            "maximum": convention.maximum,
            "mean": convention.mean,
            "std": convention.std,
        }
    )


def build_trunk(protocol: Protocol, weights: Path | None) -> nn.Module:
    """Build a protocol's trunk, with the weights that it names or from scratch.

    Raises:
        ValueError: the protocol names weights and none are given, or they do not fit.
    """
    trunk = find_trunk(protocol.trunk)
    module = trunk.build(1 if protocol.channels == "grey" else 3)
    if protocol.weights:
        if weights is None:
            raise ValueError(
                f"Protocol {protocol.name!r} needs the weights of {protocol.trunk} with the sha256 {protocol.weights}; "
                f"give the file with --weights, source: {trunk.source}."
            )
        load_weights(module, weights, protocol.weights, classifier=trunk.classifier, keys=trunk.keys)
    return module
