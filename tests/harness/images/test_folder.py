"""Anyone's own images: class folders and manifests, what is said of malformed ones, and reading single files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlrc.harness.images import folder
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ImageSet

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
