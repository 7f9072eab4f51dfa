"""Anyone's embeddings by Euclidean distance: the metrics, the neighbours with their distances, what is refused."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from mlrc.harness.cli import app
from mlrc.harness.metrics.evaluate import evaluate
from mlrc.harness.metrics.retrieval import retrieval

ROWS = np.random.default_rng(3).standard_normal((60, 6)).astype(np.float32) * np.linspace(0.1, 9, 60)[:, None]
EMBEDDINGS = ROWS.astype(np.float32)
LABELS = np.repeat(np.arange(12), 5)


def _distances(queries: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float64]:
    apart = queries[:, None].astype(np.float64) - gallery[None].astype(np.float64)
    return np.asarray(np.sqrt((apart**2).sum(axis=2)))


@pytest.mark.parametrize("backend", ["torch", "faiss"])
def test_metrics_and_neighbours_are_those_of_the_distances(backend: Literal["torch", "faiss"]) -> None:
    if backend == "faiss":
        pytest.importorskip("faiss")
    found = evaluate(EMBEDDINGS, LABELS, similarity="euclidean", neighbours=4, backend=backend)
    expected = retrieval(EMBEDDINGS, LABELS, similarity="euclidean", recall_at=(1, 10)).means()
    assert found.metrics["MAP@R"] == expected["MAP@R"]
    assert found.metrics["MAP@R"] != evaluate(EMBEDDINGS, LABELS).metrics["MAP@R"]
    assert found.similarity == "euclidean"
    assert any("Euclidean" in note for note in found.notes())
    neighbours = found.findings.neighbours
    assert neighbours is not None
    assert neighbours.similarities is None
    assert neighbours.distances is not None
    apart = _distances(EMBEDDINGS, EMBEDDINGS)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_array_equal(neighbours.indices, apart.argsort(axis=1, kind="stable")[:, :4])
    np.testing.assert_allclose(neighbours.distances, np.sort(apart, axis=1)[:, :4], atol=1e-5)


def test_distances_to_a_gallery_are_in_the_units_of_the_embeddings() -> None:
    queries, gallery = np.array([[0.0, 3.0], [4.0, 0.0]]), np.array([[0.0, 0.0], [4.0, 3.0], [4.0, 0.0]])
    found = evaluate(
        queries, [0, 1], gallery_embeddings=gallery, gallery_labels=[0, 1, 1], similarity="euclidean", neighbours=5
    )
    neighbours = found.findings.neighbours
    assert neighbours is not None
    assert neighbours.distances is not None
    assert neighbours.indices.tolist() == [[0, 1, 2], [2, 1, 0]]
    assert neighbours.distances.tolist() == [[3, 4, 5], [0, 3, 4]]
    assert list(neighbours.table()) == ["query", "rank", "index", "distance", "relevant"]
    assert set(neighbours.arrays()) == {"queries", "indices", "distances", "relevant"}


def test_the_command_writes_distances_and_refuses_clusters(tmp_path: Path) -> None:
    np.savez(tmp_path / "E.npz", embeddings=EMBEDDINGS, labels=LABELS)
    words = ["evaluate", "--embeddings", str(tmp_path / "E.npz"), "--similarity", "euclidean"]
    told = CliRunner().invoke(app, [*words, "--neighbours", str(tmp_path / "N.csv")])
    assert told.exit_code == 0, told.output
    assert (tmp_path / "N.csv").read_text(encoding="utf-8").startswith("query,rank,index,distance,relevant\n")
    refused = CliRunner().invoke(app, [*words, "--clustering"])
    assert refused.exit_code == 2
    assert "leave out one of --clustering and --similarity euclidean" in " ".join(refused.output.split())


def test_embeddings_that_one_grid_cannot_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="scale them all alike"):
        evaluate(np.array([[1e200, 0.0], [1.0, 0.0]]), [0, 0], similarity="euclidean")
