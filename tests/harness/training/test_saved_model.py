"""A kept model embeds as the one that was scored, and its card says where it comes from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.metrics.scores import unit_rows
from mlrc.harness.plan.split import split
from mlrc.harness.plan.study import Study
from mlrc.harness.training.saved_model import load
from mlrc.protocols.protocol import PerDataset
from tests.harness.conftest import any_params
from tests.harness.driving import driven
from tests.harness.in_this_process import altered, in_this_process


@pytest.fixture
def kept(tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace) -> Path:
    """The folder of the models of one repeat; beside it, what each of them gave for the test images."""
    protocol = study.protocol.vary({"repeats": 1, "validation_interval": PerDataset(2, (("cub200", 5),))})
    study = replace(study, protocol=protocol, params=any_params(study.loss))
    honest = in_this_process(replace(workplace, save_models=True), lambda *_: None)

    def noted(outcome: FoldOutcome) -> FoldOutcome:
        assert outcome.embeddings is not None
        np.save(tmp_path / f"{outcome.job.key}.npy", outcome.embeddings)
        return outcome

    driven(tmp_path, [study], tiny_images, altered(honest, noted))
    return tmp_path / "models"


def test_a_kept_model_embeds_as_the_one_that_was_scored(kept: Path, tiny_images: ImageSet) -> None:
    files = sorted(kept.glob("*.safetensors"))
    assert len(files) == 4
    for file in files:
        model = load(file)
        test = split(tiny_images, model.protocol).test
        scored = np.load(kept.parent / f"{file.stem}.npy")
        assert model.embed([tiny_images.pixels[int(row)] for row in test]).tobytes() == unit_rows(scored).tobytes()


def test_image_files_are_embedded_as_their_pixels(kept: Path, tiny_images: ImageSet, tmp_path: Path) -> None:
    model = load(next(kept.glob("*.safetensors")))
    pixels = [tiny_images.pixels[row] for row in (3, 50)]
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image[:, :, 0]).save(path)
    embeddings = model.embed(paths)
    assert embeddings.shape == (2, 8)
    np.testing.assert_allclose(embeddings, model.embed(pixels), atol=1e-5)  # grey files are read as RGB
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


def test_paths_among_arrays_are_refused_and_not_dropped(kept: Path, tiny_images: ImageSet) -> None:
    with pytest.raises(ValueError, match="all paths or all arrays, but 1 of 2 are paths"):
        load(next(kept.glob("*.safetensors"))).embed([tiny_images.pixels[0], "one.png"])  # type: ignore[arg-type] # on purpose


def test_the_card_tells_protocol_parameters_and_scores(kept: Path) -> None:
    model = load(next(kept.glob("*.safetensors")))
    card = model.card
    assert (card["loss"], card["params"]) == ("contrastive", any_params("contrastive"))
    assert card["protocol"]["digest"] == model.protocol.digest
    assert model.protocol.validation_interval.of("cub200") == 5
    assert card["validation"]["metric"] == "MAP@R"
    assert set(card["test_of_the_repeat"]) == {"separated", "concatenated"}
    assert card["environment"]["commit"] == "c0ffee"


def test_weights_that_do_not_fit_their_card_are_refused_in_one_sentence(kept: Path) -> None:
    file = next(kept.glob("*.safetensors"))
    card = json.loads(file.with_suffix(".json").read_text())
    card["protocol"]["fields"]["embedding_size"] = 9
    file.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="must hold a model of this version"):
        load(file)
    file.write_bytes(b"torn")
    with pytest.raises(ValueError, match="must hold a model of this version"):
        load(file)
