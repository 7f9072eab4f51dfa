"""From images and a network to a file of vectors: what a kept model scored comes out again by evaluate."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.images.resize import resized
from mlrc.harness.metrics.retrieval import retrieval
from mlrc.harness.plan.split import test_images as images_of_test
from mlrc.harness.study.embeddable import _of_set, names_in_order
from mlrc.harness.training.fold import Subset, embed
from mlrc.harness.training.model import build
from mlrc.harness.training.saved_model import load
from mlrc.harness.trunks import small_conv
from mlrc.harness.trunks.catalogue import with_trunk
from mlrc.harness.vectors.reading import beside, read
from mlrc.harness.vectors.writing import WRITERS
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.quick import QUICK
from tests.harness.cli.idle import mlrc, refused
from tests.harness.study.kept_models import kept

CLASSES, PER_CLASS = 6, 7
TRUNK = ["--trunk=small_conv", "--weights=w.pth", "--protocol=quick", "--set=resize=16", "--set=crop=16"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with `images`, of one folder per class, and the weights `w.pth` of a trunk."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for label in range(CLASSES):
        place = tmp_path / "images" / f"bird {label}"
        place.mkdir(parents=True)
        pattern = random.integers(0, 200, (20, 24, 3))
        for number in range(PER_CLASS):
            pixels = np.clip(pattern + random.integers(0, 56, pattern.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    torch.manual_seed(0)
    torch.save(small_conv.build(1).state_dict(), "w.pth")
    return tmp_path


def opened(folder: Path) -> ImageSet:
    return open_dataset(f"folder:{folder / 'images'}", folder)


def reference(folder: Path, model: Path, protocol: Protocol) -> NDArray[np.float32]:
    images = opened(folder)
    rows = np.arange(len(images.labels))
    subset = Subset(resized(images.pixels, protocol.resize), images.labels, rows)
    return embed(load(model).network, subset, protocol, torch.device("cpu"))


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_what_embed_writes_evaluate_reads(folder: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    model, protocol = kept(folder)
    out = f"E{suffix}"
    done = mlrc("embed", "images", f"--model={model}", f"--out={out}", "--device=cpu")
    assert done.exit_code == 0, done.output
    assert f"{CLASSES * PER_CLASS} images, 8 dimensions. Next: mlrc evaluate --embeddings {out}" in done.stdout
    found = read(Path(out), beside(Path(out)))
    expected = reference(folder, model, protocol)
    np.testing.assert_array_equal(found.embeddings, expected)
    images = opened(folder)
    assert found.labels is not None
    assert found.paths is not None
    assert found.labels.tolist() == [images.class_names[label] for label in images.labels]
    assert all((folder / "images" / path).is_file() for path in found.paths)
    assert found.test is None
    labels = [f"--labels={beside(Path(out))}"] if suffix == ".npy" else []
    measured = json.loads(mlrc("evaluate", f"--embeddings={out}", *labels, "--json").stdout)["metrics"]
    assert measured["MAP@R"] == retrieval(expected, images.labels).means()["MAP@R"]


def test_the_test_images_of_a_model_s_own_cut_are_what_evaluate_measures(folder: Path) -> None:
    model, protocol = kept(folder, fingerprint=opened(folder).fingerprint)
    done = mlrc("embed", "folder:images", f"--model={model}", "--out=E.npz")
    assert "The model was trained on these images: the column split tells its cut (half)." in done.stdout
    images = opened(folder)
    test = images_of_test(images, "half")
    expected = retrieval(reference(folder, model, protocol)[test], images.labels[test]).means()
    measured = json.loads(mlrc("evaluate", "--embeddings=E.npz", "--json").stdout)
    assert measured["queries"] == CLASSES // 2 * PER_CLASS
    assert measured["metrics"]["MAP@R"] == expected["MAP@R"]
    origin = read(Path("E.npz")).origin
    assert (origin["loss"], origin["images"], origin["fingerprint"]) == (
        "contrastive", "folder:images", images.fingerprint,
    )  # fmt: skip


def test_columns_of_a_manifest_go_along(folder: Path) -> None:
    model, _ = kept(folder)
    lines = ["path,label,split,query,camera"]
    for label in range(CLASSES):
        for number in range(PER_CLASS):
            side = "train,0," if label < 2 else f"test,{int(number == 0)},{number % 3}"
            lines.append(f"bird {label}/{number}.png,bird {label},{side}")
    (folder / "images" / "manifest.csv").write_text("\n".join(lines))
    assert mlrc("embed", "images/manifest.csv", f"--model={model}", "--out=E.csv").exit_code == 0
    found = read(Path("E.csv"))
    assert found.test is not None
    assert found.queries is not None
    assert found.cameras is not None
    assert np.count_nonzero(found.test) == 4 * PER_CLASS
    assert np.count_nonzero(found.queries) == 4
    assert set(found.cameras[found.test].tolist()) == {"0", "1", "2"}
    measured = json.loads(mlrc("evaluate", "--embeddings=E.csv", "--json").stdout)
    assert (measured["queries"], measured["gallery"]) == (4, 4 * (PER_CLASS - 1))


def test_a_trunk_gives_its_pooled_features_whatever_the_number_of_threads(folder: Path) -> None:
    for threads in (1, 3):
        done = mlrc("embed", "images", *TRUNK, f"--out={threads}.npz", f"--threads={threads}", "--device=cpu")
        assert done.exit_code == 0, done.output
    one, three = read(Path("1.npz")), read(Path("3.npz"))
    assert one.embeddings.tobytes() == three.embeddings.tobytes()
    images = opened(folder)
    protocol = with_trunk(QUICK.vary({"resize": 16, "crop": 16}), "small_conv", Path("w.pth"))
    network = build(protocol, seed=1, weights=Path("w.pth"))
    subset = Subset(resized(images.pixels, 16), images.labels, np.arange(len(images.labels)))
    expected = embed(network, subset, protocol, torch.device("cpu"), features=True)
    np.testing.assert_array_equal(one.embeddings, expected)
    assert one.embeddings.shape[1] == small_conv.TRUNK.features
    assert (one.origin["trunk"], one.origin["transform"]) == ("small_conv", "resize 16, crop 16")


def test_images_without_classes_have_paths_and_no_labels(folder: Path) -> None:
    model, _ = kept(folder)
    (folder / "images" / "bird 0" / "notes.txt").write_text("none")
    for given, number, first in (
        (["images/bird 0"], PER_CLASS, "bird 0/0.png"),
        (["images", "--no-labels"], CLASSES * PER_CLASS, "images/bird 0/0.png"),
        (["images/bird 1/3.png"], 1, "3.png"),
    ):
        done = mlrc("embed", *given, f"--model={model}", "--out=E.npz")
        assert done.exit_code == 0, done.output
        assert "No classes are told, so the file has no labels." in done.stdout
        assert "Next:" not in done.stdout
        found = read(Path("E.npz"))
        assert found.labels is None
        assert found.paths is not None
        assert (len(found), found.paths[0]) == (number, first)
    refused(mlrc("evaluate", "--embeddings=E.npz"), "Every row must have a label, but E.npz tells none")


def test_a_class_of_one_image_is_embedded(folder: Path) -> None:
    model, _ = kept(folder)
    for number in range(1, PER_CLASS):
        (folder / "images" / "bird 2" / f"{number}.png").unlink()
    assert mlrc("embed", "images", f"--model={model}", "--out=E.npz").exit_code == 0
    assert len(read(Path("E.npz"))) == (CLASSES - 1) * PER_CLASS + 1


def test_bad_images_are_named_together_and_nothing_is_written(folder: Path) -> None:
    model, _ = kept(folder)
    for number in (1, 4):
        (folder / "images" / "bird 3" / f"{number}.png").write_bytes(b"no image")
    refused(mlrc("embed", "images", f"--model={model}", "--out=E.npz"), "bird 3/1.png", "bird 3/4.png", "2 of 42")
    assert not Path("E.npz").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("images --out=E.npz", "What embeds must be told, but nothing was; give --model FILE, or --trunk"),
        ("images --out=E.npz --trunk=small_conv", "A trunk must have its weights, or the vectors would be random"),
        ("images --out=E.npz --model=m.safetensors --trunk=small_conv", "--model must stand alone"),
        ("images --out=E.npz --model=m.safetensors", "A model must be a file of --save-models with its card beside"),
        ("images --out=E.txt --trunk=small_conv --weights=w.pth", "must be one of .npy, .npz, .safetensors"),
        ("images --out=no/E.npz --trunk=small_conv --weights=w.pth", "The folder no must be there"),
        ("nothing --out=E.npz --trunk=small_conv --weights=w.pth", "No dataset named 'nothing'"),
        ("./nothing --out=E.npz --trunk=small_conv --weights=w.pth", "there is no nothing"),
        ("glyphs --no-labels --out=E.npz --trunk=small_conv --weights=w.pth", "but glyphs is a data set"),
        ("images --out=E.npz --trunk=small_conv --weights=w.pth --threads=0", "threads must lie in [1, 1024]"),
        ("images --out=E.npz --trunk=small_conv --weights=w.pth --device=toaster", "The device 'toaster'"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_embedded_is_one_sentence(words: str, sentence: str) -> None:
    Path("empty").mkdir()
    refused(mlrc("embed", *words.split()), sentence)
    refused(mlrc("embed", "empty", *TRUNK, "--out=E.npz"), "empty must hold images, but it holds none")
    assert not Path("E.npz").exists()


def test_names_are_counted_in_the_order_of_the_classes() -> None:
    assert names_in_order(["2", "10", "11"], None) == ["2", "10", "11"]
    assert names_in_order(["a", "c", "b"], None) == ["0 a", "1 c", "2 b"]
    assert names_in_order(["a", "c", "b"], 2) == ["a", "c", "b"]
    assert names_in_order(["c", "a", "b"], 2) == ["0 c", "1 a", "2 b"]
    many = [f"class {number}" for number in range(12)]
    assert names_in_order(many, None)[2] == "02 class 2"


def test_queries_of_a_set_without_a_split_of_its_own_stand_on_its_official_test_side(tiny_images: ImageSet) -> None:
    half = len(tiny_images.class_names) // 2
    facts = replace(tiny_images.facts, official_trainval_classes=half)
    test = tiny_images.labels >= half
    asks = test & (np.arange(len(test)) % 4 == 0)
    found = _of_set(replace(tiny_images, facts=facts, queries=asks, cameras=np.where(test, 3, -1)), None)
    assert found.test is not None
    assert found.queries is not None
    assert found.cameras is not None
    np.testing.assert_array_equal(found.test, test)
    np.testing.assert_array_equal(found.queries, asks)
    assert found.cameras.tolist() == ["3" if one else "" for one in test]
