"""What a reader calls losses, data sets and protocols, whose identifiers are made for commands."""

from collections.abc import Mapping

Titles = Mapping[str, str]
"""Loss to its title, as far as it is known; a loss without one goes by its identifier."""

_DATASETS = {
    "cub200": "CUB-200-2011",
    "cars196": "Cars196",
    "sop": "Stanford Online Products",
    "inshop": "In-Shop",
    "omniglot": "Omniglot",
    "glyphs": "Glyphs",
}
_PROTOCOLS = {
    "reality_check": "Reality Check",
    "reality_check_small": "Reality Check, small budget",
    "reality_check_frozen": "Reality Check, frozen trunk",
    "reality_check_small_handwriting": "Reality Check, small budget for handwriting",
    "reality_check_batch_256": "Reality Check, batches of 256",
    "traditional_mpa": "as Multi Proxy Anchor's paper",
    "traditional_mean_field": "as the mean field paper",
    "traditional_proxy_nca_pp": "as ProxyNCA++'s paper",
    "quick": "Quick",
}


def loss_title(loss: str, titles: Titles | None) -> str:
    """Give a loss's title, or its identifier where none is known."""
    return (titles or {}).get(loss, loss)


def dataset_title(dataset: str) -> str:
    """Give a data set's title: of `folder:grocery`, `grocery`; a version (`@…`) stays."""
    name, at, version = dataset.partition("@")
    return _DATASETS.get(name, name.partition(":")[2] or name) + at + version


def protocol_title(protocol: str) -> str:
    """Give a protocol's title, and as it is written what a variant changes."""
    parent, plus, changes = protocol.partition("+")
    return _PROTOCOLS.get(parent, parent) + plus.replace("+", " + ") + changes
