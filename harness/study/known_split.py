"""The line of `splits.csv` of a data set under a protocol, told from the images themselves."""

from pathlib import Path

import numpy as np

from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.plan.split import OWN, split
from mlrc.protocols.protocol import Protocol
from mlrc.results.publishing.audit import KnownSplit


def known_split(dataset: str, root: Path, protocol: Protocol) -> KnownSplit:
    """Open a data set and say how a protocol cuts it, as rows that are published will say it.

    Raises:
        LookupError: there is no such data set.
        ValueError: it does not fit the protocol, or its files are damaged.
        OSError: it is not there.
    """
    images = open_dataset(dataset, root)
    test = split(images, protocol).test
    return KnownSplit(
        dataset=images.facts.name,
        fingerprint=images.fingerprint,
        cut=OWN if images.trainval_classes is not None else protocol.cut.of(images.facts.name),
        test_classes=len(np.unique(images.labels[test])),
        test_images=len(test),
    )
