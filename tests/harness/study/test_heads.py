"""A whole study of heads: its rows, its kept heads, and the same bytes after an interruption."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.metrics.scores import unit_rows
from mlrc.harness.plan.split import split
from mlrc.harness.plan.study import Study, baselines, repeats
from mlrc.harness.training.extraction import features_of
from mlrc.harness.training.reduction import principal_components
from mlrc.harness.training.saved_model import load
from mlrc.harness.trunks.small_conv import TRUNK
from mlrc.harness.trunks.weights import sha256_of
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.record import PCA, UNTRAINED
from tests.harness.conftest import any_params
from tests.harness.driving import driven
from tests.harness.in_this_process import altered, in_this_process

CPU = torch.device("cpu")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    torch.save(TRUNK.build(1).state_dict(), tmp_path / "small_conv.pth")
    return tmp_path / "small_conv.pth"


@pytest.fixture
def heads(tiny_protocol: Protocol, weights: Path) -> Protocol:
    return tiny_protocol.vary({"trains": "head", "head": "mlp:12", "weights": sha256_of(weights), "repeats": 2})


def _studies(rules: Protocol, images: ImageSet) -> list[Study]:
    first, reduced = baselines(rules, "tiny", images.fingerprint)
    loss = replace(first, loss="contrastive", params=any_params("contrastive"))
    return [first, reduced, loss]


class _Noting:
    """An executor's outcomes, with the embeddings of each job kept."""

    def __init__(self) -> None:
        self.embeddings: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = {}
        self.outcomes: list[FoldOutcome] = []

    def __call__(self, outcome: FoldOutcome) -> FoldOutcome:
        self.outcomes.append(outcome)
        if outcome.embeddings is not None:
            self.embeddings[outcome.job.key] = outcome.embeddings
        return outcome


@pytest.mark.parametrize("scaling", ["none", "unit", "standard"])
def test_a_kept_head_embeds_as_it_was_scored_on_its_trunk_and_on_vectors(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace, heads: Protocol, weights: Path, scaling: str
) -> None:
    rules = heads.vary({"scaling": scaling, "repeats": 1})
    (*_, study) = _studies(rules, tiny_images)
    noting = _Noting()
    here = replace(workplace, save_models=True, weights=weights)
    driven(tmp_path, [study], tiny_images, altered(in_this_process(here, lambda *_: None), noting))
    test = split(tiny_images, rules).test
    rows = features_of(tiny_images, rules, weights=weights, folder=None, devices=[CPU]).central(test).numpy()
    files = sorted((tmp_path / "models").glob("*.safetensors"))
    assert len(files) == 4
    for file in files:
        card = json.loads(file.with_suffix(".json").read_text())
        assert card["trunk"] == {"name": "small_conv", "weights": sha256_of(weights)}
        scored = unit_rows(noting.embeddings[file.stem])
        assert load(file).embed(rows) == pytest.approx(scored, abs=1e-6)
        whole = load(file, weights=weights)
        assert whole.embed([tiny_images.pixels[int(row)] for row in test]) == pytest.approx(scored, abs=1e-5)
    with pytest.raises(
        ValueError, match=r"A head embeds vectors \(rows, 128\) as an array, but got list; give these, or"
    ):
        load(files[0]).embed([tiny_images.pixels[0]])


def test_beside_the_losses_stand_the_features_and_their_principal_components(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace, heads: Protocol, weights: Path
) -> None:
    studies = _studies(heads, tiny_images)
    assert [(study.loss, repeats(study)) for study in studies] == [(UNTRAINED, 1), (PCA, 1), ("contrastive", 2)]
    noting = _Noting()
    here = replace(workplace, weights=weights)
    ledger = driven(tmp_path, studies, tiny_images, altered(in_this_process(here, lambda *_: None), noting))
    assert sorted(run.loss for run in ledger.runs.values()) == ["contrastive", "contrastive", PCA, UNTRAINED]
    features = features_of(tiny_images, heads, weights=weights, folder=None, devices=[CPU])
    classes = split(tiny_images, heads)
    for outcome in noting.outcomes:
        found = noting.embeddings[outcome.job.key]
        of_test = features.central(classes.test).numpy()
        if outcome.job.loss == UNTRAINED:
            assert np.array_equal(found, of_test)
        if outcome.job.loss == PCA:
            learnt = features.central(classes.folds[outcome.job.fold].train).numpy()
            assert np.array_equal(found, principal_components(learnt, of_test, heads.embedding_size))


def test_an_interrupted_study_of_heads_ends_with_the_same_bytes(
    tmp_path: Path, tiny_images: ImageSet, workplace: Workplace, heads: Protocol, weights: Path
) -> None:
    rules = heads.vary({"views": 2, "trials": 2, "startup_trials": 1, "repeats": 1})
    first, reduced, loss = _studies(rules, tiny_images)
    studies = [first, reduced, replace(loss, params=None)]
    scores = []
    for name, interrupted in (("whole", False), ("torn", True)):
        folder = tmp_path / name
        folder.mkdir()
        here = replace(workplace, weights=weights, cache=tmp_path / f"cache-{name}")
        execute = in_this_process(here, lambda *_: None)
        if interrupted:

            def few(jobs: object) -> Iterator[JobOutcome]:
                for number, outcome in enumerate(execute(jobs)):  # type: ignore[arg-type] # noqa: B023
                    yield outcome
                    if number == 6:
                        return

            driven(folder, studies, tiny_images, few)
        ledger = driven(folder, studies, tiny_images, in_this_process(here, lambda *_: None))
        scores.append({run.key: (run.separated, run.concatenated) for run in ledger.runs.values()})
    assert len(scores[0]) == 3
    assert scores[0] == scores[1]
