"""The file of features: whole or not there, gone on with where it was left, its bits those of its key alone."""

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlrc.harness.features import store as stores
from mlrc.harness.features.store import BATCH, Chunk, Done, Shape, Store, chunks, passes

SHAPE = Shape(views=2, images=600, width=3)
EXPECTED = np.arange(2 * 600 * 3, dtype=np.float32).reshape(2, 600, 3)


class _Trunk:
    """Gives the rows that are expected, remembers which were asked for, and dies after so many chunks."""

    def __init__(self, *, dies_after: int | None = None) -> None:
        self.asked: list[Chunk] = []
        self._dies_after = dies_after

    def __call__(self, missing: Sequence[Chunk]) -> Iterator[Done]:
        for number, chunk in enumerate(reversed(missing)):
            if number == self._dies_after:
                raise KeyboardInterrupt
            self.asked.append(chunk)
            yield chunk, EXPECTED[chunk.view, chunk.start : chunk.stop]


def _made(folder: Path, trunk: _Trunk, told: list[tuple[int, int]] | None = None) -> NDArray[np.float32]:
    def on_progress(_what: str, done: int, total: int) -> None:
        if told is not None:
            told.append((done, total))

    return Store(folder, "folder:birds", "key").made(SHAPE, trunk, on_progress)


def test_what_was_made_is_mapped_and_not_made_again(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    assert np.array_equal(_made(tmp_path, _Trunk(), told), EXPECTED)
    assert (told[0], told[-1]) == ((0, 1200), (1200, 1200))
    again = _Trunk()
    assert np.array_equal(_made(tmp_path, again), EXPECTED)
    assert again.asked == []
    assert [path.name for path in tmp_path.iterdir()] == ["features-folder-birds-key"]


def test_a_build_that_was_killed_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    first, second = _Trunk(dies_after=2), _Trunk()
    with pytest.raises(KeyboardInterrupt):
        _made(tmp_path, first)
    assert Store(tmp_path, "folder:birds", "key").mapped() is None
    assert np.array_equal(_made(tmp_path, second), EXPECTED)
    assert sorted([*first.asked, *second.asked]) == chunks(SHAPE)


def test_what_a_killed_build_left_damaged_is_made_again(tmp_path: Path) -> None:
    first, second = _Trunk(dies_after=2), _Trunk()
    with pytest.raises(KeyboardInterrupt):
        _made(tmp_path, first)
    path = tmp_path / "features-folder-birds-key.part" / "features.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # of the last row, which came first
    path.write_bytes(content)
    assert np.array_equal(_made(tmp_path, second), EXPECTED)
    assert first.asked[0] in second.asked
    assert first.asked[1] not in second.asked


def test_a_build_of_another_shape_is_begun_anew(tmp_path: Path) -> None:
    part = tmp_path / "features-folder-birds-key.part"
    part.mkdir()
    np.save(part / "features.npy", np.zeros((1, 5, 3), dtype=np.float32))
    (part / "done.txt").write_text("0 0 256 00\nno line\n")
    assert np.array_equal(_made(tmp_path, _Trunk()), EXPECTED)


@pytest.mark.parametrize("change", ["a bit", "a byte less", "no index"])
def test_a_damaged_store_is_found_out_and_removed(tmp_path: Path, change: str) -> None:
    _made(tmp_path, _Trunk())
    store = Store(tmp_path, "folder:birds", "key")
    assert store.verify()
    path = store.path / ("index.json" if change == "no index" else "features.npy")
    content = bytearray(path.read_bytes())
    if change == "a bit":
        content[len(content) // 2] ^= 4
    path.write_bytes(content[:-1] if change != "a bit" else content)
    assert not store.verify()
    assert not store.path.exists()
    assert np.array_equal(_made(tmp_path, _Trunk()), EXPECTED)


def test_a_store_that_does_not_fit_the_disk_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    trunk = _Trunk()
    with pytest.raises(OSError, match=r"The features of folder:birds need 0\.00 GB in .*, but 0\.00 GB are free; make"):
        _made(tmp_path, trunk)
    assert trunk.asked == []


def test_a_disk_that_fills_up_is_told_in_a_sentence_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stores, "write_at", full)
    with pytest.raises(OSError, match="filled the disk of .* and were removed; make room or give another --root"):
        _made(tmp_path, _Trunk())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="The features of folder:birds must be kept in .*file, but it cannot be written"):
        _made(tmp_path / "file", _Trunk())


@given(st.integers(1, 3), st.integers(1, 700))
def test_every_image_of_every_view_is_in_one_pass_of_full_size(views: int, images: int) -> None:
    seen = []
    for chunk in chunks(Shape(views, images, 1)):
        for wanted, batch in passes(chunk):
            assert len(batch) == BATCH
            assert batch[: len(wanted)].tolist() == list(wanted)
            assert set(batch.tolist()) == set(wanted)
            seen += [(chunk.view, image) for image in wanted]
    assert seen == [(view, image) for view in range(views) for image in range(images)]
