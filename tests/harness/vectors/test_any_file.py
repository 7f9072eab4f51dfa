"""Whatever a file holds, it is vectors or one sentence: damaged files, and text that is almost a table."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrc.harness.vectors.reading import READERS, read
from mlrc.harness.vectors.vectors import Vectors
from mlrc.harness.vectors.writing import write
from tests.examples import examples

CELLS = st.sampled_from(
    ["0", "1", "2.5", "nan", "1e400", "", " ", "a", "é", "0x1", "-", '"', "label", "path", "e0", "e1"]
)
NAMES = st.sampled_from(
    ["label", "class", "path", "split", "query", "camera", "e0", "e1", "e2", "0", "1", "x", "", "x7"]
)


@cache
def whole(suffix: str) -> bytes:
    """Give the bytes of a good file."""
    vectors = Vectors(
        embeddings=np.arange(12, dtype=np.float32).reshape(4, 3),
        labels=np.array(["a", "a", "b", "b"]),
        paths=np.array(["1", "2", "3", "4"]),
        test=np.array([False, False, True, True]),
    )
    with TemporaryDirectory() as folder:
        return write(Path(folder) / f"E{suffix}", vectors)[0].read_bytes()


def is_vectors_or_a_sentence(suffix: str, content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"E{suffix}"
        path.write_bytes(content)
        told = ""
        try:
            found = read(path)
        except ValueError as error:
            told = str(error)
        if told:
            assert str(path) in told
            assert "\n" not in told
            return
        assert found.embeddings.ndim == 2
        assert np.isfinite(found.embeddings).all()
        assert found.labels is None or len(found.labels) == len(found)


@examples(300)
@given(
    suffix=st.sampled_from([suffix for suffix in READERS if suffix not in (".pth", ".parquet")]),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3),
    cut=st.floats(0.2, 1) | st.just(1.0),
)
def test_a_damaged_file_is_vectors_or_a_sentence(suffix: str, changes: list[tuple[float, int]], cut: float) -> None:
    content = bytearray(whole(suffix))
    for place, byte in changes:
        content[min(int(place * len(content)), len(content) - 1)] = byte
    is_vectors_or_a_sentence(suffix, bytes(content[: int(cut * len(content))]))


@examples(60)
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3), cut=st.floats(0.2, 1))
def test_a_damaged_table_of_parquet_is_vectors_or_a_sentence(changes: list[tuple[float, int]], cut: float) -> None:
    pytest.importorskip("pyarrow")
    content = bytearray(whole(".parquet"))
    for place, byte in changes:
        content[min(int(place * len(content)), len(content) - 1)] = byte
    is_vectors_or_a_sentence(".parquet", bytes(content[: int(cut * len(content))]))


@examples(300)
@given(
    header=st.lists(NAMES, max_size=5),
    rows=st.lists(st.lists(CELLS, max_size=5), max_size=4),
    end=st.sampled_from(["\n", "\r\n", "\r", ""]),
)
def test_a_table_of_text_is_vectors_or_a_sentence(header: list[str], rows: list[list[str]], end: str) -> None:
    is_vectors_or_a_sentence(".csv", end.join(",".join(row) for row in [header, *rows]).encode())


@pytest.mark.parametrize("suffix", list(READERS))
def test_nothing_and_noise_are_a_sentence(suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    for content in (b"", b"\xff\xfe\x00", bytes(range(256)) * 3):
        is_vectors_or_a_sentence(suffix, content)
