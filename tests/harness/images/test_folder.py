"""Anyone's own images: class folders and manifests, what is said of malformed ones, and reading single files."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlrc.harness.images import folder
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.plan.split import split
from mlrc.protocols.quick import QUICK

MakeImage = Callable[..., None]


def paths_of(images: ImageSet) -> list[str]:
    return list(vars(images.pixels)["paths"])


def test_a_folder_has_one_class_per_sub_folder_and_finds_images_at_any_depth(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("b/2.png", "b/deep/1.jpg", "a/1.jpg", "a/2.JPG", ".hidden/1.jpg"):
        make_image(tmp_path / "mine" / name)
    (tmp_path / "mine" / "a" / "notes.txt").write_text("no image")
    images = open_dataset(f"folder:{tmp_path / 'mine'}", tmp_path / "elsewhere")
    assert images.facts.name == "folder:mine"
    assert paths_of(images) == ["a/1.jpg", "a/2.JPG", "b/2.png", "b/deep/1.jpg"]
    assert images.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("column", ["label", "class"])
def test_a_manifest_may_number_its_classes_and_is_then_ordered_by_number(
    tmp_path: Path, make_image: MakeImage, column: str
) -> None:
    for name in ("1.jpg", "2.jpg", "3.jpg", "4.jpg"):
        make_image(tmp_path / "photos" / name)
    rows = "photos/1.jpg,10,x\nphotos/2.jpg,9,x\nphotos/3.jpg,10,x\nphotos/4.jpg,9,x\n"
    (tmp_path / "manifest.csv").write_text(f"path,{column},note\n{rows}", encoding="utf-8-sig")
    images = open_dataset(f"folder:{tmp_path}", tmp_path)
    assert images.class_names == ("9", "10")
    assert images.labels.tolist() == [1, 0, 1, 0]
    by_file = open_dataset(f"folder:{tmp_path / 'manifest.csv'}", tmp_path)
    assert (by_file.fingerprint, by_file.facts.name) == (images.fingerprint, images.facts.name)


def test_a_manifest_of_words_is_ordered_as_text_and_named_after_its_file(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("1.jpg", "2.jpg", "3.jpg", "4.jpg"):
        make_image(tmp_path / name)
    (tmp_path / "birds.csv").write_text("path,label\n1.jpg,tit\n2.jpg,owl\n3.jpg,owl\n4.jpg,tit\n")
    images = open_dataset(f"folder:{tmp_path / 'birds.csv'}", tmp_path)
    assert images.facts.name == "folder:birds"
    assert images.labels.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("file,label\n1.jpg,a\n", "must have the columns path and label, but has file, label"),
        ("", "must have the columns path and label, but has none"),
        ("path,label\n", "must name images, but it names none"),
        ("path,label\n1.jpg,a\n1.jpg,\n", "a path and a label in every line, but line 3 has not"),
        ("path,label\n1.jpg,a\n1.jpg\n", "a path and a label in every line, but line 3 has not"),
        ("path,label\n1.jpg,a\n2.jpg,a\n", r"names the image 2\.jpg, but .* cannot be read"),
        ("path,label\n1.jpg,a\n3.jpg,a\n2.jpg,b\n", "at least 2 images to be retrieved, but class 'b' .* has 1"),
    ],
)
def test_a_malformed_manifest_is_one_sentence(
    tmp_path: Path, make_image: MakeImage, content: str, sentence: str
) -> None:
    make_image(tmp_path / "1.jpg")
    (tmp_path / "manifest.csv").write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as caught:
        folder.open_folder(tmp_path)
    assert str(tmp_path / "manifest.csv") in str(caught.value)


def test_a_folder_without_classes_or_with_a_lonely_image_or_absent_is_one_sentence(
    tmp_path: Path, make_image: MakeImage
) -> None:
    with pytest.raises(ValueError, match=r"must hold one sub-folder per class or a manifest\.csv"):
        folder.open_folder(tmp_path)
    make_image(tmp_path / "a" / "1.jpg")
    with pytest.raises(ValueError, match="at least 2 images to be retrieved, but class 'a' .* has 1"):
        folder.open_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="must name a folder or a CSV manifest, but there is no"):
        folder.open_folder(tmp_path / "absent")


def test_grey_palette_and_transparent_images_become_rgb(tmp_path: Path, make_image: MakeImage) -> None:
    for name, mode in (("1.jpg", "L"), ("2.png", "P"), ("3.png", "RGBA"), ("4.jpg", "CMYK")):
        make_image(tmp_path / "a" / name, 12, 9, mode)
    pixels = folder.open_folder(tmp_path).pixels
    assert [pixels[index].shape for index in range(4)] == [(9, 12, 3)] * 4
    grey = pixels[0]
    assert (grey[:, :, 0] == grey[:, :, 2]).all()


def test_a_truncated_image_is_named_when_it_is_read(tmp_path: Path, make_image: MakeImage) -> None:
    make_image(tmp_path / "a" / "1.jpg", 200, 200)
    make_image(tmp_path / "a" / "2.jpg", 200, 200)
    path = tmp_path / "a" / "2.jpg"
    path.write_bytes(path.read_bytes()[:-2000])
    pixels = folder.open_folder(tmp_path).pixels
    assert pixels[0].shape == (200, 200, 3)
    with pytest.raises(ValueError, match=r"2\.jpg must be a whole image file, but it cannot be decoded"):
        pixels[1]
    path.write_text("no image")
    with pytest.raises(ValueError, match=r"2\.jpg must be a whole image file"):
        pixels[1]


def reasons(images: ImageSet) -> dict[str, str]:
    return dict(images.left_out)


def test_linked_sub_folders_are_followed_once_and_loops_end(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("mine/a/1.jpg", "mine/a/2.jpg", "mine/b/1.jpg", "elsewhere/3.jpg", "elsewhere/deep/4.jpg"):
        make_image(tmp_path / name)
    (tmp_path / "mine" / "b" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "mine" / "b" / "same").symlink_to(tmp_path / "elsewhere" / "deep", target_is_directory=True)
    (tmp_path / "mine" / "b" / "again.jpg").symlink_to(tmp_path / "elsewhere" / "3.jpg")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "mine" / "b", target_is_directory=True)
    (tmp_path / "mine" / "a" / "itself").symlink_to(tmp_path / "mine" / "a" / "itself")
    images = folder.open_folder(tmp_path / "mine")
    assert np.bincount(images.labels).tolist() == [2, 3]
    assert len({os.path.realpath(tmp_path / "mine" / path) for path in paths_of(images)}) == 5
    twice = [path for path, reason in images.left_out if reason == "there twice by a link"]
    assert len(twice) == 3
    linked_class = tmp_path / "mine" / "c"
    linked_class.symlink_to(tmp_path / "mine" / "a", target_is_directory=True)
    with pytest.raises(ValueError, match="One image must be in one class, but .* is the same as .* of another"):
        folder.open_folder(tmp_path / "mine")


def test_what_is_not_among_the_images_is_told_with_its_reason(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("a/1.jfif", "a/2.JPG", "b/1.avif", "b/2.png", "@eaDir/1.jpg", "lost+found/1.jpg", "a/__MACOSX/2.jpg"):
        make_image(tmp_path / name)
    make_image(tmp_path / "stray.jpg")
    (tmp_path / "a" / ".DS_Store").touch()
    (tmp_path / "a" / "Thumbs.db").touch()
    (tmp_path / "a" / "notes.txt").touch()
    os.mkfifo(tmp_path / "b" / "pipe.jpg")
    images = folder.open_folder(tmp_path)
    assert paths_of(images) == ["a/1.jfif", "a/2.JPG", "b/1.avif", "b/2.png"]
    assert reasons(images) == {
        "@eaDir": "hidden or a system's",
        "lost+found": "hidden or a system's",
        "a/__MACOSX": "hidden or a system's",
        "a/.DS_Store": "hidden or a system's",
        "a/Thumbs.db": "hidden or a system's",
        "a/notes.txt": "no image by its suffix",
        "b/pipe.jpg": "neither file nor folder",
        "stray.jpg": "beside the class folders",
    }
    assert images.without == (
        f"{tmp_path.name}: left out 1 beside the class folders, 5 hidden or a system's, 1 neither file nor folder, "
        "1 no image by its suffix."
    )


def test_sides_of_a_split_are_used_where_their_classes_differ_and_refused_where_not(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("train/b/1.jpg", "train/b/2.jpg", "val/c/1.jpg", "val/c/2.jpg", "test/a/1.jpg", "test/a/2.jpg"):
        make_image(tmp_path / name)
    images = folder.open_folder(tmp_path)
    assert (images.class_names, images.trainval_classes, images.queries) == (("b", "c", "a"), 2, None)
    assert split(images, QUICK.vary({"folds": 2, "validation_fraction": 0.5})).test.tolist() == [0, 1]
    assert [images.class_names[label] for label in images.labels[:2]] == ["a", "a"]
    make_image(tmp_path / "test" / "b" / "3.jpg")
    with pytest.raises(
        ValueError, match=r"must be no test classes, but .* has 1 on both sides, such as 'b' \(train/b/1"
    ):
        folder.open_folder(tmp_path)
    (tmp_path / "test" / "b" / "3.jpg").unlink()
    with pytest.raises(ValueError, match=r"Every class folder must hold images, but .*test/b holds none"):
        folder.open_folder(tmp_path)


def test_sides_without_class_folders_are_refused_and_classes_called_so_among_others_are_classes(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("train/1.jpg", "train/2.jpg", "test/1.jpg", "test/2.jpg"):
        make_image(tmp_path / name)
    with pytest.raises(ValueError, match="looks divided into test, train, so each must hold one sub-folder per class"):
        folder.open_folder(tmp_path)
    for name in ("bus/1.jpg", "bus/2.jpg"):
        make_image(tmp_path / name)
    assert folder.open_folder(tmp_path).class_names == ("bus", "test", "train")


def test_sides_of_a_split_beside_another_folder_are_not_taken_for_classes(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for side, name in (("train", "a"), ("train", "b"), ("test", "c"), ("test", "d"), ("extra", "e")):
        for number in range(2):
            make_image(tmp_path / "mine" / side / name / f"{number}.jpg")
    with pytest.raises(ValueError, match=r"it holds test and train with folders in each, and extra beside them; move"):
        folder.open_folder(tmp_path / "mine")
    make_image(tmp_path / "mine" / "train" / "1.jpg")  # a class that is called so has images of its own
    assert folder.open_folder(tmp_path / "mine").class_names == ("extra", "test", "train")


def test_queries_and_gallery_below_a_folder_each_are_asked_so(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("train/a/1.jpg", "train/a/2.jpg", "query/b/1.jpg", "gallery/b/2.jpg", "gallery/c/3.jpg"):
        make_image(tmp_path / name)
    images = folder.open_folder(tmp_path)
    assert images.queries is not None
    asking = [path for path, asks in zip(paths_of(images), images.queries, strict=True) if asks]
    assert (asking, images.trainval_classes) == (["query/b/1.jpg"], 1)


def test_class_folders_that_look_the_same_and_names_that_are_no_text_are_refused(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("caf\u00e9/1.jpg", "caf\u00e9/2.jpg", "cafe\u0301/1.jpg", "cafe\u0301/2.jpg"):
        make_image(tmp_path / "accents" / name)
    with pytest.raises(ValueError, match="which look the same; put their images into one folder"):
        folder.open_folder(tmp_path / "accents")
    make_image(tmp_path / "bytes" / "a" / "1.jpg")
    (tmp_path / "bytes" / "a" / "1.jpg").rename(os.fsdecode(bytes(tmp_path / "bytes" / "a") + b"/caf\xe9.jpg"))
    with pytest.raises(ValueError, match=r"Every name must be UTF-8, but b'caf\\xe9\.jpg' in .* is not; rename it"):
        folder.open_folder(tmp_path / "bytes")
    make_image(tmp_path / "whole" / "a" / "1.jpg")
    unnamed = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    (tmp_path / "whole").rename(unnamed)
    with pytest.raises(ValueError, match=r"Every name must be UTF-8, but b'caf\\xe9' in .* is not; rename it"):
        folder.open_folder(unnamed)


def test_where_names_are_not_read_as_utf_8_the_way_out_is_told(tmp_path: Path, make_image: MakeImage) -> None:
    for number, name in enumerate(("a", "a", "caf\u00e9", "caf\u00e9")):
        make_image(tmp_path / "mine" / name / f"{number}.png")
    lines = [f"{name}/{number}.png,{name}" for number, name in enumerate(("a", "a", "caf\u00e9", "caf\u00e9"))]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    script = "import sys\nfrom pathlib import Path\nfrom mlrc.harness.images.folder import open_folder\n"
    for place, told in (("mine", "b'caf\\xc3\\xa9' in"), ("list.csv", "list.csv, line 4: ")):
        done = subprocess.run(
            [sys.executable, "-c", f"{script}open_folder(Path({str(tmp_path / place)!r}))"],
            env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        sentence = done.stderr.splitlines()[-1]
        assert sentence.startswith("ValueError: "), done.stderr
        assert told in sentence
        assert "must be read as UTF-8" in sentence
        assert "ascii; set PYTHONUTF8=1." in sentence


def test_a_cache_that_a_command_left_among_the_images_is_no_class(tmp_path: Path, make_image: MakeImage) -> None:
    for label in "abcd":
        for number in (1, 2):
            make_image(tmp_path / label / f"{number}.png")
    first = open_dataset(f"folder:{tmp_path}", tmp_path)
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache" / "content-0.json").write_text("{}")
    again = open_dataset(f"folder:{tmp_path}", tmp_path)
    assert (again.class_names, again.fingerprint) == (first.class_names, first.fingerprint)
    (tmp_path / "cache" / "content-0.json").unlink()
    for number in (1, 2):
        make_image(tmp_path / "cache" / f"{number}.png")
    assert open_dataset(f"folder:{tmp_path}", tmp_path / "root").class_names == ("a", "b", "c", "cache", "d")
