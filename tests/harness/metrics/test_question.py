"""Which rows of files ask which: by their columns, by a gallery, and without the queries that the gallery includes."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlrc.harness.metrics.evaluate import evaluate
from mlrc.harness.metrics.question import Split
from mlrc.harness.metrics.ranking.nearest import NONE
from mlrc.harness.metrics.retrieval import retrieval
from mlrc.harness.vectors.vectors import Vectors
from mlrc.harness.vectors.writing import WRITERS, write
from tests.harness.cli.idle import mlrc, refused

LABELS = np.arange(12).repeat(8)


@pytest.fixture
def rows() -> NDArray[np.float32]:
    random = np.random.default_rng(5)
    return (random.standard_normal((12, 8))[LABELS] + random.standard_normal((96, 8))).astype(np.float32)


@pytest.fixture
def whole(rows: NDArray[np.float32]) -> Vectors:
    """Classes 0 to 5 are trainval; of the others every fourth image asks; cameras alternate."""
    test = LABELS >= 6
    return Vectors(
        embeddings=rows,
        labels=np.array([f"class {label:02d}" for label in LABELS]),
        paths=np.array([f"{label}/{place}.jpg" for place, label in enumerate(LABELS)]),
        test=test,
        queries=test & (np.arange(96) % 4 == 0),
        cameras=np.array([f"camera {place % 3}" for place in range(96)]),
    )


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_the_columns_of_one_file_of_any_format_say_who_asks_whom(tmp_path: Path, whole: Vectors, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    files = write(tmp_path / f"E{suffix}", whole)
    found = evaluate(*files)
    assert whole.test is not None
    assert whole.queries is not None
    asks, searched = whole.queries, whole.test & ~whole.queries
    cameras = np.arange(96) % 3
    expected = retrieval(
        whole.embeddings[asks],
        LABELS[asks],
        gallery_embeddings=whole.embeddings[searched],
        gallery_labels=LABELS[searched],
        cameras=cameras[asks],
        gallery_cameras=cameras[searched],
        recall_at=(1, 10),
    ).means()
    assert {name: found.metrics[name] for name in expected} == expected
    assert (found.queries, found.gallery, found.classes) == (12, 36, 6)
    assert f"Of the 96 rows of {' with '.join(map(str, files))} the 48 on the side test count." in found.notes()


def test_another_side_is_measured_by_name_and_each_row_asks_all_others(tmp_path: Path, whole: Vectors) -> None:
    (path,) = write(tmp_path / "E.npz", whole)
    sides: dict[Split, NDArray[np.bool_]] = {"trainval": LABELS < 6, "all": LABELS >= 0}
    for split, rows_ in sides.items():
        found = evaluate(path, split=split)
        expected = retrieval(whole.embeddings[rows_], LABELS[rows_]).means()
        assert found.metrics["MAP@R"] == expected["MAP@R"]
    with pytest.raises(ValueError, match=r"--split needs to know the sides, but the array given has no column split"):
        evaluate(whole.embeddings, LABELS, split="test")


def test_a_query_in_the_gallery_is_told_and_left_out_by_its_path(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    paths = np.array([f"{place}.jpg" for place in range(96)])
    order = np.random.default_rng(1).permutation(96)
    gallery = Vectors(embeddings=rows[order], labels=LABELS[order], paths=paths[order])
    (all_of_them,) = write(tmp_path / "G.npz", gallery)
    some = Vectors(embeddings=rows[:50], labels=LABELS[:50], paths=paths[:50])
    (queries,) = write(tmp_path / "Q.csv", some)
    told = evaluate(queries, gallery_embeddings=all_of_them)
    assert told.metrics["P@1"] == 100
    assert any("50 queries are in the gallery, too, and find themselves" in note for note in told.notes())
    found = evaluate(queries, gallery_embeddings=all_of_them, gallery_includes_queries=True)
    expected = 100 * retrieval(rows, LABELS).per_query["MAP@R"][:50]
    np.testing.assert_allclose(found.findings.per_query["MAP@R"], expected, rtol=0, atol=1e-12)
    assert "50 queries are in the gallery, too; each is left out of its own ranking." in found.notes()


def test_one_file_or_array_for_both_is_known_by_its_rows(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    np.save(tmp_path / "E.npy", rows)
    np.save(tmp_path / "L.npy", LABELS)
    expected = evaluate(rows, LABELS).metrics
    for embeddings, labels in ((tmp_path / "E.npy", tmp_path / "L.npy"), (rows, LABELS)):
        told = evaluate(embeddings, labels, gallery_embeddings=embeddings, gallery_labels=labels)
        assert told.metrics["P@1"] == 100
        assert any("96 queries are in the gallery, too, and find themselves" in note for note in told.notes())
        found = evaluate(
            embeddings,
            labels,
            gallery_embeddings=embeddings,
            gallery_labels=labels,
            gallery_includes_queries=True,
        )
        assert found.metrics == expected


def test_equal_embeddings_are_told_and_never_left_out(rows: NDArray[np.float32]) -> None:
    copy = rows.copy()
    told = evaluate(rows[:5], LABELS[:5], gallery_embeddings=copy, gallery_labels=LABELS)
    assert told.metrics["P@1"] == 100
    assert any("5 queries have an equal embedding in the gallery" in note for note in told.notes())
    with pytest.raises(ValueError, match=r"must be known by paths, or by one file for both"):
        evaluate(rows[:5], LABELS[:5], gallery_embeddings=copy, gallery_labels=LABELS, gallery_includes_queries=True)
    apart = evaluate(rows[:5], LABELS[:5], gallery_embeddings=rows[5:], gallery_labels=LABELS[5:])
    assert len(apart.remarks) == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"gallery_labels": LABELS}, "A gallery with labels must have embeddings, but none were given"),
        ({"gallery_includes_queries": True}, "A gallery with queries among it must have embeddings"),
        ({"labels": None}, "Every row must have a label, but none were given"),
        ({"neighbours": -1}, r"neighbours must lie in \[0, 1000000\], but got -1"),
        ({"neighbours": 10**12}, r"neighbours must lie in"),
        ({"cuts": [10**12]}, r"at most 1000000, but 1000000000000 was given"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(rows: NDArray[np.float32], given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        evaluate(**{"embeddings": rows, "labels": LABELS, **given})


def test_a_file_that_divides_itself_takes_no_other_gallery(tmp_path: Path, whole: Vectors) -> None:
    (path,) = write(tmp_path / "E.npz", whole)
    with pytest.raises(ValueError, match="must not divide itself into queries and gallery where another gallery"):
        evaluate(path, gallery_embeddings=path)
    np.save(tmp_path / "L.npy", LABELS)
    with pytest.raises(ValueError, match=r"Only one file must tell labels"):
        evaluate(path, tmp_path / "L.npy")
    with pytest.raises(ValueError, match=r"Only one must tell labels"):
        evaluate(path, LABELS)
    with pytest.raises(ValueError, match=r"must both have a column camera or neither"):
        evaluate(whole.embeddings, LABELS, gallery_embeddings=_without_queries(tmp_path, whole))


def _without_queries(folder: Path, whole: Vectors) -> Path:
    told = Vectors(embeddings=whole.embeddings, labels=LABELS, cameras=whole.cameras)
    return write(folder / "G.npz", told)[0]


def test_what_was_found_is_written_as_the_metrics_have_it(
    tmp_path: Path, whole: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("E.npz"), whole)
    options = ["--k=1,4", "--neighbours=N.csv", "--per-query=Q.csv", "--per-class=C.csv"]
    assert mlrc("evaluate", "--embeddings=E.npz", *options).exit_code == 0
    found = evaluate("E.npz", cuts=(1, 4), neighbours=4)
    queries, classes, neighbours = (
        list(csv.DictReader(Path(name).read_text().splitlines())) for name in ("Q.csv", "C.csv", "N.csv")
    )
    assert list(queries[0])[:4] == ["query", "label", "path", "positives"]
    for name, mean in found.metrics.items():
        assert np.mean([float(row[name]) for row in queries]) == pytest.approx(mean, abs=1e-12)
        weighted = [float(row[name]) * int(row["queries"]) for row in classes]
        assert sum(weighted) / found.queries == pytest.approx(mean, abs=1e-12)
    assert whole.paths is not None
    assert [row["path"] for row in queries] == [whole.paths[int(row["query"])] for row in queries]
    assert [row["label"] for row in classes] == [f"class {label:02d}" for label in range(6, 12)]
    hits = [float(row["relevant"]) for row in neighbours if row["rank"] == "1"]
    assert 100 * np.mean(hits) == pytest.approx(found.metrics["P@1"])
    units = whole.embeddings.astype(np.float64)
    units /= np.linalg.norm(units, axis=1)[:, None]
    assert len(neighbours) == 12 * 4
    for row in neighbours:
        one, other = int(row["query"]), int(row["index"])
        assert float(row["similarity"]) == pytest.approx(units[one] @ units[other], abs=1e-7)
        assert (row["query_path"], row["path"]) == (whole.paths[one], whole.paths[other])
        assert row["relevant"] == str(int(LABELS[one] == LABELS[other]))


def test_neighbours_in_arrays_are_a_row_per_query(tmp_path: Path, rows: NDArray[np.float32]) -> None:
    np.savez(tmp_path / "E.npz", embeddings=rows[:6], labels=LABELS[:6])
    out = tmp_path / "N.npz"
    done = mlrc("evaluate", f"--embeddings={tmp_path}/E.npz", "--k=10", f"--neighbours={out}", "--json")
    assert json.loads(done.stdout)["queries"] == 6
    with np.load(out) as written:
        assert written["indices"].shape == (6, 5)
        assert NONE not in written["indices"]
        assert written["relevant"].all()
        assert (np.diff(written["similarities"], axis=1) <= 0).all()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--per-query=Q.txt"], "A table must be one of .csv, .npz, .parquet, by its suffix, but is Q.txt"),
        (["--per-query=nowhere/Q.csv"], "The folder nowhere must be there"),
        (["--per-query=Q.csv", "--per-class=./Q.csv"], "must be files of their own"),
        (["--neighbours=E.npz"], "must be files of their own"),
        (["--split=trainval"], "has no column split"),
        (["--gallery-includes-queries"], "must have embeddings"),
    ],
)
def test_where_nothing_can_be_written_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("E.npz", embeddings=np.eye(4, dtype=np.float32), labels=[0, 0, 1, 1])
    refused(mlrc("evaluate", "--embeddings=E.npz", *words), sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["E.npz"]
