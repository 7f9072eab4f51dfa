"""Any folder and any manifest, through the command line: exactly the images that it names, or one sentence, status 2.

`prepare` goes to its end; `run` goes as far as its first training.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from mlrc.harness.cli import compare
from mlrc.harness.study.comparison import Comparison
from tests.examples import examples
from tests.harness.cli.idle import mlrc
from tests.harness.images.test_any_input import (
    OTHER,
    Drawn,
    folders,
    manifests,
    picture,
    somewhere,
    sound_manifests,
)

SMALL = {
    "resize": "16",
    "crop": "16",
    "folds": "2",
    "batch_size": "2",
    "images_per_class_pairs": "2",
    "embedding_size": "4",
}

MORE = tuple(f"more{number}" for number in range(6))
"""Classes that a run needs beside those that are drawn: two folds of two to train on, and as many to test."""


def _succeeded(result: Result) -> bool:
    """Say whether a command did its work; if not, hold that it told one sentence."""
    if result.exit_code == 0:
        assert result.exception is None
        return True
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    told = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(told) == 1, result.stderr
    assert result.stderr.rstrip().endswith(told[0])
    assert told[0].endswith(".")
    assert "codec can't" not in told[0]
    return False


def _prepared(place: Path, path: Path) -> tuple[int, int, list[str]] | None:
    """Give the images, the classes and what was left out that `mlrc prepare` tells, or nothing where it refuses."""
    result = mlrc("prepare", f"folder:{path}", "--root", place, "--protocol", "quick")
    if not _succeeded(result):
        return None
    counted = re.search(r": (\d+) images, (\d+) classes\n", result.stdout)
    assert counted is not None
    return int(counted[1]), int(counted[2]), re.findall("^left out (.*)$", result.stdout, re.MULTILINE)


def _compared(place: Path, path: Path) -> Comparison | None:
    """Give the comparison that `mlrc run` would train, or nothing where it refuses."""
    seen: list[Comparison] = []
    words = ["--losses", "contrastive", "--protocol", "quick", "--dataset", f"folder:{path}", "--device", "cpu"]
    changes = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    with patch.object(compare, "carry_out", lambda comparison, *_, **__: seen.append(comparison)):
        result = mlrc("run", *words, *changes, "--root", place, "--runs", place / "runs")
    assert _succeeded(result) == bool(seen)
    assert not (place / "runs").exists()
    return seen[0] if seen else None


@contextmanager
def _folder(drawn: Drawn) -> Iterator[tuple[Path, Path]]:
    with somewhere() as place:
        (place / "mine").mkdir()
        drawn.write(place / "mine")
        yield place, place / "mine"


@contextmanager
def _listed(content: bytes, names: tuple[str, ...]) -> Iterator[tuple[Path, Path]]:
    with somewhere() as place:
        for name in names:
            (place / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "mine" / name).write_bytes(picture("RGB", name))
        (place / "mine" / "manifest.csv").write_bytes(content)
        yield place, place / "mine"


def _with_more(content: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Give a manifest with lines for more classes, and the files that these name."""
    names = tuple(f"{label}/{number}.png" for label in MORE for number in range(2))
    lines = [f"{name},{name[:5]},{'test' if name[:5] in MORE[4:] else 'train'}" for name in names]
    return b"\n".join([content, *(line.encode() for line in lines)]), names


def _lines(content: bytes) -> int:
    return len([line for line in re.split("[\r\n]+", content.decode("utf-8-sig")) if line]) - 1


@given(folders())
@examples(60)
def test_prepare_counts_the_images_of_any_folder_or_refuses_it(drawn: Drawn) -> None:
    with _folder(drawn) as (place, path):
        found = _prepared(place, path)
        if found is None or drawn.links:
            return
        images, classes, left_out = found
        counts = drawn.visible()
        assert images == sum(counts.values())
        sides = {"train", "test", "query", "gallery"}
        assert classes == len(counts) or set(counts) <= sides
        beside = [name for name in drawn.files if name == "stray.jpg" or name.rpartition("/")[2] in OTHER]
        told = [one.rpartition(": ")[0] for one in left_out]
        assert all(any(f"{name}/".startswith(f"{one}/") for one in told) for name in beside)


@given(manifests())
@examples(80)
def test_prepare_counts_one_image_per_line_of_any_manifest_or_refuses_it(content: bytes) -> None:
    with _listed(content, ("1.jpg", "2.jpg", "3.jpg", "sub/4.jpg")) as (place, path):
        found = _prepared(place, path)
        assert found is None or found[0] == _lines(content)


@given(folders())
@examples(25)
def test_a_run_trains_on_exactly_the_images_of_a_folder_or_refuses_it(drawn: Drawn) -> None:
    for name in MORE:
        drawn.files |= {f"{name}/{file}": picture("RGB", file) for file in ("3.png", "4.bmp")}
    with _folder(drawn) as (place, path):
        comparison = _compared(place, path)
        if comparison is not None and not drawn.links:
            assert len(comparison.images.labels) == sum(drawn.visible().values())


@given(manifests())
@examples(40)
def test_a_run_trains_on_exactly_the_lines_of_a_manifest_or_refuses_it(content: bytes) -> None:
    content, names = _with_more(content)
    with _listed(content, ("1.jpg", "2.jpg", "3.jpg", "sub/4.jpg", *names)) as (place, path):
        comparison = _compared(place, path)
        assert comparison is None or len(comparison.images.labels) == _lines(content)


@given(sound_manifests(), st.booleans())
@examples(12)
def test_a_run_trains_on_each_class_of_a_sound_manifest(case: tuple[bytes, dict[str, int]], enough: bool) -> None:
    content, counts = case
    names: tuple[str, ...] = ()
    if enough:
        content, names = _with_more(content)
        counts = {**counts, **dict.fromkeys(MORE, 2)}
    with _listed(content, (*(f"{number}.png" for number in range(6)), "sub/0.png", *names)) as (place, path):
        comparison = _compared(place, path)
        assert (comparison is not None) == enough  # one class to train on cannot be divided into two folds
        if comparison is not None:
            images = comparison.images
            assert dict(zip(images.class_names, np.bincount(images.labels).tolist(), strict=True)) == counts
