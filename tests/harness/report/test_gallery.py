"""The gallery shows the queries it says it shows, with their true nearest neighbours."""

import base64
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mlrc.harness.images.dataset import ArrayPixels, ImageSet
from mlrc.harness.metrics.retrieval import retrieval
from mlrc.harness.metrics.scores import concatenate
from mlrc.harness.report.gallery import NEIGHBOURS, QUERIES_PER_KIND, choose, neighbours, of_run, repeat_with_models
from mlrc.protocols.datasets.facts import DatasetFacts
from mlrc.results.records.evidence import gather
from mlrc.results.records.record import RunRecord
from tests.results.studies import make

CLASSES, PER_CLASS = 12, 5
TEST = np.arange(CLASSES // 2 * PER_CLASS, CLASSES * PER_CLASS)


@pytest.fixture
def images() -> ImageSet:
    generator = np.random.default_rng(0)
    return ImageSet(
        facts=DatasetFacts(name="tiny", title="Tiny", source="made up", licence="none."),
        fingerprint="f1f1f1f1f1f1f1f1",
        labels=np.repeat(np.arange(CLASSES), PER_CLASS),
        class_names=tuple(f"class {number}" for number in range(CLASSES)),
        pixels=ArrayPixels(generator.integers(0, 256, (CLASSES * PER_CLASS, 10, 8, 1), dtype=np.uint8)),
    )


@pytest.fixture
def folds(images: ImageSet) -> list[NDArray[np.float32]]:
    generator = np.random.default_rng(1)
    centres = generator.normal(size=(CLASSES, 6))[images.labels[TEST]]
    return [(centres + generator.normal(size=centres.shape)).astype(np.float32) for _ in range(4)]


@pytest.fixture
def run() -> RunRecord:
    record = next(iter(make({"triplet": 50.0}, dataset="tiny").records.runs.values()))
    return replace(record, cut="half")


def test_the_gallery_is_of_one_fold_model_and_of_the_concatenation_with_the_same_queries(
    run: RunRecord, images: ImageSet, folds: list[NDArray[np.float32]]
) -> None:
    single, joined = of_run(run, folds, images, dataset="tiny")
    assert (single.model, joined.model) == ("fold 0 of repeat 0", "concatenation of repeat 0")
    assert [query.picture for query in single.queries] == [query.picture for query in joined.queries]
    kinds = [query.kind for query in joined.queries]
    assert kinds == [kind for kind in ("best", "typical", "worst") for _ in range(QUERIES_PER_KIND)]
    assert all(len(query.neighbours) == NEIGHBOURS for query in joined.queries)


def test_a_repeat_with_one_model_has_one_gallery(
    run: RunRecord, images: ImageSet, folds: list[NDArray[np.float32]]
) -> None:
    (only,) = of_run(run, folds[:1], images, dataset="tiny")
    assert only.model == "the one model of repeat 0"
    precision = retrieval(concatenate(folds[:1]), images.labels[TEST]).per_query["MAP@R"] * 100
    best = [query.average_precision for query in only.queries if query.kind == "best"]
    assert best == pytest.approx(sorted(precision)[: -QUERIES_PER_KIND - 1 : -1])


def test_average_precision_and_neighbours_are_those_of_the_metrics(
    run: RunRecord, images: ImageSet, folds: list[NDArray[np.float32]]
) -> None:
    labels = images.labels[TEST]
    model = concatenate(folds)
    precision = retrieval(model, labels).per_query["MAP@R"] * 100
    (_, joined) = of_run(run, folds, images, dataset="tiny")
    values = {kind: [q.average_precision for q in joined.queries if q.kind == kind] for kind in ("best", "worst")}
    assert values["best"] == pytest.approx(sorted(precision)[: -QUERIES_PER_KIND - 1 : -1])
    assert values["worst"] == pytest.approx(sorted(precision)[:QUERIES_PER_KIND])
    pictures = [_picture(images, int(index)) for index in TEST]
    for query in joined.queries:
        place = pictures.index(query.picture.image)
        assert query.average_precision == pytest.approx(precision[place])
        nearest_first = [other for other in np.argsort(-(model @ model[place])) if other != place][:NEIGHBOURS]
        assert [one.image for one in query.neighbours] == [pictures[other] for other in nearest_first]
        assert [one.right for one in query.neighbours] == [labels[other] == labels[place] for other in nearest_first]


def test_neighbours_are_sorted_without_the_query_and_ties_go_to_the_lower_index() -> None:
    model = np.array([[1, 0], [0, 1], [1, 0], [0.6, 0.8], [1, 0]], dtype=np.float32)
    labels, everyone = np.zeros(5, dtype=np.int64), np.ones(5, dtype=bool)
    assert neighbours(model, np.array([2, 1]), labels, everyone) == [[0, 4, 3, 1], [3, 0, 2, 4]]
    some = np.array([False, True, True, True, False])
    assert neighbours(model, np.array([2, 0]), labels, some) == [[3, 1], [2, 3, 1]]
    cameras = np.array([0, 0, 1, 1, 2])
    assert neighbours(model, np.array([2]), labels, everyone, cameras=cameras) == [[0, 4, 1]]


def test_neighbours_that_float32_cannot_tell_apart_come_as_the_metrics_rank_them() -> None:
    random = np.random.default_rng(0)
    centre = random.standard_normal(64)
    model = concatenate([(centre + 2e-4 * random.standard_normal((300, 64))).astype(np.float32)])
    rows = model.astype(np.float64)
    fixed = np.rint(rows / np.linalg.norm(rows, axis=1)[:, None] * 2.0**26)
    exact = fixed @ fixed.T
    np.fill_diagonal(exact, -1)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :NEIGHBOURS]
    places = np.arange(300)
    found = neighbours(model, places, np.zeros(300, dtype=np.int64), np.ones(300, dtype=bool))
    np.testing.assert_array_equal(found, expected)
    float32 = model @ model.T
    np.fill_diagonal(float32, -1)
    assert (np.argsort(-float32, axis=1, kind="stable")[:, :NEIGHBOURS] != expected).any()


def test_by_distance_a_long_embedding_of_the_same_direction_is_far() -> None:
    model = np.array([[1, 0], [9, 0], [1, 0.5]], np.float32)
    everyone = np.ones(3, dtype=bool)
    labels, first = np.zeros(3, dtype=np.int64), np.array([0])
    assert neighbours(model, first, labels, everyone) == [[1, 2]]
    assert neighbours(model, first, labels, everyone, similarity="euclidean") == [[2, 1]]


def test_the_choice_among_equals_is_seeded() -> None:
    precision = np.full(50, 0.5)
    assert choose(precision, seed=1) == choose(precision, seed=1)
    assert choose(precision, seed=1) != choose(precision, seed=2)
    places = [one.place for one in choose(precision, seed=1)]
    assert len(set(places)) == 3 * QUERIES_PER_KIND


def test_queries_without_a_value_are_never_chosen() -> None:
    precision = np.array([np.nan, 0.1, 0.9, np.nan, 0.5])
    found = choose(precision, seed=0)
    assert {one.place for one in found} == {1, 2, 4}


def test_where_queries_search_a_gallery_only_it_answers(
    run: RunRecord, images: ImageSet, folds: list[NDArray[np.float32]]
) -> None:
    asks = np.zeros(len(images.labels), dtype=bool)
    asks[TEST[::PER_CLASS]] = True
    pictures = {_picture(images, int(index)) for index in TEST[::PER_CLASS]}
    (single, _) = of_run(replace(run, queries=int(asks.sum())), folds, replace(images, queries=asks), dataset="tiny")
    for query in single.queries:
        assert query.picture.image in pictures
        assert pictures.isdisjoint(one.image for one in query.neighbours)


def _picture(images: ImageSet, index: int) -> str:
    content = BytesIO()
    Image.fromarray(images.pixels[index][:, :, 0]).save(content, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def test_large_photographs_become_small_ones(
    run: RunRecord, images: ImageSet, folds: list[NDArray[np.float32]]
) -> None:
    large = ArrayPixels(np.zeros((CLASSES * PER_CLASS, 300, 400, 3), dtype=np.uint8))
    (single, _) = of_run(run, folds, replace(images, pixels=large), dataset="tiny")
    address = single.queries[0].picture.image
    assert address.startswith("data:image/jpeg;base64,")
    assert Image.open(BytesIO(base64.b64decode(address.split(",")[1]))).size == (96, 72)


def test_only_a_repeat_whose_models_were_all_kept_has_a_gallery(tmp_path: Path) -> None:
    (evidence,) = gather(make({"triplet": 50.0}, repeats=2).records)
    assert repeat_with_models(evidence, tmp_path) is None
    for key in (*evidence.runs[0].fold_keys[:3], *evidence.runs[1].fold_keys):
        (tmp_path / f"{key}.safetensors").touch()
    assert repeat_with_models(evidence, tmp_path) == evidence.runs[1]
