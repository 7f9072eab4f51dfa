"""The decode-once cache: the same bytes as decoding on the fly, whole or not at all, shared, resumable."""

import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import Buffer

from mlrc.harness.images import cache as caches
from mlrc.harness.images.cache import Cache, cached
from mlrc.harness.images.dataset import ArrayPixels, ImageSet
from mlrc.harness.images.folder import open_folder
from mlrc.harness.images.resize import resize, resized

MakeImage = Callable[..., None]


@pytest.fixture
def photos(tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    """Make ten images of several sizes and modes, and chunks of three so that there are four of them."""
    monkeypatch.setattr(caches, "_CHUNK", 3)
    for number in range(10):
        mode = "L" if number == 4 else "RGB"
        make_image(tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg", 40 + 7 * number, 70 - 3 * number, mode)
    return open_folder(tmp_path / "photos")


def assert_same(images: ImageSet, side: int, folder: Path) -> None:
    on_the_fly, from_cache = resized(images.pixels, side), cached(images, side, folder=folder)
    assert len(on_the_fly) == len(from_cache) == 10
    for index in range(10):
        np.testing.assert_array_equal(from_cache[index], on_the_fly[index])
        assert min(from_cache[index].shape[:2]) == side


@pytest.mark.parametrize("side", [16, 40, 90])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_cache_is_bit_identical_to_decoding_on_the_fly(
    tmp_path: Path, photos: ImageSet, side: int, threads: int
) -> None:
    cached(photos, side, folder=tmp_path / "cache", threads=threads)
    assert_same(photos, side, tmp_path / "cache")


def test_a_built_cache_is_opened_without_decoding(
    tmp_path: Path, photos: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(photos, 16, folder=tmp_path)
    monkeypatch.setattr(Cache, "_build", None)
    assert len(cached(photos, 16, folder=tmp_path)) == 10


def test_progress_is_told_to_the_end(tmp_path: Path, photos: ImageSet) -> None:
    told: list[tuple[str, int, int]] = []
    cached(photos, 16, folder=tmp_path, on_progress=lambda *step: told.append(step))
    assert told[-1] == ("decoding folder:photos", 10, 10)
    assert ("measuring folder:photos", 10, 10) in told


def test_another_set_or_size_or_decoder_is_another_cache(
    tmp_path: Path, photos: ImageSet, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {Cache(photos, 16, tmp_path).path, Cache(photos, 17, tmp_path).path}
    monkeypatch.setattr(caches, "PIL", SimpleNamespace(__version__="1.0"))
    paths.add(Cache(photos, 16, tmp_path).path)
    make_image(tmp_path / "photos" / "a" / "more.jpg")
    paths.add(Cache(open_folder(tmp_path / "photos"), 16, tmp_path).path)
    assert len(paths) == 4


def test_a_set_in_memory_is_resized_there_and_writes_nothing(tmp_path: Path, photos: ImageSet) -> None:
    memory = ImageSet(
        facts=photos.facts,
        fingerprint="",
        labels=photos.labels[:2],
        class_names=photos.class_names,
        pixels=ArrayPixels(np.zeros((2, 20, 30, 1), dtype=np.uint8)),
    )
    pixels = cached(memory, 10, folder=tmp_path / "cache")
    assert isinstance(pixels, ArrayPixels)
    assert pixels.array.shape == (2, 10, 15, 1)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(TypeError, match="Only image files are cached"):
        Cache(memory, 10, tmp_path)


def test_without_a_folder_images_are_decoded_at_every_access(
    tmp_path: Path, photos: ImageSet, make_image: MakeImage
) -> None:
    pixels = cached(photos, 16, folder=None)
    before = pixels[0]
    (path,) = (tmp_path / "photos" / "a").glob("0.jpg")
    make_image(path, 70, 40)  # it was higher than wide
    assert (before.shape, pixels[0].shape) == ((28, 16, 3), (16, 28, 3))


def test_a_truncated_cache_is_built_again_and_a_flipped_bit_is_found(tmp_path: Path, photos: ImageSet) -> None:
    cache = Cache(photos, 16, tmp_path)
    cache.open()
    path = cache.path / "pixels.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    cache.open()
    assert path.read_bytes() == whole
    assert cache.verify()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert not cache.verify()
    assert not cache.path.exists()
    (tmp_path / cache.path.name).mkdir()
    cache.open()
    assert cache.verify()


def test_a_truncated_image_is_named_and_leaves_nothing_behind(tmp_path: Path, photos: ImageSet) -> None:
    path = tmp_path / "photos" / "b" / "9.jpg"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"9\.jpg must be a whole image file"):
        cached(photos, 16, folder=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_too_small_a_disk_is_refused_beforehand(
    tmp_path: Path, photos: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"at 16 pixels needs 0\.00 GB in .*, but 0\.00 GB are free; .*--no-cache"):
        cached(photos, 16, folder=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_disk_that_fills_while_caching_leaves_nothing_behind(
    tmp_path: Path, photos: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    write = os.pwrite

    def full(handle: int, block: Buffer, offset: int) -> int:
        calls.append(offset)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, block, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="filled the disk of .* and was removed; make room"):
        cached(photos, 16, folder=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_build_that_lost_the_race_clears_its_own_beginnings(
    tmp_path: Path, photos: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(photos, 16, tmp_path)
    pixels = cache.open()
    looks = iter([None, pixels, pixels])
    monkeypatch.setattr(Cache, "_mapped", lambda _: next(looks))
    assert cache.open() is pixels
    assert [path.name for path in tmp_path.iterdir() if path.name != "photos"] == [cache.path.name]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, photos: ImageSet) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="must be kept in .*file, but it cannot be written"):
        cached(photos, 16, folder=tmp_path / "file")


def build_and_die(source: Path, folder: Path, writes: int) -> None:
    caches._CHUNK = 3
    write = os.pwrite
    calls: list[int] = []

    def mortal(handle: int, block: Buffer, offset: int) -> int:
        calls.append(offset)
        if len(calls) > writes:
            os.kill(os.getpid(), signal.SIGKILL)
        return write(handle, block, offset)

    os.pwrite = mortal
    cached(open_folder(source), 16, folder=folder)


def test_a_killed_build_goes_on_where_it_was(tmp_path: Path, photos: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    child = multiprocessing.get_context("spawn").Process(
        target=build_and_die, args=(tmp_path / "photos", tmp_path / "cache", 2)
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not Cache(photos, 16, tmp_path / "cache").path.exists()
    decoded: list[int] = []

    def counted(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
        decoded.append(1)
        return resize(image, side)

    monkeypatch.setattr(caches, "resize", counted)
    assert_same(photos, 16, tmp_path / "cache")
    assert len(decoded) == 4  # of ten images, two chunks of three were there


def test_a_chunk_that_was_spoilt_after_the_kill_is_decoded_again(
    tmp_path: Path, photos: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(photos, 16, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", _raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            cache.open()
    part = tmp_path / f"{cache.path.name}.part"
    (part / "done.txt").write_text(f"0 {'0' * 32}\n3 torn")
    with (part / "pixels.bin").open("r+b") as file:
        file.write(bytes(100))
    assert_same(photos, 16, tmp_path)
    assert cache.verify()


def _raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def build(source: Path, folder: Path, barrier: "multiprocessing.synchronize.Barrier") -> None:
    images = open_folder(source)
    barrier.wait()
    cached(images, 16, folder=folder)


def test_two_processes_may_build_at_once(tmp_path: Path, photos: ImageSet) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    arguments = (tmp_path / "photos", tmp_path / "cache", barrier)
    children = [context.Process(target=build, args=arguments) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [Cache(photos, 16, tmp_path).path.name]
    assert_same(photos, 16, tmp_path / "cache")


def test_all_bad_files_are_named_in_one_pass_truncated_ones_too(tmp_path: Path, photos: ImageSet) -> None:
    (tmp_path / "photos" / "a" / "0.jpg").write_text("no image")
    path = tmp_path / "photos" / "b" / "9.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(
        ValueError, match=r"2 of 10 are not; .*a/0\.jpg: it is of no format.*b/9\.jpg: it cannot be deco"
    ):
        cached(photos, 16, folder=tmp_path / "cache")
    (tmp_path / "photos" / "a" / "0.jpg").write_bytes(path.read_bytes())
    with pytest.raises(
        ValueError, match=r"2 of 10 are not; .*a/0\.jpg: it cannot be deco.*b/9\.jpg: it cannot be deco"
    ):
        cached(photos, 16, folder=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_place_without_locks_is_a_sentence(tmp_path: Path, photos: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match=r"must be kept on a file system with locks, .* or decode on the fly"):
        cached(photos, 16, folder=tmp_path)
