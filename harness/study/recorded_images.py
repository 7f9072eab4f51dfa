"""Under which fingerprint a runs folder knows the images of a command.

The fingerprint of files was once a hash of names and sizes, and keys and seeds of jobs hang on it. A folder that was
begun then goes on under it, and its ledger says from now on for which content it stands: other images of the same names
and sizes get a fingerprint, and rows, of their own.
"""

from dataclasses import replace

from mlrc.harness.images.dataset import ImageSet
from mlrc.results.records.ledger import Records
from mlrc.results.records.record import ImagesRecord


def as_recorded(images: ImageSet, records: Records) -> ImageSet:
    """Give a set under the fingerprint that its records have: by names and sizes if they were begun under that."""
    known = {(record.dataset, record.fingerprint) for record in records.folds.values()}
    before = images.facts.name, images.earlier
    if not images.earlier or before not in known or records.contents.get(before, images.content) != images.content:
        return images
    return replace(images, fingerprint=images.earlier)


def unrecorded(images: ImageSet, records: Records) -> list[ImagesRecord]:
    """Give the line that tells for which content a fingerprint of names and sizes stands, if none tells it yet."""
    name, fingerprint = images.facts.name, images.fingerprint
    if not images.content or fingerprint == images.content or (name, fingerprint) in records.contents:
        return []
    return [ImagesRecord(dataset=name, fingerprint=fingerprint, content=images.content)]
