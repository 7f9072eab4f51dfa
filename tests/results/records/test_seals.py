"""Per-class sums that are not what was written are refused with a sentence; those of older files are still read."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mlrc.results.records.per_class import PER_CLASS, PerClassFiles, sealed

SUMS: dict[str, NDArray[np.generic]] = {"classes": np.arange(3), "separated/P@1": np.array([1.0, -2.0, 3.0])}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / PER_CLASS).mkdir()
    return tmp_path / PER_CLASS / "0123456789abcdef.npz"


def _write(path: Path, sums: dict[str, NDArray[np.generic]]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **sums)


def test_what_was_written_is_read_with_and_without_a_digest(path: Path) -> None:
    for content in (SUMS, sealed(path.stem, SUMS)):
        _write(path, content)
        found = PerClassFiles(path.parents[1])[path.stem]
        assert found.keys() == SUMS.keys()
        np.testing.assert_array_equal(found["separated/P@1"], SUMS["separated/P@1"])


def _change(path: Path) -> None:
    changed: dict[str, NDArray[np.generic]] = {**SUMS, "separated/P@1": np.array([1.0, 2.0, -1.0])}
    _write(path, {**changed, "digest": sealed(path.stem, SUMS)["digest"]})


def _flip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("classes.npy")
    content = bytearray(path.read_bytes())
    begins = (
        member.header_offset
        + 30
        + sum(
            int.from_bytes(content[member.header_offset + at : member.header_offset + at + 2], "little")
            for at in (26, 28)
        )
    )  # behind the name and the extra field
    content[begins + member.compress_size // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_change, id="numbers changed"),
        pytest.param(_flip, id="a bit flipped"),
        pytest.param(lambda path: _write(path, sealed("another run", SUMS)), id="of another run"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-50]), id="truncated"),
    ],
)
def test_what_was_not_written_so_is_refused_in_a_sentence(path: Path, damage: Callable[[Path], object]) -> None:
    _write(path, sealed(path.stem, SUMS))
    damage(path)
    with pytest.raises(ValueError, match=r"must be a whole npz file, but cannot be read .* restore it from a copy"):
        PerClassFiles(path.parents[1])[path.stem]
