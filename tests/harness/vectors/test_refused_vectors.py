"""Files of vectors that could be read in two ways, do not fit or cannot be written: one sentence each."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlrc.harness.vectors import writing
from mlrc.harness.vectors.reading import read
from mlrc.harness.vectors.vectors import Vectors
from mlrc.harness.vectors.writing import require_writable, write


def whole(labels: NDArray[Any], **columns: Any) -> Vectors:
    rows = np.random.default_rng(0).standard_normal((len(labels), 3)).astype(np.float32)
    return Vectors(embeddings=rows, labels=labels, **columns)


def test_parquet_without_its_package_is_a_sentence_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "E.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImportError, match=r"pip install 'mlrc\[parquet\]'"):
        read(tmp_path / "E.parquet")
    with pytest.raises(ImportError, match=r"pip install 'mlrc\[parquet\]'"):
        write(tmp_path / "F.parquet", whole(np.arange(2)))


TEXTS = [
    ("", r"E\.csv must have a line for each row, but it is empty"),
    ("label;e0;e1\na;1;0\n", r"commas must divide the columns, but semicolons do"),
    ("label,class,e0\na,b,1\n", r"E\.csv must tell everything once, but 'label' and 'class' both mean labels"),
    ("label,e0,e0\na,1,2\n", r"must name every column once, but e0 is there twice"),
    ("label,e0,e2\na,1,2\n", r"must count from 0 or 1 without a gap, but e… do not"),
    ("label,e0,e1,c0,c1\na,1,2,3,4\n", r"one group of numbered columns, the embedding, but has e… \(2\) and c… \(2\)"),
    ("embedding,e0,e1\n1,1,2\n", r"may both be the embedding"),
    ("name,size\na,2\n", r"must tell what each of its columns is, but has name, size"),
    ("label,e0,e1\na,1\n", r"E\.csv, line 2: there must be 3 fields as in line 1, but there are 2"),
    ("label,e0,e1\na,1,2,3\n", r"E\.csv, line 2: there must be 3 fields as in line 1, but there are 4"),
    (
        "label,e0,e1\na,1,x\n",
        r"E\.csv, line 2: the embedding must be numbers, but could not convert string to float: 'x'",
    ),
    ('label,e0\n"a,1\n', r"E\.csv must hold a CSV table, UTF-8, but cannot be read \(unexpected end"),
    ("label,e0,e1\na,1,nan\n", r"E\.csv: the embeddings must be finite, but row 0"),
    ("label,e0,e1\na,1,1e39\n", r"E\.csv: the embeddings must be finite, but row 0"),
    ("label,e0,e1\n,1,2\n", r"E\.csv: every row must have a label, but row 0 has none"),
    ("path,e0,e1\na,1,2\na,1,2\n", r"E\.csv: every path must stand once, but 'a' stands in rows 0 and 1"),
    ("split,e0,e1\nboth,1,2\n", r"E\.csv: split must be train, val, trainval, test, query or gallery, but is 'both'"),
    ("query,e0,e1\nmaybe,1,2\n", r"E\.csv: query must be 1 or 0, but is 'maybe'"),
    ("query,e0,e1\n1,1,2\n1,1,2\n", r"E\.csv: test rows must be some queries and some gallery, but all are one"),
    ("split,query,e0\ntrain,1,1\ntest,0,1\n", r"E\.csv: only a test row can ask, but row 0"),
    ("split,query,e0\ngallery,1,1\nquery,0,1\n", r"E\.csv: split and query contradict each other"),
    ("split,camera,e0\ntrain,,1\ntest,,1\n", r"E\.csv: a test row must have a camera .*, but row 1 has none"),
]


@pytest.mark.parametrize(("text", "sentence"), TEXTS, ids=[sentence for _, sentence in TEXTS])
def test_what_could_be_read_in_two_ways_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "E.csv").write_text(text)
    with pytest.raises(ValueError, match=sentence) as told:
        read(tmp_path / "E.csv")
    assert "\n" not in str(told.value)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("embeddings.npy", b"no array")


BAD: list[tuple[str, Any, str]] = [
    ("E.npz", {"embeddings": np.ones(4)}, r"must have the shape \(images, dim\), but have \(4,\)"),
    ("E.npz", {"embeddings": np.ones((4, 0))}, r"must have the shape \(images, dim\)"),
    ("E.npz", {"embeddings": np.ones((4, 2), int)}, r"must be float16, float32 or float64, but are int64"),
    ("E.npz", {"embeddings": np.array([[1.0], [np.inf]])}, r"E\.npz: the embeddings must be finite, but row 1"),
    ("E.npz", {"embeddings": np.eye(2), "labels": np.arange(3)}, r"an entry of labels for each of the 2 .* has 3"),
    ("E.npz", {"embeddings": np.eye(2), "labels": np.eye(2)}, r"labels must have the shape \(rows,\)"),
    ("E.npz", {"embeddings": np.eye(2), "labels": np.array([0.0, 1.0])}, r"integers or strings, but are float64"),
    ("E.npz", {"embeddings": np.eye(2), "Vectors": np.eye(2)}, r"'embeddings' and 'Vectors' both mean embeddings"),
    ("E.npz", {"a": np.eye(2), "b": np.arange(2)}, r"must tell what each of its arrays is, but holds a, b"),
    ("E.npz", {"labels": np.arange(2)}, r"E\.npz must hold embeddings, but has only labels"),
    ("E.npz", archive, r"E\.npz must hold arrays of numbers or strings, but cannot be read"),
    ("E.npz", b"PK", r"E\.npz must hold arrays of numbers or strings, but cannot be read"),
    ("E.safetensors", b"\0\0", r"E\.safetensors must hold tensors, but cannot be read"),
    ("E.pt", b"\0\0", r"E\.pt must hold a tensor, or a mapping"),
    ("E.xyz", b"", r"must be one of \.npy, .*\.csv, by its suffix, but is .*E\.xyz"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), BAD, ids=[sentence for *_, sentence in BAD])
def test_what_does_not_fit_is_one_sentence_that_names_the_file(
    tmp_path: Path, name: str, content: Any, sentence: str
) -> None:
    path = tmp_path / name
    if isinstance(content, dict):
        np.savez(path, **content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    with pytest.raises(ValueError, match=sentence) as told:
        read(path)
    assert name in str(told.value)
    assert "\n" not in str(told.value)


def test_two_files_must_not_tell_the_same(tmp_path: Path) -> None:
    np.savez(tmp_path / "E.npz", embeddings=np.eye(2), labels=np.arange(2), extra=np.arange(9))
    np.save(tmp_path / "L.npy", np.arange(2))
    with pytest.raises(ValueError, match=r"Only one file must tell labels, but .*E\.npz and .*L\.npy both do"):
        read(tmp_path / "E.npz", tmp_path / "L.npy")
    found = read(tmp_path / "E.npz", tmp_path / "E.npz")
    assert found.unused == ("extra",)
    with pytest.raises(FileNotFoundError, match=r"M\.npy must be there"):
        read(tmp_path / "E.npz", tmp_path / "M.npy")


def test_embeddings_of_a_second_file_are_told_as_not_used(tmp_path: Path) -> None:
    np.save(tmp_path / "E.npy", np.eye(2))
    np.savez(tmp_path / "L.npz", embeddings=np.zeros((2, 9)), labels=np.arange(2))
    found = read(tmp_path / "E.npy", tmp_path / "L.npz")
    np.testing.assert_array_equal(found.embeddings, np.eye(2))
    assert found.unused == (f"embeddings of {tmp_path / 'L.npz'}",)


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "E.npz").mkdir()
    for name, sentence in (
        ("E.npz", "but is a folder"),
        ("no/E.npz", "The folder .*no must be there"),
        ("E", "suffix"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=sentence):
            require_writable(tmp_path / name)


def test_more_strings_than_a_header_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_TEXT", 10)
    with pytest.raises(ValueError, match=r"strings of a \.safetensors must fit into 10 bytes"):
        write(tmp_path / "E.safetensors", whole(np.array(["a long label", "another"])))
