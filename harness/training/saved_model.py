"""The models of the final stage, kept for use elsewhere: weights as safetensors, and a card that says what they are.

import mlrc
model = mlrc.load("runs/models/0123456789abcdef.safetensors")
embeddings = model.embed(["one.jpg", "another.jpg"])  # (2, embedding size), unit rows
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_weights

from mlrc.harness.images.files import FilePixels
from mlrc.harness.images.resize import ResizedPixels
from mlrc.harness.machine.atomic import write_atomically
from mlrc.harness.metrics.scores import unit_rows
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.training.fold import Subset, embed
from mlrc.harness.training.model import Embedder
from mlrc.protocols.protocol import PerDataset, Protocol
from mlrc.results.records.record import FoldRecord, RunRecord


@dataclass(frozen=True)
class SavedModel:
    """A trained network with the card that tells its origin.

    Attributes:
        card: loss, params, dataset, protocol with its digest and fields, scores, environment.
    """

    network: Embedder
    protocol: Protocol
    card: Mapping[str, Any]

    def embed(self, images: Sequence[str | Path] | Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed images by the protocol's transform for evaluation: `(images, embedding_size)`, unit rows.

        Args:
            images: paths of image files, or uint8 arrays `(height, width, 1 or 3)`, RGB.

        A zero embedding stays zero.

        Raises:
            ValueError: a file is no whole image, or paths and arrays come together.
        """
        files = [str(image) for image in images if isinstance(image, str | Path)]
        if files and len(files) < len(images):
            raise ValueError(
                f"Images must be all paths or all arrays, but {len(files)} of {len(images)} are paths; give one kind."
            )
        arrays = [image for image in images if not isinstance(image, str | Path)]
        pixels = ResizedPixels(FilePixels(Path(), files) if files else arrays, self.protocol.resize)
        rows = np.arange(len(pixels))
        device = next(self.network.parameters()).device
        return unit_rows(embed(self.network, Subset(pixels, np.zeros_like(rows), rows), self.protocol, device))


def load(path: str | Path, device: str = "cpu") -> SavedModel:
    """Load a model that `--save-models` kept.

    Raises:
        OSError: the file or its card is not there.
        ValueError: they do not fit each other.
    """
    file = Path(path)
    card = json.loads(_card(file).read_text(encoding="utf-8"))
    try:
        protocol = _protocol(card["protocol"]["fields"])
        network = Embedder(replace(protocol, weights=""))  # the file has the trunk's weights as training left them
        network.load_state_dict(load_weights(file.read_bytes()))
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"{file} must hold a model of this version of mlrc with the weights that its card describes, but does not "
            f"({error}); load it with the version that the card names."
        ) from error
    return SavedModel(network.to(device).eval(), protocol, card)


class ModelFiles:
    """The folder `models` of a run: `<job key>.safetensors` and `<job key>.json`."""

    def __init__(self, runs: Path) -> None:
        self._folder = runs / "models"

    def save(self, job: FoldJob, record: FoldRecord, weights: bytes) -> None:
        """Write a model and its card, each whole or not at all."""
        card = {
            "loss": job.loss,
            "params": dict(job.params),
            "dataset": {"name": job.dataset, "fingerprint": job.fingerprint, "cut": record.cut},
            "protocol": {"name": job.protocol.name, "digest": record.digest, "fields": job.protocol.to_json()},
            "repeat": job.number,
            "fold": job.fold,
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


def _card(file: Path) -> Path:
    return file.with_suffix(".json")


def _protocol(fields: Mapping[str, Any]) -> Protocol:
    return Protocol(**{name: _frozen(value) for name, value in fields.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        named = tuple((name, _frozen(one)) for name, one in value["named"])
        return PerDataset(_frozen(value["default"]), named)
    return tuple(value) if isinstance(value, list) else value
