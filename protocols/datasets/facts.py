"""What is known of a dataset before a single image is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """Facts of one dataset, each checked against what its reader finds.

    Attributes:
        name: the name on the command line and in every table.
        title: the name as papers print it.
        source: who made it, where it is published.
        licence: one sentence on what may be done with it.
        classes: number of classes; `None` where a folder decides.
        images: number of images; `None` where a folder decides.
        official_trainval_classes: how many of the first classes the official split trains on; `None` if it has none
            that is class-disjoint.
        official_split: what its authors call the two sides of the official split.
        archives: name of an archive or annotation file as published, to its MD5.
        addresses: archive to a stable public address, where there is one.
        pretraining: which of its classes weights of ImageNet may have seen, in one sentence that names ImageNet; empty
            where nobody has looked.
        fingerprint: the fingerprint that the opened set must have; empty where the images are not fixed to the byte.
    """

    name: str
    title: str
    source: str
    licence: str
    classes: int | None = None
    images: int | None = None
    official_trainval_classes: int | None = None
    official_split: str = ""
    archives: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    pretraining: str = ""
    fingerprint: str = ""
