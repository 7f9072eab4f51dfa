"""Vectors as a data set: what trained on their images trains on them, bit for bit; what does not fit is a sentence."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mlrc.harness.cli import app
from mlrc.harness.engine.perform import perform, record_of
from mlrc.harness.guard.verify import Chosen, prepared
from mlrc.harness.images.vectors import SEAL, open_vectors
from mlrc.harness.study import conduct, rules
from mlrc.harness.study.comparison import Comparison, checked_comparison
from mlrc.harness.study.disk import needed
from mlrc.harness.study.embedding import embed_images, of_trunk
from mlrc.harness.training.extraction import features_of
from mlrc.harness.training.fold import Trained
from mlrc.harness.trunks.small_conv import TRUNK
from mlrc.harness.vectors.reading import read
from mlrc.harness.vectors.vectors import Vectors
from mlrc.harness.vectors.writing import write
from mlrc.results.records.ledger import Records
from mlrc.results.records.record import ProtocolRecord
from tests.harness.conftest import any_params
from tests.harness.in_this_process import in_this_process

CPU = torch.device("cpu")
CHANGES = ("resize=20", "crop=16", "batch_size=16")


def _compared(dataset: str, root: Path, *changes: str, **trunk: str) -> Comparison:
    chosen = rules.chosen("reality_check_frozen", **trunk, changes=changes)
    return checked_comparison(
        dataset=dataset,
        losses=["contrastive"],
        protocol=chosen.protocol,
        root=root,
        device="cpu",
        weights=chosen.weights,
        cache=root / "cache",
    )


def _rows(compared: Comparison) -> torch.Tensor:
    return features_of(
        compared.images,
        compared.studies[0].protocol,
        weights=compared.workplace.weights,
        folder=compared.workplace.cache,
        devices=[CPU],
    ).central(np.arange(len(compared.images.labels)))


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(1)
    torch.save(TRUNK.build(1).state_dict(), tmp_path / "small_conv.pth")
    return str(tmp_path / "small_conv.pth")


@pytest.fixture
def written(tmp_path: Path, weights: str) -> Path:
    """Vectors of the glyphs, as `mlrc embed` writes them."""
    network = of_trunk("reality_check_frozen", "cpu", trunk="small_conv", weights=weights, changes=CHANGES)
    embed_images("glyphs", tmp_path / "glyphs.npz", network, root=tmp_path, threads=2, on_progress=lambda *_: None)
    return tmp_path / "glyphs.npz"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Anyone's vectors: of 12 classes of 9."""
    generator = np.random.default_rng(1)
    labels = np.repeat(np.arange(12), 9)
    vectors = generator.normal(size=(12, 24))[labels] + generator.normal(size=(108, 24))
    np.savez(tmp_path / "own.npz", embeddings=vectors, labels=labels)
    return tmp_path / "own.npz"


def test_vectors_that_embed_wrote_are_trained_on_as_their_images_are_bit_for_bit(
    tmp_path: Path, written: Path, weights: str
) -> None:
    of_images = _compared("glyphs", tmp_path, *CHANGES, trunk="small_conv", weights=weights)
    of_vectors = _compared(f"features:{written}", tmp_path, "batch_size=16")
    assert of_vectors.studies == of_images.studies
    assert np.array_equal(of_vectors.images.labels, of_images.images.labels)
    assert np.array_equal(of_vectors.test, of_images.test)
    assert torch.equal(_rows(of_vectors), _rows(of_images))


def test_other_vectors_under_the_same_origin_are_refused(tmp_path: Path, written: Path) -> None:
    vectors = read(written)
    changed = vectors.embeddings.copy()
    changed[3, 5] += 1
    write(tmp_path / "changed.npz", replace(vectors, embeddings=changed))
    with pytest.raises(ValueError, match=r"must hold what mlrc embed wrote, as its origin says, but labels or vectors"):
        open_vectors(tmp_path / "changed.npz")
    write(tmp_path / "free.npz", replace(vectors, embeddings=changed, origin={}))
    assert open_vectors(tmp_path / "free.npz").facts.name == "features:free"
    assert SEAL in vectors.origin


def test_anyone_s_vectors_are_a_data_set_under_a_fingerprint_of_what_they_are(tmp_path: Path, own: Path) -> None:
    compared = _compared(f"features:{own}", tmp_path)
    assert [study.loss for study in compared.studies] == ["untrained", "pca", "contrastive"]
    assert compared.studies[0].dataset == "features:own"
    assert compared.studies[0].protocol.name == "reality_check_frozen"
    with np.load(own) as file:
        assert np.array_equal(_rows(compared).numpy(), file["embeddings"].astype(np.float32))
        np.savez(tmp_path / "same.npz", vectors=file["embeddings"].astype(np.float32), targets=file["labels"])
        np.savez(tmp_path / "other.npz", vectors=file["embeddings"] * 2, targets=file["labels"])
    same, other = (open_vectors(tmp_path / f"{name}.npz") for name in ("same", "other"))
    assert same.fingerprint == compared.images.fingerprint != other.fingerprint


def test_split_queries_and_cameras_of_vectors_are_those_of_a_manifest(tmp_path: Path) -> None:
    labels = np.repeat(["b", "a", "c", "d"], 4)
    test = np.isin(labels, ["a", "d"])
    queries = test & (np.arange(16) % 4 == 0)
    cameras = np.array([str(number % 3) for number in range(16)])
    given = Vectors(embeddings=np.eye(16, dtype=np.float32), labels=labels, test=test, queries=queries, cameras=cameras)
    write(tmp_path / "people.safetensors", given)
    images = open_vectors(tmp_path / "people.safetensors")
    assert images.class_names == ("b", "c", "a", "d")
    assert images.trainval_classes == 2
    assert images.queries is not None
    assert images.queries.tolist() == queries.tolist()
    assert images.cameras is not None
    assert images.cameras.tolist() == [number % 3 for number in range(16)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (("views=2",), "holds one vector of each, so views must be 0, but is 2"),
        (
            ("trains=all", "trunk=small_conv"),
            r"holds vectors, on which only heads can be trained, but",
        ),
        (("trunk=small_conv",), "does not say that small_conv made its vectors, so trunk must be none; leave --trunk"),
    ],
)
def test_rules_that_do_not_fit_vectors_are_refused_before_any_work(
    tmp_path: Path, own: Path, changes: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        _compared(f"features:{own}", tmp_path, *changes)


def test_images_need_a_trunk_and_vectors_with_another_one_are_told(tmp_path: Path, written: Path, weights: str) -> None:
    with pytest.raises(ValueError, match=r"A trunk must be named to see images with, but trunk=none takes vectors"):
        _compared("glyphs", tmp_path)
    with pytest.raises(ValueError, match=r"was made with crop=16, but the protocol says 18; leave it out"):
        _compared(f"features:{written}", tmp_path, "resize=20", "crop=18", trunk="small_conv", weights=weights)


def test_vectors_without_labels_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "bare.npy", np.eye(4, dtype=np.float32))
    with pytest.raises(ValueError, match=r"must tell the class of each row, but has no column labels; add it, or"):
        open_vectors(tmp_path / "bare.npy")
    (tmp_path / "bare.csv").write_text("label\na\na\nb\nb\n")
    assert open_vectors(tmp_path / "bare.npy").labels.tolist() == [0, 0, 1, 1]


def test_the_example_of_the_readme_gives_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(
        r"```python\n(import numpy as np, sklearn.*?)```\n\n    (mlrc run .*?)\n\n", readme, flags=re.S
    )
    lines, command = example
    monkeypatch.chdir(tmp_path)
    exec(lines, {})  # noqa: S102 our own README
    words = shlex.split(command.replace("\\\n", " "))
    small = ("trials=1", "startup_trials=1", "repeats=1", "max_epochs=2", "iterations_per_epoch=5")
    monkeypatch.setattr(conduct, "in_processes", lambda workplace, _, told, **rest: in_this_process(workplace, told))
    found = CliRunner().invoke(app, [*words[1:], *(word for one in small for word in ("--set", one))])
    assert found.exit_code == 0, found.output
    table = (tmp_path / "runs" / "table.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")][2:]
    assert sorted(rows[:2]) == ["| contrastive", "| proxy_anchor"]
    assert rows[2:] == ["| pca", "| untrained"]
    assert "The row “untrained” is the vectors as they are, and is not ranked." in table


def test_the_room_of_a_run_on_vectors_is_told_without_a_trunk(tmp_path: Path, own: Path) -> None:
    compared = _compared(f"features:{own}", tmp_path)
    apart = needed(compared, 1, models_kept=True) - needed(compared, 1, models_kept=False)
    protocol = compared.studies[0].protocol
    assert apart == protocol.repeats * protocol.folds * 4 * (24 + 1) * protocol.embedding_size


def test_recorded_heads_are_ready_to_be_trained_again_from_images_and_from_vectors(
    tmp_path: Path, own: Path, weights: str
) -> None:
    for dataset, given in ((f"features:{own}", {}), ("glyphs", {"trunk": "small_conv", "weights": weights})):
        compared = _compared(dataset, tmp_path, *(CHANGES if given else ()), **given)
        rules, study = compared.studies[0].protocol, compared.studies[-1]
        (job, *_) = study.jobs("final", 0, any_params("contrastive"))
        records = Records()
        records.add(ProtocolRecord(digest=job.protocol.digest, name=rules.name, fields=rules.to_json(), changes={}))
        record = record_of(job, Trained("done", None, (), None, None), compared.workplace, 1.0)
        root = own if dataset.startswith("features") else tmp_path
        (task,) = prepared(
            Chosen(tmp_path, records, (record,)),
            root,
            device="cpu",
            weights=Path(weights) if given else None,
            cache=tmp_path / "again",
        )
        again = perform(task.jobs[0], task.workplace, lambda *_: None, lambda: False).record
        first = perform(job, compared.workplace, lambda *_: None, lambda: False).record
        assert again.outcome == "done", again.message
        assert again.history == first.history
