"""What `mlrc prepare` does: find the set or unpack what the user brought, check counts and hashes, build the cache."""

from dataclasses import dataclass
from pathlib import Path

from mlrc.harness.images.archives import OnProgress, download, is_archive, unpack, verify
from mlrc.harness.images.cache import Cache
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import DATASETS, ImageSet
from mlrc.harness.images.files import FilePixels
from mlrc.protocols.datasets.facts import DatasetFacts


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What was found and done.

    Attributes:
        images: the set, its counts as published.
        verified: files whose MD5 was compared and is as published.
        unpacked: archives unpacked now.
        cache: folder of the decode-once cache with its size in bytes, checked against its checksums; `None` for a set
            in memory or where none was wanted.
    """

    images: ImageSet
    verified: tuple[Path, ...] = ()
    unpacked: tuple[Path, ...] = ()
    cache: tuple[Path, int] | None = None


def prepare_dataset(
    name: str,
    root: Path,
    *,
    side: int,
    cache: Path | None,
    threads: int,
    may_download: bool,
    on_progress: OnProgress,
) -> Prepared:
    """Make a dataset ready to train on.

    Args:
        name: as in `open_dataset`.
        root: folder of the dataset or of its archives.
        side: the protocol's `resize`, in pixels.
        cache: folder of the caches; `None` for no cache.
        threads: that decode side by side.
        may_download: fetch archives that have a stable public address.
        on_progress: told of long work.

    Raises what `open_dataset`, `verify`, `unpack`, `download` and `Cache.open` raise.
    """
    verified: list[Path] = []
    unpacked: list[Path] = []
    try:
        images = open_dataset(name, root, on_progress=on_progress)
    except FileNotFoundError:
        brought = _brought(DATASETS.find(name.partition(":")[0]).facts, root, may_download, on_progress)
        if not brought:
            raise
        for path, md5 in brought.items():
            on_progress(f"verifying {path.name}", 0, 0)
            verify(path, md5)
            verified.append(path)
        for path in filter(is_archive, brought):
            on_progress(f"unpacking {path.name}", 0, 0)
            unpack(path)
            unpacked.append(path)
        images = open_dataset(name, root, on_progress=on_progress)
    held = None
    if cache is not None and isinstance(images.pixels, FilePixels):
        kept = Cache(images, side, cache)
        kept.verify()
        held = (kept.path, kept.open(threads=threads, on_progress=on_progress).flat.nbytes)
    return Prepared(images=images, verified=tuple(verified), unpacked=tuple(unpacked), cache=held)


def _brought(facts: DatasetFacts, root: Path, may_download: bool, on_progress: OnProgress) -> dict[Path, str]:
    """Give the published files that lie in the root or in the dataset's own folder, with their MD5."""
    found: dict[Path, str] = {}
    for file, md5 in facts.archives.items():
        path = next((place / file for place in (root, root / facts.name) if (place / file).is_file()), root / file)
        if not path.is_file() and may_download and file in facts.addresses:
            download(facts.addresses[file], path, md5, on_progress)
        if path.is_file():
            found[path] = md5
    return found
