"""The search against a sampled floor: what it may leave out, and how much memory it may take."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlrc.harness.metrics.ranking import candidates
from mlrc.harness.metrics.ranking.candidates import Search
from mlrc.harness.metrics.ranking.sampled import (
    BYTES_PER_CELL,
    BYTES_PER_KEPT,
    BYTES_PER_PLACE,
    LEAST_WIDTH,
    MOST_ROWS,
    MOST_WIDTH,
    ROWS,
    Cut,
    Kept,
    choose_cut,
    rank_of_floor,
    sampled,
)
from mlrc.harness.metrics.ranking.similarity import directions
from mlrc.harness.metrics.ranking.tiles import Candidates
from mlrc.harness.metrics.retrieval import retrieval
from tests.examples import examples

Floats = NDArray[np.float32]


def found(queries: Floats, gallery: Floats | None, length: int, cut: Cut) -> Candidates:
    parts: list[Candidates] = []
    sampled(queries, gallery, length, cut=cut, use=parts.append, progress=lambda *_: None)
    parts.sort(key=lambda part: part.start)
    assert [part.start for part in parts] == list(range(0, len(queries), cut.rows))
    return Candidates(0, np.vstack([part.similarities for part in parts]), np.vstack([part.indices for part in parts]))


def cut_into(tiles: int, length: int, *, rows: int = 16, kept: int = 10**6) -> Cut:
    return Cut(rows=rows, tiles=tiles, rank=rank_of_floor(length, tiles), kept=kept)


def classes(images: int, number: int, order: str, *, noise: float = 0.3, dim: int = 16) -> Floats:
    random = np.random.default_rng(images)
    label = np.arange(images) % number
    if order == "sorted":
        label.sort()
    rows = random.standard_normal((number, dim))[label] + noise * random.standard_normal((images, dim))
    return directions(rows.astype(np.float32)).unit()


@examples(120)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(2, 160),
    tiles=st.integers(1, 7),
    rows=st.integers(1, 60),
    rank=st.integers(1, 30),
    kept=st.integers(1, 40),
    own=st.booleans(),
    share_of_length=st.floats(0, 1),
    kind=st.sampled_from(["random", "duplicates", "collapsed", "grid"]),
)
def test_no_image_that_is_left_out_exceeds_a_query_s_last_candidate(
    seed: int, images: int, tiles: int, rows: int, rank: int, kept: int, own: bool, share_of_length: float, kind: str
) -> None:
    random = np.random.default_rng(seed)
    embeddings = random.standard_normal((images, 3))
    if kind == "duplicates":
        embeddings = embeddings[random.integers(0, max(1, images // 8), images)]
    elif kind == "collapsed":
        embeddings[:] = embeddings[0]
    elif kind == "grid":
        embeddings = np.rint(embeddings)
        embeddings[~embeddings.any(axis=1)] = 1
    units = directions(embeddings.astype(np.float32)).unit()
    queries = units if own else units[::2].copy()
    others = images - own
    length = max(1, round(share_of_length * others))
    cut = Cut(rows=rows, tiles=min(tiles, images), rank=rank, kept=max(kept, length))
    listed = found(queries, None if own else units, length, cut)

    similarity = queries.astype(np.float64) @ units.T.astype(np.float64)
    if own:
        np.fill_diagonal(similarity, -np.inf)
    assert listed.similarities.shape == listed.indices.shape == (len(queries), length)
    assert (np.diff(listed.similarities, axis=1) <= 0).all()
    for mine, best, indices in zip(similarity, listed.similarities, listed.indices, strict=True):
        real = indices[best > best[-1]]  # before any that only fill the list up
        assert len(set(real.tolist())) == len(real)
        np.testing.assert_allclose(mine[real], best[: len(real)], atol=1e-6)
        assert (np.delete(mine, real) <= best[-1] + 1e-6).all()


@pytest.mark.parametrize("number", [1, 2, 5, 11])
@pytest.mark.parametrize("order", ["sorted", "unsorted"])
@pytest.mark.parametrize(("rows", "kept"), [(100, 300), (100, 10**6), (700, 10**6)])
def test_lists_are_full_also_of_classes_in_step_with_the_tiles(number: int, order: str, rows: int, kept: int) -> None:
    # With 55 classes in turn and 5 or 11 tiles, each class lies in one tile as a whole.
    units = classes(2200, 55, order)
    cut = cut_into(number, 50, rows=rows, kept=kept)
    listed = found(units, None, 50, cut)
    similarity = units @ units.T
    np.fill_diagonal(similarity, -np.inf)
    np.testing.assert_allclose(listed.similarities, -np.sort(-similarity, axis=1)[:, :50], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(similarity, listed.indices, axis=1), listed.similarities, atol=1e-6)


def test_another_sample_is_taken_only_of_the_queries_whose_list_is_short() -> None:
    units = classes(2145, 55, "unsorted", noise=0.05)
    seen: list[int] = []

    def take(kept: Kept) -> NDArray[np.int64]:
        seen.append(kept.queries)
        return original(kept)

    original = Kept.take
    with patch.object(Kept, "take", take):
        found(units, None, 50, cut_into(5, 50, rows=100))
        assert sorted(seen) == sorted([100, 20] * 21 + [45, 9])  # the classes of the first tile
        seen.clear()
        found(classes(2145, 55, "sorted", noise=0.05), None, 50, cut_into(5, 50, rows=100))
        assert sorted(seen) == [45] + [100] * 21


@pytest.mark.parametrize("tiles", [3, 5, 7, 11, 31])
@pytest.mark.parametrize("length", [5, 20, 72])
def test_the_rank_of_the_floor_is_seldom_too_high_and_never_far_too_low(tiles: int, length: int) -> None:
    rank = rank_of_floor(length, tiles)
    random = np.random.default_rng(tiles)
    in_sample = random.hypergeometric(length, 6000 - length, 6000 // tiles, size=100_000)
    assert (in_sample >= rank).mean() < 2e-3
    assert rank < 4 + 2 * length / tiles + 4 * np.sqrt(length / tiles)


@given(st.integers(1, 10**6), st.integers(1, 3000), st.integers(2**16, 2**28))
def test_blocks_stay_within_the_memory_and_tiles_within_their_widths(gallery: int, length: int, memory: int) -> None:
    cut = choose_cut(gallery, length, memory=memory)
    width = -(-gallery // cut.tiles)
    assert 1 <= cut.rows <= MOST_ROWS
    assert cut.rows < ROWS or cut.rows % ROWS == 0
    assert cut.tiles == 1 or all(cut.tiles % factor for factor in range(2, cut.tiles))
    assert width <= MOST_WIDTH
    assert cut.tiles == 1 or width >= LEAST_WIDTH
    assert cut.kept == gallery or cut.kept >= length
    assert length < gallery - 1 or cut.rank > width  # all are looked for: no floor leaves one out
    per_row = width * BYTES_PER_CELL + cut.kept * BYTES_PER_KEPT + length * BYTES_PER_PLACE
    assert cut.rows == 1 or cut.rows * per_row <= memory


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Trace what numpy and Python allocate; what is given tells, after the block, the most bytes at a time."""
    tracemalloc.start()
    most = 0
    try:
        yield lambda: most
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("torch_threads")
def test_one_dense_query_does_not_take_room_for_all() -> None:
    random = np.random.default_rng(0)
    gallery = random.standard_normal((60_000, 4)).astype(np.float32)
    gallery[:, 0] = np.abs(gallery[:, 0]) * 0.1 + 0.05
    cap = 8 * 2**20
    gallery[:: choose_cut(60_000, 20, memory=cap).tiles, 0] *= -1  # the sample lies on the other side
    queries = random.standard_normal((256, 4)).astype(np.float32)
    queries[:, 0] = 0
    queries[7] = [1, 0, 0, 0]  # almost all images exceed its floor
    queries, gallery = directions(queries).unit(), directions(gallery).unit()
    parts: list[Candidates] = []
    torch.set_num_threads(1)
    with traced() as peak:
        Search(queries=queries, gallery=gallery, length=20, memory=cap).candidates(parts.append)
    assert peak() <= cap
    similarities = np.vstack([part.similarities for part in sorted(parts, key=lambda part: part.start)])
    expected = -np.sort(-(queries @ gallery.T), axis=1)[:, :20]
    np.testing.assert_allclose(similarities, expected, atol=1e-6)


def shape(kind: str) -> tuple[Floats, NDArray[np.int64], dict[str, Any]]:
    labels = np.arange(4000) % 80
    if kind == "in step":
        return classes(4000, 80, "unsorted", noise=0.05, dim=32), labels, {}
    random = np.random.default_rng(0)
    units = directions(random.standard_normal((4000, 32)).astype(np.float32)).unit()
    if kind == "duplicates":
        return units[random.integers(0, 200, 4000)], labels, {}
    if kind == "short lists":
        return units[:1000], np.arange(1000) % 500, {}
    if kind == "long lists":
        return units, labels, {"recall_at": (1, 400)}
    if kind == "gallery":
        return units[:1500], labels[:1500], {"gallery_embeddings": units[1500:], "gallery_labels": labels[1500:]}
    return units, labels, {}


@pytest.mark.usefixtures("torch_threads")
@pytest.mark.parametrize("kind", ["random", "in step", "duplicates", "short lists", "long lists", "gallery"])
@pytest.mark.parametrize(("threads", "cap"), [(1, 1), (1, 4), (2, 2)])
def test_the_search_stays_within_the_memory_cap(kind: str, threads: int, cap: int) -> None:
    embeddings, labels, options = shape(kind)
    torch.set_num_threads(threads)
    with traced() as peak:
        retrieval(embeddings, labels, memory=cap * 2**20, **options)
    results = 100 * len(embeddings) + 40 * len(options.get("gallery_labels", ()))  # the values, lengths and labels
    exact = threads * 2**21 if kind == "duplicates" else 0  # of which some queries are searched exactly
    assert peak() <= cap * 2**20 + results + exact


@pytest.mark.parametrize(
    ("images", "gallery", "memory", "expected"),
    [
        (candidates.MANY, False, None, "symmetric"),
        (candidates.MANY - 1, False, 2**28, "sampled"),
        (candidates.MANY, True, 2**28, "sampled"),
        (candidates.MANY, False, 2**22, "sampled"),
    ],
)
def test_half_the_product_is_saved_for_many_images_with_room_for_their_lists(
    images: int, gallery: bool, memory: int | None, expected: str
) -> None:
    units = np.zeros((images, 8), np.float32)
    search = Search(queries=units, gallery=units if gallery else None, length=30, memory=memory)
    with (
        patch.object(torch, "get_num_threads", return_value=2),
        patch.object(candidates, "symmetric") as symmetric,
        patch.object(candidates, "sampled") as found,
    ):
        search.candidates(lambda _: None)
    assert (symmetric.call_count, found.call_count) == ((1, 0) if expected == "symmetric" else (0, 1))
