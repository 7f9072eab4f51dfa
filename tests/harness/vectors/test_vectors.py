"""Vectors in files: every format comes back as it was written."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray
from safetensors.torch import save_file

from mlrc.harness.vectors.reading import beside, read
from mlrc.harness.vectors.vectors import Vectors
from mlrc.harness.vectors.writing import WRITERS, write
from tests.examples import examples

FORMATS = [suffix for suffix in WRITERS if suffix != ".parquet"]


def needs(suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")


def whole(labels: NDArray[Any], **columns: Any) -> Vectors:
    rows = np.random.default_rng(0).standard_normal((len(labels), 3)).astype(np.float32)
    return Vectors(embeddings=rows, labels=labels, **columns)


def read_back(path: Path, vectors: Vectors) -> Vectors:
    files = write(path, vectors)
    assert files == tuple(one for one in (path, beside(path)) if one)
    return read(path, beside(path))


def same(found: Vectors, written: Vectors) -> None:
    for one in fields(Vectors):
        if one.name in ("found", "unused", "origin"):
            continue
        mine, theirs = getattr(found, one.name), getattr(written, one.name)
        if theirs is None:
            assert mine is None
        else:
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype.kind == theirs.dtype.kind
            assert mine.dtype.isnative


@pytest.mark.parametrize("suffix", list(WRITERS))
@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, -1, 2**63 - 1, -(2**63)]),
        np.array([0, 1, 2**53 + 1, 2**64 - 1], np.uint64),
        np.array(["7", "07", "été", 'a,b"c']),
    ],
    ids=["int64", "uint64", "strings"],
)
def test_what_is_written_is_read(tmp_path: Path, suffix: str, labels: NDArray[Any]) -> None:
    needs(suffix)
    written = whole(
        labels,
        paths=np.array(["a/1.jpg", "a/2.jpg", "b/1, 2.jpg", "b/é.jpg"]),
        test=np.array([False, True, True, True]),
        queries=np.array([False, True, False, False]),
        cameras=np.array(["", "1", "2", "2"]),
        origin={"trunk": "timm:some", "weights": "0f"},
    )
    found = read_back(tmp_path / f"E{suffix}", written)
    same(found, written)
    assert found.unused == ()
    assert found.origin == ({} if suffix in (".npy", ".csv") else written.origin)
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_columns_that_nothing_tells_are_none(tmp_path: Path, suffix: str) -> None:
    needs(suffix)
    written = Vectors(embeddings=np.eye(3, dtype=np.float32))
    same(read_back(tmp_path / f"E{suffix}", written), written)


@settings(examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    rows=arrays_of.arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    suffix=st.sampled_from(FORMATS),
)
def test_every_float32_comes_back_as_it_was(tmp_path: Path, rows: NDArray[np.float32], suffix: str) -> None:
    found = read_back(tmp_path / f"E{suffix}", Vectors(embeddings=rows, labels=np.arange(len(rows))))
    np.testing.assert_array_equal(found.embeddings, rows)
    assert found.embeddings.dtype == np.float32


def test_a_npy_file_is_mapped_and_single_copies_only_other_precisions(tmp_path: Path) -> None:
    np.save(tmp_path / "E.npy", np.eye(3, dtype=np.float32))
    np.save(tmp_path / "D.npy", np.eye(3))
    found = read(tmp_path / "E.npy")
    assert isinstance(found.embeddings, np.memmap)
    assert found.single() is found
    assert read(tmp_path / "D.npy").single().embeddings.dtype == np.float32


def test_a_number_beyond_float32_is_refused_where_float32_is_needed(tmp_path: Path) -> None:
    np.save(tmp_path / "E.npy", np.array([[1.0, 2.0], [1.0, 1e39]]))
    with pytest.raises(ValueError, match=r"E\.npy: the embeddings must be within the range of float32, but row 1"):
        read(tmp_path / "E.npy").single()


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_big_endian_numbers_are_converted(tmp_path: Path, suffix: str) -> None:
    embeddings, labels = np.array([[1.0, 2.0], [3.0, 4.0]], ">f4"), np.array([5, 2**40], ">i8")
    path, beside = tmp_path / f"E{suffix}", tmp_path / "L.npy"
    if suffix == ".npy":
        np.save(path, embeddings)
        np.save(beside, labels)
    else:
        np.savez(path, embeddings=embeddings, labels=labels)
    found = read(path, beside if suffix == ".npy" else None)
    np.testing.assert_array_equal(found.embeddings, [[1, 2], [3, 4]])
    assert found.embeddings.dtype.isnative
    assert found.labels is not None
    assert found.labels.tolist() == [5, 2**40]


def test_bytes_are_utf8_and_others_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "E.npz", embeddings=np.eye(2), labels=np.array(["été".encode(), b"a"]))
    found = read(tmp_path / "E.npz").labels
    assert found is not None
    assert found.tolist() == ["été", "a"]
    np.savez(tmp_path / "E.npz", embeddings=np.eye(2), labels=np.array([b"\xe9t\xe9", b"a"]))
    with pytest.raises(ValueError, match=r"E\.npz: labels of bytes must be UTF-8, but b'\\xe9t\\xe9' is not"):
        read(tmp_path / "E.npz")


def test_files_of_pytorch_and_safetensors_of_strangers_are_read(tmp_path: Path) -> None:
    rows = torch.eye(3, dtype=torch.bfloat16, requires_grad=True)
    torch.save({"features": rows, "targets": torch.tensor([1, 1, 2], dtype=torch.uint8)}, tmp_path / "E.pt")
    torch.save(["b", "b", "c"], tmp_path / "L.pth")
    save_file({"anything": torch.eye(3)}, tmp_path / "E.safetensors")
    found = read(tmp_path / "E.pt")
    assert found.labels is not None
    assert found.labels.tolist() == [1, 1, 2]
    np.testing.assert_array_equal(found.embeddings, np.eye(3))
    labels = read(tmp_path / "E.safetensors", tmp_path / "L.pth").labels
    assert labels is not None
    assert labels.tolist() == ["b", "b", "c"]


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def test_no_file_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(Payload(), "E.pt")
    np.save("E.npy", np.array([Payload()]), allow_pickle=True)
    np.savez("E.npz", embeddings=np.array([Payload()]))
    for name in ("E.pt", "E.npy", "E.npz"):
        with pytest.raises(ValueError, match=rf"{re.escape(name)} must .*cannot be read"):
            read(Path(name))
    assert not Path("ran").exists()


CSV = [
    ("label,path,e0,e1\nb,x.jpg,1,0\nc,y.jpg,0,1\n", ["b", "c"], ()),
    ("label,0,1\n007,1,0\n7,0,1\n", ["007", "7"], ()),
    ("label,0,1\n7,1,0\n-8,0,1\n", [7, -8], ()),
    (" Label ,dim1,dim2\r\n NA ,1,0\r\nnan,0,1\r\n", ["NA", "nan"], ()),
    (",label,f_0,f_1,camera_1\n0,a,1,0,4\n1,b,0,1,5\n", ["a", "b"], ("", "camera_1")),
    ("\ufefflabel,f1,f0\na,0,1\nb,1,0\n", ["a", "b"], ()),
    ("1.0,0.0\n0.0,1.0\n", None, ()),
]


@pytest.mark.parametrize(("text", "labels", "unused"), CSV, ids=[text.split("\n")[0] for text, *_ in CSV])
def test_tables_of_text_are_read(tmp_path: Path, text: str, labels: list[Any] | None, unused: tuple[str, ...]) -> None:
    (tmp_path / "E.csv").write_bytes(text.encode())
    found = read(tmp_path / "E.csv")
    np.testing.assert_array_equal(found.embeddings, np.eye(2))
    assert (None if found.labels is None else found.labels.tolist()) == labels
    assert found.unused == unused


def test_a_list_of_labels_needs_no_header(tmp_path: Path) -> None:
    np.save(tmp_path / "E.npy", np.eye(3))
    for text in ("label\n1\n1\n2\n", "1\n1\n2\n"):
        (tmp_path / "L.csv").write_text(text)
        labels = read(tmp_path / "E.npy", tmp_path / "L.csv").labels
        assert labels is not None
        assert labels.tolist() == [1, 1, 2]
        assert labels.dtype == np.int64


def test_embeddings_in_parquet_are_one_column_of_lists_or_one_column_each(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.DataFrame({"label": pd.Categorical(["a", "b"]), "embedding": [[1.0, 0.0], [0.0, 1.0]]}).to_parquet(
        tmp_path / "lists.parquet"
    )
    wide = pd.DataFrame({"label": [3, 4], "f0": [1.0, 0.0], "f1": [0.0, 1.0], "score": [0.1, 0.2]})
    wide.to_parquet(tmp_path / "wide.parquet")
    for name, labels in (("lists", ["a", "b"]), ("wide", [3, 4])):
        found = read(tmp_path / f"{name}.parquet")
        np.testing.assert_array_equal(found.embeddings, np.eye(2))
        assert found.labels is not None
        assert found.labels.tolist() == labels
    assert found.unused == ("score",)
    pd.DataFrame({"label": ["a", None], "embedding": [[1.0], [0.0]]}).to_parquet(tmp_path / "E.parquet")
    with pytest.raises(ValueError, match=r"must have a value in every row, but label has 1 empty"):
        read(tmp_path / "E.parquet")
    pd.DataFrame({"label": ["a", "b"], "embedding": [[1.0, 2.0], [0.0]]}).to_parquet(tmp_path / "E.parquet")
    with pytest.raises(ValueError, match=r"lists of one length"):
        read(tmp_path / "E.parquet")


def test_some_rows_are_taken_with_all_their_columns() -> None:
    written = whole(
        np.array(["a", "b", "c"]),
        paths=np.array(["1", "2", "3"]),
        test=np.array([False, True, True]),
        queries=np.array([False, False, True]),
        cameras=np.array(["", "x", "y"]),
    )
    assert written.test is not None
    some = written.rows(written.test)
    assert some.labels is not None
    assert some.paths is not None
    assert some.cameras is not None
    assert some.queries is not None
    assert len(some) == 2
    assert (some.labels.tolist(), some.paths.tolist(), some.cameras.tolist(), some.queries.tolist()) == (
        ["b", "c"], ["2", "3"], ["x", "y"], [False, True],
    )  # fmt: skip
