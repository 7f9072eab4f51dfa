"""The metrics against their definition in slow loops, the worked examples, and what must hold whatever the numbers."""

from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlrc.harness.metrics.retrieval import Retrieval, retrieval, values
from mlrc.results.boards.papers import read_papers
from mlrc.results.publishing.place import PUBLISHED
from tests.examples import examples
from tests.harness.metrics.slow_retrieval import slow_retrieval

CUTS = st.sampled_from(((1,), (1, 3), (1, 3, 10, 200)))
KINDS = ("random", "tied", "duplicated", "collapsed", "nearly collapsed", "one direction", "with zero vectors")


def embeddings_of(kind: str, images: int, dim: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Make embeddings that are hard to rank in the given way."""
    if kind == "tied":
        return random.integers(-1, 2, (images, dim)).astype(np.float64)
    if kind == "duplicated":
        few = max(1, images // 5)
        return random.standard_normal((few, dim))[random.integers(0, few, images)]
    if kind == "collapsed":
        return np.ones((images, dim)) * random.standard_normal(dim)
    if kind == "nearly collapsed":
        return 1 + 1e-7 * random.standard_normal((images, dim))
    if kind == "one direction":
        return np.hstack([random.standard_normal((images, 1)), 1e-4 * random.standard_normal((images, dim))])
    rows = random.standard_normal((images, dim))
    if kind == "with zero vectors":
        rows[random.random(images) < 0.3] = 0
    return rows


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Draw embeddings and labels, unbalanced classes and classes of one image among them, with or without a gallery."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind, dim = draw(st.sampled_from(KINDS)), draw(st.integers(1, 6))
    dtype = draw(st.sampled_from((np.float16, np.float32, np.float64)))
    classes = draw(st.integers(1, 8))

    def some(least: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        images = draw(st.integers(least, 60))
        labels = np.minimum(random.geometric(0.4, images) - 1, classes - 1)
        return embeddings_of(kind, images, dim, random).astype(dtype), labels

    embeddings, labels = some(2)
    case = {"embeddings": embeddings, "labels": labels}
    if draw(st.booleans()):
        case["gallery_embeddings"], case["gallery_labels"] = some(1)
    return case


@given(cases(), CUTS, st.sampled_from(("torch", "faiss")))
@examples(300)
def test_every_metric_equals_its_definition_in_slow_loops(
    case: dict[str, Any], ks: tuple[int, ...], backend: Any
) -> None:
    expected = slow_retrieval(case["embeddings"], list(case["labels"]), ks, *list(case.values())[2:])
    cuts: dict[str, Any] = {"ndcg_at": ks, "recall_at": ks, "map_at": ks, "precision_at": ks}
    ties = expected.pop("tied")
    if not ties:
        with pytest.raises(ValueError, match="must have a positive"):
            retrieval(**case, **cuts, backend=backend)
        return
    found = retrieval(**case, **cuts, backend=backend)
    assert found.left_out == len(case["labels"]) - len(expected["RP"])
    assert found.tied == sum(ties)
    assert set(found.per_query) == set(expected)
    for name, by_query in found.per_query.items():
        np.testing.assert_allclose(by_query, expected[name], rtol=0, atol=1e-12, err_msg=name)
        assert found.means()[name] == pytest.approx(100 * np.mean(expected[name]), abs=1e-9)


@given(cases(), CUTS, st.sampled_from(("torch", "faiss")), st.integers(1, 4), st.integers(0, 2**32 - 1))
@examples(200)
def test_without_the_images_of_a_query_s_class_and_camera_every_metric_equals_its_definition(
    case: dict[str, Any], ks: tuple[int, ...], backend: Any, cameras: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    of_queries = random.integers(0, cameras, len(case["labels"]))
    of_gallery = random.integers(0, cameras, len(case["gallery_labels"])) if "gallery_labels" in case else None
    told: dict[str, Any] = {"cameras": of_queries, "gallery_cameras": of_gallery}
    labels = case["labels"]
    slowly: dict[str, Any] = {**case, **told}
    expected = slow_retrieval(cuts=ks, **slowly)
    cuts: dict[str, Any] = {"ndcg_at": ks, "recall_at": ks, "map_at": ks, "precision_at": ks}
    ties = expected.pop("tied")
    if not ties:
        with pytest.raises(ValueError, match="must have a positive"):
            retrieval(**case, **told, **cuts, backend=backend)
        return
    found = retrieval(**case, **told, **cuts, backend=backend)
    assert found.left_out == len(labels) - len(expected["RP"])
    assert found.tied == sum(ties)
    for name, by_query in found.per_query.items():
        np.testing.assert_allclose(by_query, expected[name], rtol=0, atol=1e-12, err_msg=name)


def test_cameras_of_some_images_alone_are_refused() -> None:
    images, labels = np.eye(4), [0, 0, 1, 1]
    with pytest.raises(ValueError, match="a camera for each of the 4 images of queries and gallery"):
        retrieval(images, labels, cameras=np.arange(3))
    with pytest.raises(ValueError, match="a camera for each of the 4 and 4 images of queries and gallery"):
        retrieval(images, labels, gallery_embeddings=images, gallery_labels=labels, cameras=np.arange(4))


@pytest.mark.parametrize(
    ("ranked", "precision", "map_at_r", "map_at_10", "ndcg"),
    [
        ("1000000000", 10, 25, 10, 39.0380),
        ("1000000001", 20, 25, 12, 50.3225),
        ("1010000000", 20, 41.6667, 16.6667, 58.5570),
        ("1010001001", 40, 41.6667, 24.9524, 82.8542),
        ("1111000000", 40, 100, 40, 100.0000),
    ],
)
def test_the_worked_examples_of_the_ndcg_paper_come_out(
    ranked: str, precision: float, map_at_r: float, map_at_10: float, ndcg: float
) -> None:
    relevant = np.array([[digit == "1" for digit in ranked]])
    found = values(relevant, np.array([4]), ["P@10", "MAP@R", "MAP@10", "nDCG@10", "R@10"])
    expected = [precision, map_at_r, map_at_10, ndcg, 100]
    assert [100 * float(value[0]) for value in found.values()] == pytest.approx(expected, abs=5e-5)


def test_what_the_ndcg_paper_prints_is_what_its_rankings_give() -> None:
    papers = read_papers((PUBLISHED / "papers.csv").read_text(encoding="utf-8"))
    printed = [one for one in papers if (one.source, one.place.partition(",")[0]) == ("arXiv2110.03997", "table1")]
    completed = {"1 0 0 0 0 0 0 0 1": "1000000001", "1 0 1 0 0 0 1 0 0": "1010001001"}  # of nine printed ranks
    assert len(printed) == 25
    for one in printed:
        ranked = completed.get(one.title, one.title.replace(" ", "") + "0")
        found = values(np.array([[digit == "1" for digit in ranked]]), np.array([4]), [one.metric])
        assert 100 * found[one.metric][0] == pytest.approx(one.mean, abs=0.051), one


def test_one_printed_row_of_the_paper_needs_its_second_hit_at_rank_ten() -> None:
    at_nine, at_ten = np.zeros((2, 1, 10), bool)
    at_nine[0, [0, 8]] = at_ten[0, [0, 9]] = True
    both = [100 * values(hits, np.array([4]), ["nDCG@10"])["nDCG@10"][0] for hits in (at_nine, at_ten)]
    assert both == pytest.approx([50.79, 50.32], abs=5e-3)


@pytest.fixture
def trained() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings of 40 classes, of 1 to 17 images each, as a half-trained model gives them."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), random.integers(1, 18, 40))
    rows = random.standard_normal((40, 24))[labels] + 1.2 * random.standard_normal((len(labels), 24))
    return rows.astype(np.float32), labels


ALL_CUTS: dict[str, Any] = {"ndcg_at": (1, 2, 10), "recall_at": (1, 2, 4, 8), "map_at": (10,), "precision_at": (10,)}


def measure(embeddings: Any, labels: Any, **options: Any) -> Retrieval:
    return retrieval(embeddings, labels, **ALL_CUTS, **options)


def test_perfect_embeddings_score_exactly_100() -> None:
    labels = np.repeat(np.arange(7), [2, 3, 5, 11, 12, 13, 30])
    found = measure(np.eye(7, dtype=np.float32)[labels], labels)
    of_ten = np.minimum(np.bincount(labels)[labels] - 1, 10).mean() * 10
    assert found.means() == {
        name: (pytest.approx(of_ten) if name in ("P@10", "MAP@10") else 100.0) for name in found.per_query
    }
    assert found.tied == 0


def test_random_embeddings_score_at_chance() -> None:
    random = np.random.default_rng(0)
    found = measure(random.standard_normal((3000, 16)).astype(np.float32), np.arange(3000) % 10).means()
    assert found["P@1"] == pytest.approx(10, abs=2)
    assert found["RP"] == pytest.approx(10, abs=0.5)
    assert found["MAP@R"] == pytest.approx(1, abs=0.3)
    assert found["R@8"] == pytest.approx(100 * (1 - 0.9**8), abs=3)


def test_a_rotation_of_the_space_changes_nothing(trained: tuple[Any, Any]) -> None:
    embeddings, labels = trained
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((24, 24)))[0]
    assert measure(embeddings.astype(np.float64) @ rotation, labels).means() == measure(embeddings, labels).means()


def test_a_permutation_of_the_images_changes_nothing(trained: tuple[Any, Any]) -> None:
    embeddings, labels = trained
    order = np.random.default_rng(1).permutation(len(labels))
    assert measure(embeddings[order], labels[order]).means() == measure(embeddings, labels).means()


def test_other_names_for_the_labels_change_nothing(trained: tuple[Any, Any]) -> None:
    embeddings, labels = trained
    names = np.random.default_rng(1).permutation(40)
    expected = measure(embeddings, labels).means()
    assert measure(embeddings, names[labels]).means() == expected
    assert measure(embeddings, labels.astype(np.uint16)).means() == expected
    assert measure(embeddings, [f"class {names[label]}" for label in labels]).means() == expected
    assert measure(embeddings, np.array([f"c{label}" for label in labels], dtype=object)).means() == expected


def test_labels_that_collide_in_float32_stay_apart() -> None:
    embeddings = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    found = retrieval(embeddings, np.array([2**24, 2**24 + 1, 2**24, 2**24 + 1]))
    assert found.means()["P@1"] == 0
    assert list(found.labels) == [2**24, 2**24 + 1, 2**24, 2**24 + 1]


def test_the_length_of_an_embedding_does_not_matter(trained: tuple[Any, Any]) -> None:
    embeddings, labels = trained
    lengths = np.exp(np.random.default_rng(1).uniform(-40, 40, (len(labels), 1)))
    assert measure(embeddings * lengths.astype(np.float32), labels).means() == measure(embeddings, labels).means()
    for length in (1e300, 1e160, 1e-160, 1e-300):  # squares overflow or lose digits
        assert measure(embeddings.astype(np.float64) * length, labels).means() == measure(embeddings, labels).means()


def test_tensors_and_arrays_of_every_precision_are_taken(trained: tuple[Any, Any]) -> None:
    embeddings, labels = trained
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        tensor = torch.from_numpy(embeddings).to(dtype).requires_grad_()
        array = tensor.detach().double().numpy()
        assert measure(tensor, torch.from_numpy(labels)).means() == measure(array, labels).means()


def test_a_memory_mapped_file_is_taken_as_it_is(trained: tuple[Any, Any], tmp_path: Any) -> None:
    embeddings, labels = trained
    np.save(tmp_path / "embeddings.npy", embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))
    mapped = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    assert measure(mapped, labels).means() == measure(np.array(mapped), labels).means()


def test_the_invariants_between_metrics_hold(trained: tuple[Any, Any]) -> None:
    found = measure(*trained)
    for name in ("R@1", "nDCG@1"):
        np.testing.assert_array_equal(found.per_query[name], found.per_query["P@1"])
    assert (found.per_query["MAP@R"] <= found.per_query["RP"]).all()
    assert (found.per_query["R@2"] <= found.per_query["R@4"]).all()
    assert 0 < found.means()["MAP@R"] < found.means()["RP"] < 100


def test_per_class_sums_add_up_to_the_means(trained: tuple[Any, Any]) -> None:
    embeddings, labels = trained
    found = measure(embeddings, labels)
    sums = found.per_class()
    classes, counts = np.unique(labels, return_counts=True)
    assert list(sums.classes) == list(classes[counts > 1])
    assert list(sums.counts) == list(counts[counts > 1])
    assert found.left_out == (counts == 1).sum() > 0
    for name, mean in found.means().items():
        assert 100 * sums.sums[name].sum() / sums.counts.sum() == pytest.approx(mean, abs=1e-9)
        one = found.per_query[name][found.labels == sums.classes[3]]
        assert sums.sums[name][3] == pytest.approx(one.sum())


def test_a_k_beyond_the_gallery_counts_missing_ranks_as_not_relevant() -> None:
    found = retrieval(
        np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), [0, 0, 1], precision_at=(100,), recall_at=(100,), ndcg_at=(100,)
    )
    assert found.means() == pytest.approx(
        {"P@1": 100, "RP": 100, "MAP@R": 100, "nDCG@100": 100, "R@100": 100, "P@100": 1}
    )


def test_a_query_whose_order_the_indices_decided_is_counted_as_tied() -> None:
    collapsed = measure(np.ones((30, 4), np.float32), np.arange(30) % 3)
    assert collapsed.tied == 30
    apart = measure(np.random.default_rng(0).standard_normal((30, 4)), np.arange(30) % 3)
    assert apart.tied == 0


def test_an_image_does_not_tie_with_itself() -> None:
    # Forty identical images of forty classes, and far away one more of each: no neighbour ties with the positive.
    embeddings = np.repeat(np.eye(2), 40, axis=0)
    assert retrieval(embeddings, np.tile(np.arange(40), 2)).tied == 0


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"embeddings": np.ones((4, 2, 2))}, ValueError, r"shape \(images, dim\), but have \(4, 2, 2\)"),
        ({"embeddings": np.ones((4, 0))}, ValueError, r"shape \(images, dim\), but have \(4, 0\)"),
        ({"embeddings": np.ones((4, 2), int)}, TypeError, "must be float16, float32 or float64, but are int64"),
        ({"labels": [0, 0, 1]}, ValueError, "one label for each of the 4 embeddings"),
        ({"labels": [[0], [0], [1], [1]]}, ValueError, r"the labels have the shape \(4, 1\)"),
        ({"labels": [0.0, 0.5, 1.0, 1.5]}, TypeError, "must be integers or strings, but are float64"),
        ({"labels": [0, 1, 2, 3]}, ValueError, "must have a positive in the gallery, but none of the 4 has"),
        ({"recall_at": (0,)}, ValueError, r"k of R@k must be at least 1, .*but 0 was given"),
        ({"gallery_labels": [0, 1]}, ValueError, "only one of the two was given"),
        ({"gallery_embeddings": np.ones((2, 2))}, ValueError, "only one of the two was given"),
        ({"gallery_embeddings": np.ones((2, 3)), "gallery_labels": [0, 1]}, ValueError, "have 2 and 3 dimensions"),
        ({"gallery_embeddings": np.ones((2, 1)), "gallery_labels": [0, 1]}, ValueError, "have 2 and 1 dimensions"),
        ({"gallery_embeddings": np.ones((2, 2)), "gallery_labels": ["a", "b"]}, TypeError, "both be strings"),
        ({"gallery_embeddings": np.ones((2, 2)), "gallery_labels": [0]}, ValueError, "the 2 gallery embeddings"),
        ({"memory": 1000}, ValueError, r"cap must be at least 1048576 bytes"),
        ({"backend": "annoy"}, ValueError, "must be 'torch' or 'faiss', but is 'annoy'"),
        ({"backend": "faiss", "device": "mps"}, ValueError, "must know the device 'mps'"),
    ],
)
def test_bad_input_gets_one_sentence(change: dict[str, Any], error: type[Exception], sentence: str) -> None:
    given: dict[str, Any] = {"embeddings": np.random.default_rng(0).standard_normal((4, 2)), "labels": [0, 0, 1, 1]}
    with pytest.raises(error, match=sentence):
        retrieval(**(given | change))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_embeddings_of_a_diverged_model_are_refused_by_row(bad: float, dtype: type) -> None:
    embeddings: NDArray[Any] = np.ones((200_000, 1), dtype)
    embeddings[150_000] = bad
    with pytest.raises(ValueError, match="row 150000 holds NaN or infinity"):
        retrieval(embeddings, np.zeros(200_000, int))
    with pytest.raises(ValueError, match="The gallery embeddings must be finite"):
        retrieval(np.ones((2, 1)), [0, 0], gallery_embeddings=embeddings, gallery_labels=np.zeros(200_000, int))


def test_a_single_image_has_no_metric() -> None:
    with pytest.raises(ValueError, match="At least one query must have a positive"):
        retrieval(np.ones((1, 4)), [0])


def test_progress_ends_with_all_done(trained: tuple[Any, Any]) -> None:
    for backend in ("torch", "faiss"):
        progress = Mock()
        measure(*trained, backend=backend, progress=progress)
        seen = [call.args for call in progress.call_args_list]
        assert seen == sorted(seen)
        assert seen[-1][0] == seen[-1][1] > 0
