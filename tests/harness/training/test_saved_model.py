"""A kept model embeds as the one that was scored, and its card says where it comes from."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
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


def test_paths_arrays_and_pil_images_may_be_mixed_and_none_are_none(
    kept: Path, tiny_images: ImageSet, tmp_path: Path
) -> None:
    model = load(next(kept.glob("*.safetensors")))
    grey = tiny_images.pixels[3]
    Image.fromarray(grey[:, :, 0]).save(tmp_path / "one.png")
    coloured = np.repeat(grey, 3, axis=2)
    given: list[Any] = [
        grey,
        grey[:, :, 0],
        coloured,
        Image.fromarray(coloured),
        tmp_path / "one.png",
        str(tmp_path / "one.png"),
    ]
    embeddings = model.embed(given)
    assert embeddings.shape == (6, 8)
    np.testing.assert_allclose(embeddings, np.repeat(model.embed([coloured]), 6, axis=0), atol=1e-5)
    assert model.embed([]).shape == (0, 8)
    assert model.embed(np.stack([grey, grey])).shape == (2, 8)


def test_what_is_no_image_is_refused_in_a_sentence(kept: Path, tiny_images: ImageSet, tmp_path: Path) -> None:
    model = load(next(kept.glob("*.safetensors")))
    grey = tiny_images.pixels[3]
    wrongs: tuple[Any, ...] = (
        grey / 255,
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    )
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"^Image 1 must be a uint8 array .*, but is .*; convert it"):
            model.embed([grey, wrong])
    with pytest.raises(TypeError, match="Image 0 must be a path, a uint8 array or a PIL image, but is NoneType"):
        model.embed([None])  # type: ignore[list-item] # on purpose
    with pytest.raises(ValueError, match="Image 0 must be one that can be read, but its mode is F"):
        model.embed([Image.new("F", (4, 4))])
    with pytest.raises(ValueError, match="absent.png must be a whole image file"):
        model.embed([tmp_path / "absent.png"])
    for one in (grey, "one.png", Image.new("L", (4, 4))):
        with pytest.raises(TypeError, match="must be a sequence of images, but are one"):
            model.embed(one)  # type: ignore[arg-type] # on purpose


def test_loading_and_embedding_leave_the_global_generators_alone_and_use_the_run_s_memory_format(
    kept: Path, tiny_images: ImageSet
) -> None:
    file = next(kept.glob("*.safetensors"))
    card = json.loads(file.with_suffix(".json").read_text())
    card["protocol"]["fields"]["channels_last"] = True
    file.with_suffix(".json").write_text(json.dumps(card))
    before = torch.random.get_rng_state(), repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    model = load(file)
    model.embed([tiny_images.pixels[0]])
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (repr(np.random.get_state()), random.getstate()) == before[1:]  # noqa: NPY002
    weights = [one for one in model.network.parameters() if one.ndim == 4 and min(one.shape) > 1]
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in weights)


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
