"""`mlrc evaluate` without its words: files in, numbers out, and one sentence for each thing that can be wrong."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlrc.harness.metrics.clustering import ClusterBackend, clustering_scores
from mlrc.harness.metrics.evaluate import bytes_of, evaluate
from mlrc.harness.metrics.retrieval import retrieval


@pytest.fixture
def labels() -> NDArray[np.int64]:
    return np.append(np.repeat(np.arange(12), 10), 99)


@pytest.fixture
def embeddings(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    random = np.random.default_rng(0)
    rows = random.standard_normal((100, 8))[labels] + random.standard_normal((len(labels), 8))
    return rows.astype(np.float32)


def saved(folder: Path, **arrays: NDArray[Any]) -> list[Path]:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return [folder / f"{name}.npy" for name in arrays]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("names", [False, True])
def test_files_of_every_precision_and_kind_of_label_give_the_metrics(
    tmp_path: Path, embeddings: NDArray[Any], labels: NDArray[Any], dtype: type, names: bool
) -> None:
    of_image = np.array([f"bird {label}" for label in labels]) if names else labels.astype(np.int32)
    files = saved(tmp_path, E=embeddings.astype(dtype), L=of_image)
    found = evaluate(files[0], files[1], cuts=(1, 4))
    cuts: dict[str, Any] = dict.fromkeys(("ndcg_at", "recall_at", "map_at", "precision_at"), (1, 4))
    expected = retrieval(embeddings.astype(dtype), labels, **cuts)
    assert found.metrics == expected.means()
    assert (found.queries, found.left_out, found.gallery, found.classes, found.dim) == (120, 1, 121, 12, 8)


def test_queries_are_searched_in_a_gallery(tmp_path: Path, embeddings: NDArray[Any], labels: NDArray[Any]) -> None:
    files = saved(tmp_path, E=embeddings[:60], L=labels[:60], G=embeddings[60:], M=labels[60:] - 3)
    found = evaluate(files[0], files[1], gallery_embeddings=files[2], gallery_labels=files[3], backend="faiss")
    expected = retrieval(
        embeddings[:60], labels[:60], gallery_embeddings=embeddings[60:], gallery_labels=labels[60:] - 3
    )
    assert found.metrics["RP"] == expected.means()["RP"]
    assert found.left_out == 30
    assert found.gallery == 61


def test_the_json_holds_the_numbers_in_full_and_their_evidence(
    tmp_path: Path, embeddings: NDArray[Any], labels: NDArray[Any]
) -> None:
    found = evaluate(*saved(tmp_path, E=embeddings, L=labels))
    content = json.loads(found.to_json())
    assert content["metrics"] == found.metrics
    assert content["left_out"] == 1
    assert set(content["versions"]) == {"mlrc", "numpy", "torch"}


def test_notes_name_what_was_left_out_and_what_indices_decided(tmp_path: Path) -> None:
    tied = evaluate(*saved(tmp_path, E=np.ones((5, 2)), L=np.array([0, 0, 1, 1, 2])))
    assert tied.notes() == [
        "4 queries of 2 classes among 5 images, 2 dimensions.",
        "1 queries without a positive are left out.",
        "In 4 queries a positive and a negative are equally similar: the lower index came first.",
    ]
    apart = evaluate(*saved(tmp_path, E=np.eye(2)[[0, 0, 1, 1]], L=np.array([0, 0, 1, 1])))
    assert len(apart.notes()) == 1


@pytest.mark.parametrize("backend", ["faiss", "scikit-learn"])
def test_clusters_of_perfect_embeddings_are_the_classes(backend: ClusterBackend) -> None:
    labels = np.repeat(["a", "b", "c", "d"], 20)
    perfect = np.eye(4)[np.repeat(np.arange(4), 20)]
    perfect[:, 0] += 1e-3 * np.arange(80)
    # One start of k-means may take two centres from one class; the best of a few does not.
    scores = [clustering_scores(perfect, labels, seed=seed, backend=backend) for seed in range(8)]
    assert max(score["NMI"] for score in scores) == pytest.approx(100)
    assert max(score["AMI"] for score in scores) == pytest.approx(100)


def test_clustering_is_off_unless_asked_for(tmp_path: Path, embeddings: NDArray[Any], labels: NDArray[Any]) -> None:
    files = saved(tmp_path, E=embeddings, L=labels)
    assert "NMI" not in evaluate(*files).metrics
    random_ami = clustering_scores(np.random.default_rng(0).standard_normal(embeddings.shape), labels)["AMI"]
    found = evaluate(*files, clustering=True).metrics
    assert found["AMI"] > random_ami + 20
    assert 0 < found["AMI"] < found["NMI"] < 100


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npy must be there"):
        evaluate(tmp_path / "nowhere.npy", tmp_path / "nowhere.npy")


@pytest.mark.parametrize("kind", ["text", "objects", "archive", "cut short"])
def test_a_file_that_is_no_array_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "E.npy"
    if kind == "text":
        path.write_text("0.1 0.2")
    elif kind == "objects":
        np.save(path, np.array(["a", None], dtype=object))
    elif kind == "archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("E.npy", b"")
    else:
        np.save(path, np.ones((100, 4)))
        path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"E\.npy must be a \.npy file of numbers or strings"):
        evaluate(path, path)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("800000", 800000), ("512M", 2**29), ("1.5 GB", 3 * 2**29), ("2gib", 2**31), ("64K", 2**16), ("10B", 10)],
)
def test_sizes_of_memory_are_read(size: str, expected: int) -> None:
    assert bytes_of(size) == expected


@pytest.mark.parametrize("size", ["", "much", "-1", "1X", "1 2"])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="must look like 512M or 2G"):
        bytes_of(size)


def test_the_cap_reaches_the_search(tmp_path: Path, embeddings: NDArray[Any], labels: NDArray[Any]) -> None:
    files = saved(tmp_path, E=embeddings, L=labels)
    assert evaluate(*files, memory="1M").metrics == evaluate(*files).metrics
    with pytest.raises(ValueError, match="at least 1048576 bytes"):
        evaluate(*files, memory="1K")


def test_a_device_that_is_not_there_is_named(tmp_path: Path, embeddings: NDArray[Any], labels: NDArray[Any]) -> None:
    files = saved(tmp_path, E=embeddings, L=labels)
    assert evaluate(*files, device="auto").metrics == evaluate(*files).metrics
    with pytest.raises(ValueError, match="The device 'abacus' cannot be used here"):
        evaluate(*files, device="abacus")
