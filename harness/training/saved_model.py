"""The models of the final stage, kept for use elsewhere: weights as safetensors, and a card that says what they are.

import mlrc
model = mlrc.load("runs/models/0123456789abcdef.safetensors")  # of a head: weights="the file of its trunk"
embeddings = model.embed(["one.jpg", "another.jpg"])  # (2, embedding size), unit rows
"""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from torch import Tensor

from mlrc.harness.features.rows import Features
from mlrc.harness.images.decoding import FAULTS, decode, rgb
from mlrc.harness.images.resize import resize
from mlrc.harness.machine.atomic import write_atomically
from mlrc.harness.metrics.scores import unit_rows
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.training.fold import EVALUATION_BATCH, Subset, embed
from mlrc.harness.training.model import Embedder, build, frozen_trunk
from mlrc.protocols.protocol import NO_TRUNK, PerDataset, Protocol
from mlrc.results.records.record import FoldRecord, RunRecord

Given = str | Path | NDArray[np.uint8] | Image.Image
"""One image as a user has it."""


@dataclass(frozen=True)
class SavedModel:
    """A trained network with the card that tells its origin.

    Attributes:
        card: loss, params, dataset, protocol with its digest and fields, scores, environment.
        of_vectors: whether it is a head without its trunk, which embeds features in the place of images.
    """

    network: Embedder
    protocol: Protocol
    card: Mapping[str, Any]
    of_vectors: bool = False

    def embed(self, images: Sequence[Given] | NDArray[np.uint8], *, threads: int | None = None) -> NDArray[np.float32]:
        """Embed images by the protocol's transform for evaluation: `(images, embedding_size)`, unit rows.

        A zero embedding stays zero. No image gives `(0, embedding_size)`.

        Args:
            images: paths of image files, uint8 arrays `(height, width)` or `(height, width, 1 or 3)` in RGB, or PIL
                images, in any mixture. Files and PIL images are read as those of a dataset are.
            threads: that decode side by side; by default one per core.

        Raises:
            ValueError: a file is no whole image, or an image has another shape or a range that is not known.
            TypeError: an image is none of these.
        """
        if self.of_vectors:
            return self._of_vectors(images)
        if isinstance(images, str | Path | Image.Image) or getattr(images, "ndim", 4) < 4:
            raise TypeError(
                f"Images must be a sequence of images, but are one {type(images).__name__}; put it in a list."
            )
        if len(images) == 0:
            return np.zeros((0, self.protocol.embedding_size), dtype=np.float32)
        device = next(self.network.parameters()).device
        parts = []
        with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
            for start in range(0, len(images), EVALUATION_BATCH):
                given = enumerate(images[start : start + EVALUATION_BATCH], start=start)
                read = list(pool.map(lambda one: resize(_pixels(*one), self.protocol.resize), given))
                if len({image.shape[2] for image in read}) > 1:
                    read = [np.broadcast_to(image, (*image.shape[:2], 3)) for image in read]
                rows = np.arange(len(read))
                parts.append(embed(self.network, Subset(read, np.zeros_like(rows), rows), self.protocol, device))
        return unit_rows(np.concatenate(parts))

    def _of_vectors(self, rows: Any) -> NDArray[np.float32]:
        """Embed features `(rows, width)`; raises `ValueError` for anything else."""
        if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != self.network.width:
            trunk = self.protocol.trunk
            way_out = f", or load the model with weights=FILE, those of {trunk}, to embed images"
            raise ValueError(
                f"A head embeds vectors (rows, {self.network.width}) as an array, but got "
                f"{getattr(rows, 'shape', type(rows).__name__)}; give these{'' if trunk == NO_TRUNK else way_out}."
            )
        device = next(self.network.parameters()).device
        labels = np.zeros(len(rows), dtype=np.int64)
        if not len(rows):
            return np.zeros((0, self.protocol.embedding_size), dtype=np.float32)
        subset = Subset(Features(rows[None].astype(np.float32)), labels, np.arange(len(rows)))
        return unit_rows(embed(self.network, subset, self.protocol, device))


def load(path: str | Path, device: str = "cpu", weights: str | Path | None = None) -> SavedModel:
    """Load a model that `--save-models` kept.

    Args:
        path: of the model, its card beside it.
        device: to put it on.
        weights: of the trunk, where the model is a head on features that this gave; without them it embeds vectors.

    Raises:
        OSError: a file is not there.
        ValueError: they do not fit each other.
    """
    file = Path(path)
    card = json.loads(_card(file).read_text(encoding="utf-8"))
    try:
        protocol = _protocol(card["protocol"]["fields"])
        # the file has the trunk's weights as training left them, and so no draw matters
        learnt = load_weights(file.read_bytes())
        network = build(replace(protocol, weights=""), seed=0, width=_width(protocol, learnt))
        network.load_state_dict(learnt)
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"{file} must hold a model of this version of mlrc with the weights that its card describes, but does not "
            f"({error}); load it with the version that the card names."
        ) from error
    if weights is not None:
        if protocol.trains == "all" or protocol.trunk == NO_TRUNK:
            what = "holds its trunk" if protocol.trains == "all" else "embeds vectors without a trunk"
            raise ValueError(f"{file} {what}, so weights must not be given; leave them out.")
        frozen = frozen_trunk(protocol, Path(weights))
        network.trunk, network.pool = frozen.trunk, frozen.pool
        return SavedModel(network.to(device).eval(), protocol, card)
    return SavedModel(network.to(device).eval(), protocol, card, of_vectors=protocol.trains == "head")


def _width(protocol: Protocol, learnt: Mapping[str, Tensor]) -> int | None:
    """Give how wide the features are that a head takes; a whole network knows it of its trunk."""
    if protocol.trains == "all":
        return None
    first = next(name for name in ("head.weight", "head.0.weight") if name in learnt)
    return learnt[first].shape[1]


class ModelFiles:
    """The folder `models` of a run: `<job key>.safetensors` and `<job key>.json`."""

    def __init__(self, runs: Path) -> None:
        self._folder = runs / "models"

    def save(self, job: FoldJob, record: FoldRecord, weights: bytes) -> None:
        """Write a model and its card, each whole or not at all."""
        protocol = job.protocol
        of_features = (
            {"trunk": {"name": protocol.trunk, "weights": protocol.weights}} if protocol.trains == "head" else {}
        )
        card = {
            "loss": job.loss,
            "params": dict(job.params),
            "dataset": {"name": job.dataset, "fingerprint": job.fingerprint, "cut": record.cut},
            "protocol": {"name": job.protocol.name, "digest": record.digest, "fields": job.protocol.to_json()},
            **({"search": job.search} if job.search else {}),
            "repeat": job.number,
            "fold": job.fold,
            **of_features,
            **_judged(job, record),
            "environment": asdict(record.environment),
        }
        write_atomically(self._folder / f"{job.key}.safetensors", weights)
        self._write(job.key, card)

    def add_scores(self, run: RunRecord) -> None:
        """Add the test scores of a repeat to the cards of its models, as far as these were kept."""
        for key in run.fold_keys:
            path = self._folder / f"{key}.json"
            if path.exists():
                card = json.loads(path.read_text(encoding="utf-8"))
                scores = {"separated": dict(run.separated), "concatenated": dict(run.concatenated)}
                self._write(key, card | {"test_of_the_repeat": scores})

    def _write(self, key: str, card: Mapping[str, Any]) -> None:
        write_atomically(self._folder / f"{key}.json", json.dumps(card, indent=2, ensure_ascii=False).encode())


def _judged(job: FoldJob, record: FoldRecord) -> dict[str, dict[str, Any]]:
    """Tell by what the epoch was chosen; nothing where it is the last of all."""
    if not record.history:
        return {}
    on_test = job.protocol.epoch_choice == "best_on_test"
    return {
        "epoch_chosen_on_test" if on_test else "validation": {
            "metric": job.protocol.selection_metric,
            "percent": record.best_score,
            "epoch": record.best_epoch,
            "epochs": record.history[-1][0],
        }
    }


def _pixels(number: int, image: Given) -> NDArray[np.uint8]:
    """Give `(height, width, 1 or 3)` of the image with that number in the list."""
    if isinstance(image, str | Path):
        return decode(Path(image))
    if isinstance(image, Image.Image):
        try:
            return rgb(image)
        except FAULTS as error:
            raise ValueError(f"Image {number} must be one that can be read, but {error}.") from error
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"Image {number} must be a path, a uint8 array or a PIL image, but is {type(image).__name__}; convert it."
        )
    shaped = image[:, :, None] if image.ndim == 2 else image
    if image.dtype != np.uint8 or shaped.ndim != 3 or shaped.shape[2] not in (1, 3) or not shaped.size:
        raise ValueError(
            f"Image {number} must be a uint8 array (height, width) or (height, width, 1 or 3), but is {image.dtype} "
            f"{image.shape}; convert it, with 0 black and 255 white."
        )
    return shaped


def _card(file: Path) -> Path:
    return file.with_suffix(".json")


def _protocol(fields: Mapping[str, Any]) -> Protocol:
    return Protocol(**{name: _frozen(value) for name, value in fields.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        named = tuple((name, _frozen(one)) for name, one in value["named"])
        return PerDataset(_frozen(value["default"]), named)
    return tuple(value) if isinstance(value, list) else value
