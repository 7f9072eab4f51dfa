"""The embedded default must be the same everywhere, free of look-alikes, and heal itself."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from numpy.typing import NDArray

from mlrc.harness.images import glyphs
from mlrc.harness.images.dataset import DATASETS, ArrayPixels
from mlrc.harness.images.outlines import Face, Outline, fill
from mlrc.protocols.datasets.glyphs import CHARACTERS, FACES, FACTS


@pytest.fixture(scope="module")
def drawn() -> NDArray[np.uint8]:
    return glyphs.draw()


@pytest.fixture
def quick_drawing(monkeypatch: pytest.MonkeyPatch, drawn: NDArray[np.uint8]) -> list[int]:
    """Replace drawing by handing out what is drawn already, and count the calls."""
    calls: list[int] = []

    def draw() -> NDArray[np.uint8]:
        calls.append(1)
        return drawn.copy()

    monkeypatch.setattr(glyphs, "draw", draw)
    return calls


def test_the_plugin_gives_what_the_facts_promise(tmp_path: Path, quick_drawing: list[int]) -> None:
    images = DATASETS.find("glyphs").open(tmp_path)
    assert images.fingerprint == FACTS.fingerprint
    assert len(images.pixels) == len(images.labels) == FACTS.images == 2560
    assert len(images.class_names) == FACTS.classes == 160
    assert images.pixels[0].shape == (32, 32, 1)
    np.testing.assert_array_equal(np.bincount(images.labels), 16)
    assert images.class_names[images.labels[0]] == "A"


def test_letters_are_bright_on_dark_and_stay_off_the_border(drawn: NDArray[np.uint8]) -> None:
    assert 0.05 < drawn.mean() / 255 < 0.4
    border = np.concatenate([drawn[:, 0], drawn[:, -1], drawn[:, :, 0], drawn[:, :, -1]], axis=1)
    assert (border.max(axis=(1, 2)) > 0).mean() < 0.02


def test_no_image_is_empty_and_no_two_are_equal(drawn: NDArray[np.uint8]) -> None:
    assert drawn.max(axis=(1, 2, 3)).min() == 255
    assert len({image.tobytes() for image in drawn}) == len(drawn)


def test_the_second_opening_reads_the_file_and_draws_nothing(tmp_path: Path, quick_drawing: list[int]) -> None:
    first = glyphs.open_glyphs(tmp_path)
    second = glyphs.open_glyphs(tmp_path)
    assert len(quick_drawing) == 1
    assert isinstance(first.pixels, ArrayPixels)
    assert isinstance(second.pixels, ArrayPixels)
    np.testing.assert_array_equal(first.pixels.array, second.pixels.array)
    assert [path.name for path in (tmp_path / "glyphs").iterdir()] == ["glyphs.npz"]


def test_a_truncated_or_foreign_or_altered_file_is_made_again(
    tmp_path: Path, quick_drawing: list[int], drawn: NDArray[np.uint8]
) -> None:
    glyphs.open_glyphs(tmp_path)
    path = tmp_path / "glyphs" / "glyphs.npz"
    whole = path.read_bytes()
    altered = drawn.copy()
    altered[0, 0, 0, 0] += 1
    for spoil in (
        lambda: path.write_bytes(whole[: len(whole) // 2]),
        lambda: path.write_text("no archive"),
        lambda: np.savez(path, images=altered),
        lambda: np.savez(path, letters=drawn),
    ):
        quick_drawing.clear()
        spoil()
        assert glyphs.open_glyphs(tmp_path).fingerprint == FACTS.fingerprint
        assert len(quick_drawing) == 1
        assert path.read_bytes()[:4] == whole[:4]


def test_a_root_that_cannot_be_written_is_one_sentence(tmp_path: Path, quick_drawing: list[int]) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OSError, match=r"^The glyphs must be kept in .*file.glyphs.*; give a root folder .*\.$"):
        glyphs.open_glyphs(file)


def test_other_fonts_are_named_and_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "draw", lambda: np.zeros((FACTS.images or 0, 32, 32, 1), dtype=np.uint8))
    with pytest.raises(ValueError, match=rf"must have the fingerprint {FACTS.fingerprint}, but have"):
        glyphs.open_glyphs(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_alphabets_of_both_halves_differ() -> None:
    trainval, test = CHARACTERS[: FACTS.official_trainval_classes], CHARACTERS[FACTS.official_trainval_classes :]
    assert len(trainval) == len(test) == 80
    assert all(character < "\u0370" for character in trainval)
    assert all("\u0370" <= character < "\u0530" for character in test)
    assert len(set(CHARACTERS)) == len(CHARACTERS)


def test_any_two_classes_differ_clearly_in_some_face_and_visibly_in_half_of_them() -> None:
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    difference = np.stack([differences(Face(folder / f"{name}.ttf")) for name in FACES])
    pairs = np.triu_indices(len(CHARACTERS), 1)
    assert difference.max(axis=0)[pairs].min() >= 0.4
    assert np.median(difference, axis=0)[pairs].min() >= 0.26


def differences(face: Face) -> NDArray[np.float64]:
    """Differing ink over ink for all pairs of letters, brought to one size with and without their own proportions."""
    least = np.full((len(CHARACTERS), len(CHARACTERS)), np.inf)
    for stretched in (False, True):
        ink = np.stack([blurred(face.outline(character), stretched=stretched).ravel() for character in CHARACTERS])
        total = ink.sum(axis=1)
        for row, letter in enumerate(ink):
            other = np.abs(ink - letter).sum(axis=1) / np.maximum(total, total[row])
            least[row] = np.minimum(least[row], other)
    return least


def blurred(outline: Outline, *, stretched: bool) -> NDArray[np.float64]:
    points = np.concatenate(outline)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = 28 / (high - low if stretched else (high - low).max())
    image = np.pad(fill([(polygon - (low + high) / 2) * scale for polygon in outline], 32, 4) / 255, 1)
    total: NDArray[np.float64] = sum((image[y : y + 32, x : x + 32] for y in range(3) for x in range(3)), np.zeros(()))
    return total / 9
