"""`mlrc prepare`: from what the user brought to a checked, cached set, or one sentence and nothing half-done."""

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlrc.harness.images import archives, cub200
from mlrc.harness.images.archives import unpack, verify
from mlrc.harness.images.dataset import DATASETS, Dataset
from mlrc.harness.images.prepare import Prepared, prepare_dataset

MakeImage = Callable[..., None]
NOTHING: dict[str, Any] = {"side": 16, "threads": 1, "may_download": False, "on_progress": lambda *_: None}


@pytest.fixture
def archive(tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pack a miniature CUB-200-2011 as it is published, with facts that fit it."""
    source = tmp_path / "source"
    rows = {"001.Auk/a.jpg": 1, "001.Auk/b.jpg": 1, "002.Tit/a.jpg": 2, "002.Tit/b.jpg": 2}
    for file in rows:
        make_image(source / "CUB_200_2011" / "images" / file, 30, 20)
    place = source / "CUB_200_2011"
    (place / "images.txt").write_text("".join(f"{n} {file}\n" for n, file in enumerate(rows, start=1)))
    (place / "image_class_labels.txt").write_text("".join(f"{n} {c}\n" for n, c in enumerate(rows.values(), start=1)))
    path = tmp_path / "root" / "CUB_200_2011.tgz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as packed:
        packed.add(place, "CUB_200_2011")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 as published
    facts = replace(
        cub200.DATASET.facts, images=4, classes=2, archives={path.name: md5}, addresses={path.name: path.as_uri()}
    )
    plugin = Dataset(facts=facts, open=lambda root: cub200.open_cub200(root, facts))
    monkeypatch.setattr(type(DATASETS), "find", lambda *_: plugin)
    return path


def test_an_archive_is_verified_unpacked_counted_and_cached(tmp_path: Path, archive: Path) -> None:
    done = prepare_dataset("cub200", archive.parent, cache=tmp_path / "cache", **NOTHING)
    assert done.verified == done.unpacked == (archive,)
    assert len(done.images.pixels) == 4
    assert done.cache is not None
    assert done.cache == (done.cache[0], 4 * 16 * 24 * 3)
    assert done.cache[0].is_dir()


def test_what_is_ready_is_left_alone(tmp_path: Path, archive: Path) -> None:
    first = prepare_dataset("cub200", archive.parent, cache=tmp_path / "cache", **NOTHING)
    again = prepare_dataset("cub200", archive.parent, cache=tmp_path / "cache", **NOTHING)
    assert again.verified == again.unpacked == ()
    assert again.cache == first.cache
    without = prepare_dataset("cub200", archive.parent, cache=None, **NOTHING)
    assert without.cache is None


def test_a_damaged_cache_is_found_and_built_again(tmp_path: Path, archive: Path) -> None:
    folder, _ = cache_of(prepare_dataset("cub200", archive.parent, cache=tmp_path / "cache", **NOTHING))
    whole = (folder / "pixels.bin").read_bytes()
    (folder / "pixels.bin").write_bytes(bytes(len(whole)))
    prepare_dataset("cub200", archive.parent, cache=tmp_path / "cache", **NOTHING)
    assert (folder / "pixels.bin").read_bytes() == whole


def cache_of(prepared: Prepared) -> tuple[Path, int]:
    assert prepared.cache is not None
    return prepared.cache


def test_an_archive_with_a_wrong_hash_is_not_unpacked(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"CUB_200_2011\.tgz must have the MD5 .*, but has"):
        prepare_dataset("cub200", archive.parent, cache=None, **NOTHING)
    assert list(archive.parent.iterdir()) == [archive]


def test_a_download_happens_on_request_only(tmp_path: Path, archive: Path) -> None:
    root = tmp_path / "empty"
    with pytest.raises(FileNotFoundError, match="needs images.txt"):
        prepare_dataset("cub200", root, cache=None, **NOTHING)
    assert not root.exists()
    done = prepare_dataset("cub200", root, cache=None, **{**NOTHING, "may_download": True})
    assert done.unpacked == (root / archive.name,)


def test_a_download_that_fails_or_is_not_what_was_published_leaves_nothing(tmp_path: Path, archive: Path) -> None:
    target = tmp_path / "downloads" / "it.tgz"
    with pytest.raises(OSError, match=r"it\.tgz could not be downloaded from file:.*absent.* bring it to"):
        archives.download((tmp_path / "absent").as_uri(), target, "0" * 32, lambda *_: None)
    with pytest.raises(ValueError, match="must have the MD5"):
        archives.download(archive.as_uri(), target, "0" * 32, lambda *_: None)
    assert not list(target.parent.iterdir())


def test_a_set_whose_archives_have_no_public_address_is_simply_missing(tmp_path: Path) -> None:
    assert not DATASETS.find("sop").facts.addresses
    with pytest.raises(FileNotFoundError, match="Stanford Online Products needs"):
        prepare_dataset("sop", tmp_path / "empty", cache=None, **{**NOTHING, "may_download": True})
    assert not (tmp_path / "empty").exists()


def tar_with(path: Path, name: str, **attributes: Any) -> None:
    with tarfile.open(path, "w") as packed:
        member = tarfile.TarInfo(name)
        for attribute, value in attributes.items():
            setattr(member, attribute, value)
        packed.addfile(member, io.BytesIO())


@pytest.mark.parametrize("name", ["../evil.txt", "ok/../../evil.txt", "/evil.txt", "..\\evil.txt"])
@pytest.mark.parametrize("kind", ["it.tar", "it.zip"])
def test_an_archive_whose_paths_climb_out_is_refused_whole(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "root" / kind
    path.parent.mkdir()
    if kind == "it.tar":
        tar_with(path, name)
    else:
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("fine.txt", "fine")
            packed.writestr(name, "evil")
    with pytest.raises(ValueError, match=r"it\.(tar|zip) must unpack into its own folder, but holds the path .*climbs"):
        unpack(path)
    assert list(path.parent.iterdir()) == [path]
    assert [entry.name for entry in tmp_path.iterdir()] == ["root"]


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.tar"
    tar_with(path, "link", type=tarfile.SYMTYPE, linkname="../../etc/passwd")
    with pytest.raises(ValueError, match=r"it\.tar must be a whole archive, but cannot be unpacked"):
        unpack(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_truncated_archive_leaves_nothing_behind(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:300])
    with pytest.raises(ValueError, match="must be a whole archive"):
        unpack(archive)
    zipped = archive.with_name("it.zip")
    zipped.write_bytes(b"PK\3\4 no more")
    with pytest.raises(ValueError, match="must be a whole archive"):
        unpack(zipped)
    assert sorted(path.name for path in archive.parent.iterdir()) == ["CUB_200_2011.tgz", "it.zip"]


def test_nothing_of_the_users_is_overwritten(archive: Path) -> None:
    (archive.parent / "CUB_200_2011").mkdir()
    with pytest.raises(FileExistsError, match="is there already and not complete; remove it first"):
        unpack(archive)
    assert not list((archive.parent / "CUB_200_2011").iterdir())
    assert len(list(archive.parent.iterdir())) == 2


def test_a_disk_that_fills_while_unpacking_leaves_nothing_behind(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile, "copyfileobj", full)
    with pytest.raises(OSError, match="must be unpacked in .*, but that failed .*No space left on device.*make room"):
        unpack(archive)
    assert list(archive.parent.iterdir()) == [archive]


def test_md5_is_compared(archive: Path) -> None:
    verify(archive, hashlib.md5(archive.read_bytes()).hexdigest())  # noqa: S324 as published
    with pytest.raises(ValueError, match="must have the MD5 0123, but has"):
        verify(archive, "0123")
