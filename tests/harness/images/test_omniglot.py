"""Omniglot from its two files, and what is said when they are not what they should be."""

from pathlib import Path

import numpy as np
import pytest

from mlrc.harness.images import omniglot
from mlrc.harness.images.dataset import DATASETS, ArrayPixels, ImageSet
from mlrc.protocols.datasets import omniglot as facts


@pytest.fixture
def miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write two small files and adjust the facts to them."""
    files = {"images_background.npz": 3, "images_evaluation.npz": 2}
    monkeypatch.setattr(omniglot, "FILES", files)
    small = {**vars(facts.FACTS), "images": 100, "classes": 5, "official_trainval_classes": 3}
    monkeypatch.setattr(omniglot, "FACTS", type(facts.FACTS)(**small))
    for seed, (name, characters) in enumerate(files.items()):
        write(tmp_path / name, characters, seed)
    return tmp_path


def write(path: Path, characters: int, seed: int = 0) -> None:
    images = np.random.default_rng(seed).random((characters, 20, 105, 105)) < 0.9
    np.savez_compressed(path, images=images, labels=np.repeat(np.arange(characters)[:, None], 20, axis=1))


def test_background_characters_come_first_and_ink_is_bright(miniature: Path) -> None:
    images = omniglot.open_omniglot(miniature)
    assert len(images.pixels) == 100
    np.testing.assert_array_equal(images.labels, np.repeat(np.arange(5), 20))
    assert images.class_names == ("background 0", "background 1", "background 2", "evaluation 0", "evaluation 1")
    paper = np.load(miniature / "images_evaluation.npz")["images"]
    np.testing.assert_array_equal(images.pixels[60][:, :, 0], np.where(paper[0, 0], 0, 255))


def test_the_files_may_lie_in_a_folder_named_omniglot(miniature: Path) -> None:
    folder = miniature / "omniglot"
    folder.mkdir()
    before = omniglot.open_omniglot(miniature).fingerprint
    for name in facts.FILES:
        (miniature / name).rename(folder / name)
    assert omniglot.open_omniglot(miniature).fingerprint == before


def test_the_fingerprint_follows_the_content(miniature: Path) -> None:
    before = omniglot.open_omniglot(miniature).fingerprint
    write(miniature / "images_evaluation.npz", 2, seed=7)
    assert omniglot.open_omniglot(miniature).fingerprint != before


def test_a_missing_file_says_which_and_where_it_is_published(miniature: Path) -> None:
    (miniature / "images_evaluation.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"^Omniglot needs images_evaluation\.npz in .*https://.*\.$"):
        omniglot.open_omniglot(miniature)


def test_a_truncated_file_is_named(miniature: Path) -> None:
    path = miniature / "images_background.npz"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"images_background\.npz must be a complete npz file, but it is truncated"):
        omniglot.open_omniglot(miniature)


def test_a_damaged_array_inside_a_whole_archive_is_named(miniature: Path) -> None:
    path = miniature / "images_background.npz"
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images_background\.npz must be a complete npz file"):
        omniglot.open_omniglot(miniature)


def test_a_wrong_number_of_characters_is_named(miniature: Path) -> None:
    write(miniature / "images_background.npz", 4)
    with pytest.raises(ValueError, match=r"images_background\.npz must hold images of shape \(3, 20, 105, 105\)"):
        omniglot.open_omniglot(miniature)


def test_missing_arrays_and_disordered_labels_are_named(miniature: Path) -> None:
    path = miniature / "images_background.npz"
    arrays = dict(np.load(path))
    np.savez_compressed(path, images=arrays["images"])
    with pytest.raises(ValueError, match="must hold the arrays images and labels"):
        omniglot.open_omniglot(miniature)
    np.savez_compressed(path, images=arrays["images"], labels=arrays["labels"][::-1])
    with pytest.raises(ValueError, match="must label its characters 0 to 2 in order"):
        omniglot.open_omniglot(miniature)


@pytest.mark.shared_data
def test_the_published_files_hold_human_handwriting_with_little_ink(shared_data: Path) -> None:
    images: ImageSet = DATASETS.find("omniglot").open(shared_data)
    assert isinstance(images.pixels, ArrayPixels)
    assert images.pixels.array.shape == (32460, 105, 105, 1)
    assert 0.05 < images.pixels.array.mean() / 255 < 0.12
    assert images.fingerprint == "3bc3976468d5b454"


def test_files_with_the_first_characters_alone_are_a_smaller_set(miniature: Path) -> None:
    write(miniature / "images_background.npz", 2)
    images = omniglot.open_omniglot(miniature)
    assert (images.facts.classes, images.facts.images, images.facts.official_trainval_classes) == (4, 80, 2)
    assert images.class_names[1:3] == ("background 1", "evaluation 0")
    assert len(images.labels) == len(images.pixels) == 80
