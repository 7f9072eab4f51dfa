"""Golden values of every formula on fixed batches and of first steps of training: what moves is named.

A class of devices has values of its own, since another one rounds otherwise; metrics and splits are the CPU's anywhere.
Whatever of this moves without intent is a fault of this code or of a library; what moves with intent is accepted with a
reason (`mlrc goldens --accept REASON`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from mlrc.harness.guard.canary import PARAMS
from mlrc.harness.guard.golden_training import of_training
from mlrc.harness.metrics.scores import separated_and_concatenated
from mlrc.harness.metrics.task import Task
from mlrc.harness.plugins import LOSSES, PROTOCOLS
from mlrc.losses.contract import rehearsal
from mlrc.losses.contract.space import centre
from mlrc.losses.spec import EVERY, LossSpec, Value
from mlrc.protocols.splits import class_folds, trainval_classes
from mlrc.results.publishing.drift import value_drift
from mlrc.results.publishing.verdict import Verdicts

Goldens = Mapping[str, Mapping[str, float]]
"""What of to measure to value."""

TOLERANCE = 1e-4
"""Relative; processors and versions of torch differ in the last bits of single precision, faults in the first ones."""
NDCG_AT, RECALL_AT, MAP_AT = (1, 2, 4, 8), (1, 2, 4, 8), (5,)
DATASET_CLASSES = {"cub200": 200, "cars196": 196, "sop": 22634}


CPU = torch.device("cpu")


def stored_in(folder: Path, device: torch.device) -> Path:
    """Give the file of a class of devices: `values.json` for CPUs, `values-cuda.json` and the like for others."""
    return folder / ("values.json" if device.type == "cpu" else f"values-{device.type}.json")


def goldens(device: torch.device = CPU) -> dict[str, dict[str, float]]:
    """Compute all golden values of what is installed here, losses and trainings on a device."""
    found = {f"loss {name}": of_loss(LOSSES.find(name), device) for name in LOSSES.names()}
    return {
        **found,
        "metrics": of_metrics(),
        **{f"split of {name}": of_split(n) for name, n in DATASET_CLASSES.items()},
        **{
            f"training with {loss} under {name}": of_training(protocol, loss, device)
            for name, protocol in ((name, PROTOCOLS.find(name)) for name in PROTOCOLS.names())
            for loss in PARAMS
        },
    }


def of_loss(spec: LossSpec, device: torch.device = CPU) -> dict[str, float]:
    """Give value and gradients of a loss at the centre of its space and at the parameters its papers report.

    The gradient of the embeddings is told by its norm and its component along a fixed random direction, that of the
    loss's own parameters by its norm.
    """
    found = {}
    for point, params in _points(spec):
        loss = rehearsal.build(spec, params)
        rehearsal.module(loss).to(device)
        embeddings, labels = (part.to(device) for part in rehearsal.batch(spec))
        direction = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(2)).to(device)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            step = rehearsal.in_float32(loss, embeddings, labels)
        found[f"{point}: value"] = float(step.value)
        found[f"{point}: gradient"] = float(step.gradient.norm())
        found[f"{point}: gradient along a direction"] = float((step.gradient * direction).sum())
        own = [parameter.grad for parameter in rehearsal.module(loss).parameters() if parameter.grad is not None]
        if own:
            found[f"{point}: gradient of the parameters"] = float(torch.stack([one.norm() for one in own]).norm())
    return found


def of_metrics() -> dict[str, float]:
    """Give every metric, separated and concatenated, of two random fold models on classes of 1 to 9 images."""
    generator = np.random.default_rng(20030850)
    labels = np.repeat(np.arange(12), generator.integers(1, 10, size=12))
    centres = generator.normal(size=(12, 16))
    folds = [(centres[labels] + 1.6 * generator.normal(size=(len(labels), 16))).astype(np.float32) for _ in range(2)]
    scores = separated_and_concatenated(
        folds, Task(labels.astype(np.int64)), ndcg_at=NDCG_AT, recall_at=RECALL_AT, map_at=MAP_AT, precision_at=(5,)
    )
    return {
        **{f"separated {name}": value for name, value in scores.separated.items()},
        **{f"concatenated {name}": value for name, value in scores.concatenated.items()},
        "queries left out": float(scores.left_out),
    }


def of_split(classes: int) -> dict[str, float]:
    """Give the first and the last class of each part of the Reality Check's four folds, and how many they are."""
    found = {"trainval classes": float(trainval_classes(classes))}
    for number, fold in enumerate(class_folds(trainval_classes(classes), folds=4, validation_fraction=0.25)):
        for part, members in (("train", fold.train), ("validation", fold.validation)):
            told = {"first": members[0], "last": members[-1], "number": len(members)}
            found |= {f"fold {number}, {part}: {what}": float(value) for what, value in told.items()}
    return found


def to_text(values: Goldens) -> str:
    """Give golden values as JSON with seven significant digits, one value per line."""
    rounded = {
        subject: {measure: float(f"{value:.7g}") for measure, value in measures.items()}
        for subject, measures in values.items()
    }
    return json.dumps(rounded, indent=1, sort_keys=True) + "\n"


def judge(reference: Path, found: Goldens) -> Verdicts:
    """Compare with stored golden values.

    Raises:
        FileNotFoundError: there are none.
        ValueError: the file is broken.
    """
    if not reference.is_file():
        raise FileNotFoundError(
            f"There are no golden values in {reference}, which are kept per class of devices; store them with "
            "mlrc goldens --accept REASON."
        )
    try:
        stored: Goldens = json.loads(reference.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"The golden values {reference} must be JSON, but {error}; restore the file.") from None
    return value_drift(stored, found, title="Drift of golden values", tolerance=TOLERANCE)


def _points(spec: LossSpec) -> Iterator[tuple[str, Mapping[str, Value]]]:
    yield "centre", centre(spec.space)
    reported = [spec.published, *(spec.under[family] for family in sorted(spec.under))]
    named = [(dataset, of[dataset]) for of in reported for dataset in sorted(of) if dataset != EVERY]
    for dataset, params in named[:1]:
        yield f"published for {dataset}", params
