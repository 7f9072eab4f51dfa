"""Single pictures: what becomes of every mode, and what is refused in a sentence in place of being spoilt."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlrc.harness.images import decoding
from mlrc.harness.images.decoding import UnusableImageError, decode, measure, suffixes, together

LEVELS = np.array([[0, 128, 257, 32768], [65278, 65406, 65408, 65535]], dtype=np.uint16)


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "I;16"), ("a.tif", "I;16"), ("b.tif", "I;16B"), ("a.pgm", "I;16")]
)
def test_grey_of_16_bits_is_scaled_by_its_range_and_not_clipped(tmp_path: Path, name: str, mode: str) -> None:
    values = LEVELS.astype(">u2") if mode == "I;16B" else LEVELS
    image = Image.frombytes(mode, (4, 2), values.tobytes())
    image.save(tmp_path / name)
    expected = [[0, 0, 1, 128], [254, 254, 255, 255]]
    assert decode(tmp_path / name)[:, :, 0].tolist() == expected
    assert (decode(tmp_path / name) == decode(tmp_path / name)[:, :, :1]).all()


@pytest.mark.parametrize("mode", ["F", "I"])
def test_numbers_of_an_unknown_range_are_refused_by_file_and_mode_also_from_the_header(
    tmp_path: Path, mode: str
) -> None:
    Image.new(mode, (3, 2), 70_000).save(tmp_path / "depth.tif")
    for read in (decode, measure):
        with pytest.raises(
            ValueError, match=rf"depth\.tif must be a whole image file, but its mode is {mode}, of which"
        ):
            read(tmp_path / "depth.tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_what_is_transparent_lies_on_white_without_a_warning(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (3, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    options: dict[str, Any] = {}
    if mode == "P":
        palette = Image.new("P", (3, 1))
        palette.putpalette([200, 0, 0, 0, 0, 0])
        palette.putpixel((1, 0), 1)
        image, options = palette, {"transparency": bytes([255, 0])}
    elif mode == "RGB":
        image, options = image.convert("RGB"), {"transparency": (0, 0, 0)}
    else:
        image = image.convert(mode)
    image.save(tmp_path / "a.png", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = decode(tmp_path / "a.png")
    assert pixels[0, 1].tolist() == [255, 255, 255]
    assert pixels[0, 0].tolist() == pixels[0, 2].tolist() == ([60, 60, 60] if mode == "LA" else [200, 0, 0])


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    Image.new("RGBA", (1, 1), (0, 0, 0, 51)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png").tolist() == [[[204, 204, 204]]]


def test_a_pipe_does_not_hang_and_long_or_huge_pictures_do_not_eat_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    Image.new("L", (60_000, 1)).save(tmp_path / "line.png")
    Image.new("L", (40, 30)).save(tmp_path / "huge.png")
    with pytest.raises(UnusableImageError, match=r"pipe\.jpg must be .*, but it is no regular file"):
        decode(tmp_path / "pipe.jpg")
    for read in (decode, measure):
        with pytest.raises(UnusableImageError, match=r"line\.png must be .*, but it is 60000 × 1 "):
            read(tmp_path / "line.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnusableImageError, match=r"huge\.png must be .*, but it cannot be decoded \(Image size \(1200"):
        measure(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # PIL warns
    monkeypatch.setattr(decoding, "MOST_PIXELS", 1000)
    with pytest.raises(UnusableImageError, match=r"huge\.png must be .*, but it is 40 × 30 \(at most 1,000 pixels"):
        measure(tmp_path / "huge.png")


@pytest.mark.parametrize("content", [b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff\xe0\0\x10JFIF"])
def test_what_is_no_image_is_named_and_starts_no_other_program(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnusableImageError, match=r"a\.jpg must be a whole image file, but it"):
        decode(tmp_path / "a.jpg")


def test_every_suffix_that_pil_reads_is_an_image_s_and_no_other() -> None:
    assert suffixes() >= {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
    assert not suffixes() & {".pdf", ".eps", ".ps", ".mpg", ".h5", ".txt", ".csv", ".npz", ".mp4"}


def test_bad_images_are_named_together_up_to_ten() -> None:
    errors = [UnusableImageError(Path(f"{number}.jpg"), "it is no regular file") for number in range(12)]
    told = str(together(errors, 1500, "mine"))
    assert told.startswith("Every image of mine must be a whole image file, but 12 of 1,500 are not; replace them")
    assert "9.jpg: it is no regular file; and 2 more." in told
    assert "10.jpg" not in told
    assert together(errors[:1], 5, "mine") is errors[0]
