"""Content decides: what a set's fingerprint and cache follow, what its index remembers, and what was published."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlrc.harness.images import content
from mlrc.harness.images.cache import cached
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.study.recorded_images import as_recorded, unrecorded
from mlrc.results.records.ledger import Ledger
from tests.results.studies import make

SIDE = 8


def make_bitmaps(folder: Path, seed: int) -> None:
    """Write two classes of two bitmaps; all bitmaps of one size have one length."""
    random = np.random.default_rng(seed)
    for name in ("a/1.bmp", "a/2.bmp", "b/1.bmp", "b/2.bmp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(folder / name)


def opened(folder: Path, root: Path) -> ImageSet:
    return open_dataset(f"folder:{folder}", root)


def aged(folder: Path) -> None:
    """Let the files be older than the moment in which nothing is remembered."""
    for path in folder.rglob("*.bmp"):
        os.utime(path, ns=(10**18, 10**18))


def test_images_replaced_by_others_of_the_same_names_and_sizes_are_another_set_with_their_own_pixels(
    tmp_path: Path,
) -> None:
    make_bitmaps(tmp_path / "mine", 1)
    first = opened(tmp_path / "mine", tmp_path)
    before = np.stack([cached(first, SIDE, folder=tmp_path / "cache")[row] for row in range(4)])
    make_bitmaps(tmp_path / "mine", 2)
    second = opened(tmp_path / "mine", tmp_path)
    after = np.stack([cached(second, SIDE, folder=tmp_path / "cache")[row] for row in range(4)])
    assert (first.earlier, first.facts.name) == (second.earlier, second.facts.name)
    assert first.fingerprint != second.fingerprint
    np.testing.assert_array_equal(after, np.stack([second.pixels[row] for row in range(4)]))
    assert (before != after).any()


def test_equally_named_folders_share_neither_fingerprint_nor_cache(tmp_path: Path) -> None:
    for place in ("one", "other"):
        make_bitmaps(tmp_path / place / "mine", len(place))
    one, other = (opened(tmp_path / place / "mine", tmp_path) for place in ("one", "other"))
    assert one.facts.name == other.facts.name
    assert one.fingerprint != other.fingerprint
    for images in (one, other):
        np.testing.assert_array_equal(cached(images, SIDE, folder=tmp_path / "cache")[0], images.pixels[0])


def test_names_do_not_decide_but_labels_order_and_bytes_do(tmp_path: Path) -> None:
    make_bitmaps(tmp_path / "mine", 1)
    as_it_was = opened(tmp_path / "mine", tmp_path).fingerprint
    (tmp_path / "mine" / "a" / "1.bmp").rename(tmp_path / "mine" / "a" / "0.bmp")
    (tmp_path / "mine" / "b").rename(tmp_path / "mine" / "c")
    shutil.copytree(tmp_path / "mine", tmp_path / "elsewhere")
    assert opened(tmp_path / "mine", tmp_path).fingerprint == as_it_was
    assert opened(tmp_path / "elsewhere", tmp_path).fingerprint == as_it_was
    (tmp_path / "mine" / "a" / "0.bmp").rename(tmp_path / "mine" / "a" / "3.bmp")
    assert opened(tmp_path / "mine", tmp_path).fingerprint != as_it_was
    with (tmp_path / "elsewhere" / "c" / "2.bmp").open("ab") as file:
        file.write(b"\0")
    assert opened(tmp_path / "elsewhere", tmp_path).fingerprint != as_it_was


def test_an_old_file_is_read_once_and_again_only_when_its_times_or_size_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bitmaps(tmp_path / "mine", 1)
    monkeypatch.setattr(content, "MOMENT", -(10**12))  # as if the files had been there for long
    read: list[str] = []
    digest = hashlib.file_digest

    def noted(file: Any, method: str) -> Any:
        read.append(str(getattr(file, "name", "")))
        return digest(file, method)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    expected = opened(tmp_path / "mine", tmp_path).fingerprint
    assert len(read) == 4
    assert opened(tmp_path / "mine", tmp_path).fingerprint == expected
    assert len(read) == 4
    os.utime(tmp_path / "mine" / "b" / "1.bmp")
    assert opened(tmp_path / "mine", tmp_path).fingerprint == expected
    assert [Path(name).name for name in read[4:]] == ["1.bmp"]
    (index,) = (tmp_path / "cache").glob("content-*.json")
    index.write_text("torn")
    assert opened(tmp_path / "mine", tmp_path).fingerprint == expected
    assert len(read) == 9


def test_a_file_that_was_replaced_with_its_times_kept_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MOMENT", -(10**12))
    make_bitmaps(tmp_path / "mine", 1)
    aged(tmp_path / "mine")
    before = opened(tmp_path / "mine", tmp_path).fingerprint
    make_bitmaps(tmp_path / "new", 2)
    aged(tmp_path / "new")
    (tmp_path / "new" / "a" / "1.bmp").replace(tmp_path / "mine" / "a" / "1.bmp")
    assert opened(tmp_path / "mine", tmp_path).fingerprint != before


def test_a_file_of_this_moment_is_not_remembered(tmp_path: Path) -> None:
    make_bitmaps(tmp_path / "mine", 1)
    opened(tmp_path / "mine", tmp_path)
    assert not list((tmp_path / "cache").glob("content-*.json"))


def test_where_no_index_can_be_written_all_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOMENT", -(10**12))
    make_bitmaps(tmp_path / "mine", 1)
    (tmp_path / "cache").write_text("a file")
    assert opened(tmp_path / "mine", tmp_path).fingerprint == opened(tmp_path / "mine", tmp_path / "b").fingerprint


@pytest.mark.shared_data
def test_the_published_groceries_keep_the_fingerprint_of_their_results(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "grocery" / "grocery_128.zip") as archive:
        archive.extractall(tmp_path / "grocery")
    images = opened(tmp_path / "grocery", tmp_path)
    assert (images.fingerprint, images.earlier) == ("0eafe644fcbed4b9", "0eafe644fcbed4b9")
    with (tmp_path / "grocery" / "manifest.csv").open() as file:
        path = tmp_path / "grocery" / file.readlines()[1].split(",")[0]
    bytes_ = bytearray(path.read_bytes())
    bytes_[-3] ^= 1
    path.write_bytes(bytes_)
    changed = opened(tmp_path / "grocery", tmp_path)
    assert changed.earlier == images.earlier
    assert changed.fingerprint not in ("0eafe644fcbed4b9", images.content)


def test_a_run_of_before_goes_on_under_its_fingerprint_and_other_images_get_rows_of_their_own(tmp_path: Path) -> None:
    make_bitmaps(tmp_path / "mine", 1)
    images = opened(tmp_path / "mine", tmp_path)
    old = make({"triplet": 30.0}, dataset="folder:mine", fingerprint=images.earlier).records
    with Ledger(tmp_path / "runs") as ledger:
        assert as_recorded(images, ledger.records) is images
        ledger.append(old.folds.values())
        known = as_recorded(images, ledger.records)
        assert known.fingerprint == images.earlier
        (line,) = unrecorded(known, ledger.records)
        ledger.append([line])
        assert unrecorded(known, ledger.records) == []
        assert unrecorded(images, ledger.records) == []
    make_bitmaps(tmp_path / "mine", 2)
    replaced = opened(tmp_path / "mine", tmp_path)
    with Ledger(tmp_path / "runs") as ledger:
        assert as_recorded(images, ledger.records).fingerprint == images.earlier
        assert as_recorded(replaced, ledger.records).fingerprint == replaced.content != images.earlier
