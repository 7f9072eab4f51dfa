"""Any folder and any manifest gives exactly the images that it names, or one sentence: never a traceback, never fewer.

A folder is drawn together with what a reader must find in it, which is counted here by the drawing and not by walking.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlrc.harness.images.cache import cached
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ImageSet
from tests.examples import examples

NAMES = ("a", "b", "7", "07", "caf\u00e9", "cafe\u0301", "train", "test", "query", "gallery", ".git", "@eaDir", "x y")
GOOD = ("1.jpg", "2.JPG", "3.png", "4.bmp", "5.jfif", "6.webp", "7.tif")
OTHER = ("notes.txt", ".DS_Store", "Thumbs.db", "movie.mp4", "archive.zip")
SIDES = {"train", "test", "query", "gallery"}
TOLD = (ValueError, OSError, TypeError)
"""What `mlrc.harness.cli.words.options.user_errors` tells in a sentence."""


def picture(mode: str, name: str) -> bytes:
    content = BytesIO()
    suffix = Path(name).suffix.lower()
    formats = {".jpg": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WEBP", ".tif": "TIFF"}
    mode = mode if (suffix, mode) in {(".png", "RGBA"), (".png", "I;16"), (".tif", "F")} else "RGB"
    Image.new(mode, (5, 4)).save(content, formats[suffix])
    return content.getvalue()


@contextmanager
def somewhere() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def outcome(open_it: Callable[[], ImageSet], place: Path) -> ImageSet | None:
    """Open and decode a set; `None` where it is refused as a user is told."""
    try:
        images = open_it()
        pixels = cached(images, 4, folder=place / "cache")
    except TOLD as error:
        told = error
    else:
        assert len(pixels) == len(images.labels) == len(images.pixels)
        return images
    assert not isinstance(told, UnicodeError)
    assert len(str(told).splitlines()) == 1
    assert str(told).endswith(".")
    return None


@dataclass
class Drawn:
    """Files of a folder, with what the reader must make of them."""

    files: dict[str, bytes | None] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        for path, content in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                os.mkfifo(folder / path)
            else:
                (folder / path).write_bytes(content)
        for path, target in self.links.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).symlink_to(folder / target)

    def visible(self) -> dict[str, int]:
        """Count the images of each class folder, links aside."""
        counts: dict[str, int] = {}
        for path, content in self.files.items():
            top, *below = path.split("/")
            hidden = any(part.startswith(".") or part == "@eaDir" for part in (top, *below))
            if below and not hidden:
                counts.setdefault(top, 0)
                counts[top] += below[-1] in GOOD and content is not None
        return counts


KINDS = ("torn", "RGBA", "I;16", "F", "pipe")


@st.composite
def folders(draw: st.DrawFn) -> Drawn:
    """Draw a folder, half of the time one in which every class has two good images at least."""
    drawn, sound = Drawn(), draw(st.booleans())
    kinds = ("good", "RGBA", "I;16") if sound else ("good", "good", "good", *KINDS)
    sides = draw(st.sampled_from((None, None, ("train", "test"), ("train", "query", "gallery"))))
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=int(sound), max_size=4, unique=True)):
        side = f"{draw(st.sampled_from(sides))}/" if sides else ""
        files = draw(st.lists(st.sampled_from(GOOD), min_size=2 * sound, max_size=4, unique=True))
        for file in (*files, *draw(st.lists(st.sampled_from(OTHER), max_size=2, unique=True))):
            deeper = draw(st.sampled_from(("", "", "deep/", "deep/er/", *(("__MACOSX/.x/",) if not sound else ()))))
            kind = draw(st.sampled_from(kinds))
            content: bytes | None = b"text"
            if file in GOOD:
                content = picture(kind, file)
                content = {"torn": content[: len(content) // 2], "pipe": None}.get(kind, content)
            drawn.files[f"{side}{name}/{deeper}{file}"] = content
    if draw(st.booleans()):
        drawn.files["stray.jpg"] = picture("RGB", "stray.jpg")
    for number in range(draw(st.integers(0, 2)) * (not sound)):
        if drawn.files:
            at, to = (draw(st.sampled_from(sorted(drawn.files))) for _ in range(2))
            target = draw(st.sampled_from((to, to.split("/")[0], "nowhere.jpg")))
            drawn.links[f"{at.rpartition('/')[0] or at.split('/')[0] + '_'}/link{number}.jpg"] = target
    return drawn


@given(folders())
@examples(150)
def test_any_folder_gives_the_images_of_its_classes_or_one_sentence(drawn: Drawn) -> None:
    with somewhere() as place:
        (place / "mine").mkdir()
        drawn.write(place / "mine")
        images = outcome(lambda: open_dataset(f"folder:{place / 'mine'}", place), place)
        if images is None or drawn.links:
            return
        counts = drawn.visible()
        if images.trainval_classes is not None:
            assert set(counts) <= SIDES
            assert len(images.labels) == sum(counts.values())
        else:
            assert dict(zip(images.class_names, np.bincount(images.labels).tolist(), strict=True)) == counts
        hidden = sum(path == "stray.jpg" or path.rpartition("/")[2] in OTHER for path in drawn.files)
        assert len(images.left_out) >= min(hidden, 1)


CELLS = st.one_of(
    st.sampled_from(("1.jpg", "./1.jpg", "2.jpg", "sub\\4.jpg", "absent.jpg", "../x.jpg", "sub", "/1.jpg")),
    st.sampled_from(
        ("a", " a", "7", "07", "caf\u00e9", "cafe\u0301", "", "train", "test", "query", "1", "0", '"', "x,y")
    ),
    st.text(max_size=4),
)
HEADERS = ("Path", "LABEL", "class", "split", "query", "camera", "note", "")


@st.composite
def manifests(draw: st.DrawFn) -> bytes:
    """Draw a sound manifest, perhaps with a split, and spoil it at up to two places."""
    split = draw(st.booleans())
    lines = [["path", "label", *(["split"] if split else [])]]
    for path, label in zip(("1.jpg", "2.jpg", "3.jpg", "sub/4.jpg"), draw(st.permutations("aabb")), strict=True):
        lines.append([path, label, *(["train" if label == "a" else "test"] if split else [])])
    mark, end, encoding = ",", "\n", "utf-8"
    for _ in range(draw(st.integers(0, 2))):
        line = draw(st.sampled_from(lines))
        match draw(
            st.sampled_from(("cell", "cell", "cell", "more", "less", "twice", "column", "mark", "end", "encoding"))
        ):
            case "cell":
                line[draw(st.integers(0, len(line) - 1))] = draw(CELLS)
            case "more":
                line.append(draw(CELLS))
            case "less" if len(line) > 1:
                line.pop()
            case "twice":
                lines.append(list(line))
            case "column":
                lines[0].append(draw(st.sampled_from(HEADERS)))
            case "mark":
                mark = draw(st.sampled_from((";", "\t")))
            case "end":
                end = draw(st.sampled_from(("\r\n", "\n\n", "\r")))
            case "encoding":
                encoding = draw(st.sampled_from(("utf-8-sig", "utf-16", "utf-16-le")))
    return end.join(mark.join(line) for line in lines).encode(encoding, "surrogatepass")


@st.composite
def sound_manifests(draw: st.DrawFn) -> tuple[bytes, dict[str, int]]:
    """Draw a manifest that nothing is wrong with but its spelling, and the images of each class."""
    classes = draw(st.sampled_from((["a", "b"], ["7", "10"], ["caf\u00e9", "x y"])))
    lines, counts = [], dict.fromkeys(classes, 0)
    for number, name in enumerate(draw(st.permutations(classes * 3))):
        path = f"{draw(st.sampled_from(('', './', 'sub/../')))}{number}.png"
        blank = draw(st.sampled_from(("", " ")))
        lines.append(
            f"{blank}{path}{blank},{draw(st.sampled_from(('', ' ')))}{name},{draw(st.sampled_from(('', 'x')))}"
        )
        counts[name] += 1
    header = draw(st.sampled_from(("path,label,note", "Path, Label,note", " PATH ,class,Note")))
    return "\n".join([header, *lines]).encode(draw(st.sampled_from(("utf-8", "utf-8-sig")))), counts


@given(manifests())
@examples(250)
def test_any_manifest_gives_one_image_per_line_or_one_sentence(content: bytes) -> None:
    with somewhere() as place:
        for name in ("1.jpg", "2.jpg", "3.jpg", "sub/4.jpg"):
            (place / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "mine" / name).write_bytes(picture("RGB", name))
        (place / "mine" / "manifest.csv").write_bytes(content)
        images = outcome(lambda: open_dataset(f"folder:{place / 'mine'}", place), place)
        if images is not None:
            lines = [line for line in re.split("[\r\n]+", content.decode("utf-8-sig")) if line]
            assert len(images.labels) == len(lines) - 1


@given(sound_manifests())
@examples(40)
def test_a_manifest_with_nothing_wrong_gives_exactly_its_classes(case: tuple[bytes, dict[str, int]]) -> None:
    content, counts = case
    with somewhere() as place:
        (place / "mine" / "sub").mkdir(parents=True)
        for number in range(6):
            (place / "mine" / f"{number}.png").write_bytes(picture("RGB", "1.png"))
        (place / "mine" / "manifest.csv").write_bytes(content)
        images = outcome(lambda: open_dataset(f"folder:{place / 'mine'}", place), place)
        assert images is not None
        assert dict(zip(images.class_names, np.bincount(images.labels).tolist(), strict=True)) == counts
