"""The search behind the metrics: nothing of how it runs may show in what it finds."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.metrics import Retrieval, retrieval
from harness.ranking import candidates, symmetric
from harness.ranking.candidates import Backend, Search
from harness.ranking.sampled import Cut, rank_of_floor
from harness.ranking.similarity import chunks, directions, full_precision
from harness.ranking.symmetric import Lists
from harness.ranking.tiles import Candidates
from tests.examples import examples
from tests.harness.slow_retrieval import on_grid

BACKENDS: tuple[Backend, ...] = ("torch", "faiss")
CUTS: dict[str, Any] = {"ndcg_at": (10,), "recall_at": (1, 4), "precision_at": (5,)}


def hard(images: int, dim: int = 8) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings in which each is random, a duplicate, nearly a duplicate or zero."""
    random = np.random.default_rng(images)
    rows = random.standard_normal((images, dim))
    kind = random.integers(0, 8, images)
    rows[kind < 3] = rows[random.integers(0, 20, (kind < 3).sum())]
    rows[kind == 3] = rows[0] + 1e-7 * random.standard_normal(((kind == 3).sum(), dim))
    rows[kind == 4] = 0
    return rows.astype(np.float32), random.integers(0, 40, images)


def assert_same(one: Retrieval, other: Retrieval) -> None:
    assert one.tied == other.tied
    for name, values in one.per_query.items():
        np.testing.assert_array_equal(values, other.per_query[name], err_msg=name)


@pytest.mark.usefixtures("torch_threads")
@pytest.mark.parametrize("images", [50, 1500])
def test_backend_memory_and_threads_do_not_change_a_bit(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = hard(images)
    expected = retrieval(embeddings, labels, **CUTS)
    assert expected.tied > 0
    others: list[dict[str, Any]] = [{"memory": 2**20}, {"memory": 2**30}, {"backend": "faiss"}]
    for options in [*others, {"backend": "faiss", "memory": 2**20}]:
        assert_same(retrieval(embeddings, labels, **CUTS, **options), expected)
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        assert_same(retrieval(embeddings, labels, **CUTS), expected)
    monkeypatch.setattr(candidates, "symmetry_pays", lambda *_: True)
    for side in (7, 64) if images == 50 else (333, 1000):
        monkeypatch.setattr(symmetric, "MOST_SIDE", side)
        assert_same(retrieval(embeddings, labels, memory=2**30, **CUTS), expected)
    monkeypatch.setattr(candidates, "symmetry_pays", lambda *_: False)
    for tiles in (1, 2, 7):
        for rows in (3, 40):
            cut = Cut(rows=rows, tiles=tiles, rank=rank_of_floor(15, tiles), kept=60)
            monkeypatch.setattr(candidates, "choose_cut", lambda *_, memory, cut=cut: cut)
            assert_same(retrieval(embeddings, labels, **CUTS), expected)


def test_a_gallery_equal_to_the_queries_differs_only_in_the_query_itself() -> None:
    embeddings, labels = np.random.default_rng(0).standard_normal((600, 8)), np.arange(600) % 30
    own = retrieval(embeddings, labels, precision_at=(2, 5)).per_query
    other = retrieval(
        embeddings, labels, gallery_embeddings=embeddings, gallery_labels=labels, precision_at=(2, 3, 6)
    ).per_query
    for k in (1, 2, 5):
        np.testing.assert_allclose(other[f"P@{k + 1}"] * (k + 1), 1 + own[f"P@{k}"] * k)


def test_the_query_is_removed_by_identity_also_among_duplicates_of_it() -> None:
    # Ten identical images of ten classes and one more of each class far away: rank 1 is never of the query's class.
    embeddings = np.vstack([np.ones((10, 2)), np.tile([1.0, -1.0], (10, 1))])
    labels = np.tile(np.arange(10), 2)
    for backend in BACKENDS:
        found = retrieval(embeddings, labels, recall_at=(9, 10), precision_at=(9,), backend=backend)
        assert found.means()["P@9"] == 0
        # After nine duplicates the other ten tie, lowest index first: the class of the first is at rank 10.
        np.testing.assert_array_equal(found.per_query["R@10"], labels == 0)


def test_ties_go_to_the_lowest_index() -> None:
    embeddings = np.array([[1, 0], [0, 1], [0, -1], [0, 2], [0, -3]], np.float32)
    for positive in range(1, 5):
        labels = np.array([0, 1, 2, 3, 4])
        labels[positive] = 0
        found = retrieval(embeddings, labels, recall_at=(1, 2, 3, 4))
        hits = [found.per_query[f"R@{k}"][0] for k in (1, 2, 3, 4)]
        assert hits == [float(k >= positive) for k in (1, 2, 3, 4)]


def test_neighbours_that_only_an_exact_search_can_tell_apart_are_found_at_the_end_of_a_long_gallery() -> None:
    # The cosine of 1,490 images with the last 10 is 1 − 4.5e-8: to float32 all are equally near.
    embeddings = np.tile(np.array([1, 3e-4], np.float32), (1500, 1))
    embeddings[-10:, 1] = 0
    for backend in BACKENDS:
        found = retrieval(embeddings, np.arange(1500) // 10, backend=backend)
        np.testing.assert_array_equal(found.per_query["RP"][-10:], 1)
        np.testing.assert_array_equal(found.per_query["RP"][10:-10], 0)


def test_an_exact_search_takes_the_better_images_of_every_chunk() -> None:
    # To float32 all are equally near; the nearest is in the first chunk, the next one, the positive, in the second.
    gallery = np.tile(np.array([1, 3e-4], np.float32), (2100, 1))
    gallery[0, 1], gallery[1500, 1] = 0, 2e-4
    found = retrieval(
        gallery[:1],
        [0],
        gallery_embeddings=gallery,
        gallery_labels=(np.arange(2100) != 1500).astype(int),
        precision_at=(2,),
    )
    assert found.per_query["P@2"] == [0.5]


def test_a_tie_with_an_image_far_down_a_long_gallery_is_counted() -> None:
    gallery = np.tile(np.array([1, 1], np.float32), (2**14 + 100, 1))
    gallery[50] = [1, -1]  # where the last but 49th would be found, were its place counted from the wrong start
    labels = np.ones(len(gallery), int)
    labels[2**14 + 50] = 0
    found = retrieval(gallery[:1], [0], gallery_embeddings=gallery, gallery_labels=labels)
    assert found.tied == 1
    gallery[2**14 + 50] = [1, -1]
    assert retrieval(gallery[:1], [0], gallery_embeddings=gallery, gallery_labels=labels).tied == 0


@pytest.mark.parametrize("pays", [True, False])
def test_progress_rises_to_the_end_while_candidates_are_used(pays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "symmetry_pays", lambda *_: pays)
    monkeypatch.setattr(symmetric, "MOST_SIDE", 64)
    seen: list[tuple[int, int]] = []
    used: list[int] = []
    units = directions(np.random.default_rng(0).standard_normal((600, 8)).astype(np.float32)).unit()
    search = Search(queries=units, gallery=None, length=5, memory=2**20, progress=lambda *done: seen.append(done))
    search.candidates(lambda some: used.append(len(seen)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    assert max(used) < len(seen)
    assert all(begun < of for begun, of in seen[: min(used)])


@given(st.integers(0, 2**32 - 1), st.integers(1, 700))
@examples(60)
def test_a_float32_product_is_within_the_tolerance_of_the_exact_similarity(seed: int, dim: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.standard_normal((6, dim)) * 10.0 ** random.uniform(-6, 6, dim)
    rows[3:] = np.abs(rows[3:]) + random.integers(0, 2)
    images = directions(rows.astype(np.float32))
    units = images.unit()
    exact = np.array([on_grid([float(value) for value in row]) for row in images.rows], dtype=object)
    similarity = (exact @ exact.T / 2**52).astype(np.float64)
    one_by_one = np.zeros((6, 6), np.float32)
    for column in units.T:  # the longest chain of roundings
        one_by_one += np.outer(column, column)
    assert np.abs(one_by_one - similarity).max() <= images.tolerance
    assert np.abs(units @ units.T - similarity).max() <= images.tolerance
    np.testing.assert_array_equal(images.fixed(slice(None)), exact.astype(np.float64))


def test_unit_rows_are_not_copied() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    copied = directions(rows).unit()
    np.testing.assert_allclose(np.linalg.norm(copied, axis=1), 1, atol=1e-6)
    assert directions(copied).unit() is copied


def test_rows_whose_length_is_nearly_one_or_that_lie_apart_in_memory_are_made_units() -> None:
    rows = directions(np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)).unit()
    longer = directions(rows * np.float32(1.001)).unit()
    np.testing.assert_allclose(np.linalg.norm(longer, axis=1), 1, atol=1e-6)
    assert directions(np.asfortranarray(rows)).unit().flags.c_contiguous
    assert directions(rows.astype(np.float64)).unit().dtype == np.float32


def test_the_tolerance_has_room_for_one_rounding_per_dimension() -> None:
    for dim in (1, 512, 8192):
        assert directions(np.ones((1, dim), np.float32)).tolerance >= dim * 2.0**-24


def test_rows_longer_than_a_chunk_are_taken_one_by_one() -> None:
    assert chunks((3, 5), 4) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def _found(search: Search, how: str) -> Candidates:
    parts: list[Candidates] = []
    getattr(search, how)(parts.append)
    parts.sort(key=lambda part: part.start)
    return Candidates(0, np.vstack([part.similarities for part in parts]), np.vstack([part.indices for part in parts]))


@pytest.mark.parametrize("length", [1, 20, 150, 299])
@pytest.mark.parametrize("how", ["_cores", "_faiss", "_accelerator"])
@pytest.mark.parametrize("own", [True, False])
def test_every_search_finds_the_best_candidates(
    how: str, length: int, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((300, 6)).astype(np.float32)
    units = directions(rows[np.argsort(rows[:, 0])]).unit()  # later rows suit the last queries better: dense tiles
    search = Search(queries=units, gallery=None if own else units[:299].copy(), length=length, memory=2**20)
    for pays, side in ((True, 64), (False, 64), (True, 1024)):
        monkeypatch.setattr(candidates, "symmetry_pays", lambda *_, pays=pays: pays)
        monkeypatch.setattr(symmetric, "MOST_SIDE", side)
        found = _found(search, how)
        similarity = units @ (units if own else units[:299]).T
        if own:
            np.fill_diagonal(similarity, -np.inf)
            assert not (found.indices == np.arange(300)[:, None]).any()
        expected = -np.sort(-similarity, axis=1)[:, :length]
        np.testing.assert_allclose(found.similarities, expected, atol=1e-6)
        np.testing.assert_allclose(np.take_along_axis(similarity, found.indices, 1), found.similarities, atol=1e-6)
        assert all(len(set(row)) == length for row in found.indices.tolist())


def test_a_dense_tile_is_taken_in_a_bounded_number_of_parts() -> None:
    lists = Lists(200, 90)
    tile = np.random.default_rng(0).standard_normal((200, 100)).astype(np.float32)
    with patch.object(Lists, "_merge", autospec=True, side_effect=Lists._merge) as merge:
        lists.offer(0, tile, 0)
    assert symmetric.DENSE // 2 < merge.call_count <= symmetric.DENSE


def test_settings_that_shorten_products_are_overruled_and_restored() -> None:
    embeddings, labels = np.random.default_rng(0).standard_normal((600, 64)).astype(np.float32), np.arange(600) % 50
    expected = retrieval(embeddings, labels)
    there: list[Any] = [getattr(backend, "matmul", None) for backend in (torch.backends.mkldnn, torch.backends.cuda)]
    matmuls = [matmul for matmul in there if hasattr(matmul, "fp32_precision")]  # none before torch 2.9
    torch.set_float32_matmul_precision("medium")
    before = [matmul.fp32_precision for matmul in matmuls]

    def full() -> bool:
        return torch.get_float32_matmul_precision() == "highest"

    try:
        with full_precision():
            assert {matmul.fp32_precision for matmul in matmuls} == {"ieee"} if matmuls else full()
        with torch.autocast("cpu"):
            assert_same(retrieval(embeddings, labels), expected)
        assert torch.get_float32_matmul_precision() == "medium"
        assert [matmul.fp32_precision for matmul in matmuls] == before
        assert not matmuls or set(before) != {"ieee"}
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.gpu
def test_a_gpu_gives_the_bits_of_the_cpu() -> None:
    for images, dim in ((1500, 8), (5000, 512)):
        embeddings, labels = hard(images, dim)
        expected = retrieval(embeddings, labels, **CUTS)
        assert_same(retrieval(embeddings, labels, device="cuda", **CUTS), expected)
        assert_same(retrieval(torch.from_numpy(embeddings).cuda(), labels, device="cuda", **CUTS), expected)
        assert_same(retrieval(embeddings, labels, device="cuda", memory=2**20, **CUTS), expected)
