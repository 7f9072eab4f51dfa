"""What `mlrc embed` does: images and a network in, a file of vectors out, which `mlrc evaluate` reads."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mlrc.harness.images.content import OnProgress
from mlrc.harness.images.files import FilePixels
from mlrc.harness.images.vectors import RECIPE, SEAL, seal
from mlrc.harness.machine.determinism import deterministic_device, prepare_process
from mlrc.harness.machine.environment import resolve_device
from mlrc.harness.machine.given import require_content
from mlrc.harness.study import rules
from mlrc.harness.study.embeddable import embeddable
from mlrc.harness.training.embedding import embed_all
from mlrc.harness.training.extraction import ALWAYS
from mlrc.harness.training.model import Embedder, build, rehearse
from mlrc.harness.training.saved_model import load
from mlrc.harness.trunks.weights import sha256_of
from mlrc.harness.vectors.vectors import Vectors
from mlrc.harness.vectors.writing import require_writable, write
from mlrc.protocols.protocol import Protocol

MOST_THREADS = 1024


class Network(NamedTuple):
    """What embeds.

    Attributes:
        network: on its device.
        protocol: whose transform for evaluation it expects.
        device: where it is.
        features: whether the trunk's pooled output is the embedding, not the head's.
        origin: what to write of it beside the vectors.
        trained_on: fingerprint of the images that it was trained on, with their cut; `None` for a trunk.
    """

    network: Embedder
    protocol: Protocol
    device: torch.device
    features: bool
    origin: Mapping[str, str]
    trained_on: tuple[str, str] | None = None


class Embedded(NamedTuple):
    """What was written: the vectors, the files, and what there is to say."""

    vectors: Vectors
    files: tuple[Path, ...]
    remarks: tuple[str, ...]


def of_model(file: Path, device: str) -> Network:
    """Load a model that `--save-models` kept; its embeddings are as they were scored, and of any length.

    Raises:
        FileNotFoundError: the file or its card is not there.
        ValueError: they do not fit each other, or the device is not there.
    """
    for path in (file, file.with_suffix(".json")):
        if not path.is_file():
            raise FileNotFoundError(
                f"A model must be a file of --save-models with its card beside it, but there is no {path}; check the "
                "path."
            )
    model = load(file)
    if model.of_vectors:
        raise ValueError(
            f"A model must hold its trunk to embed images, but {file} is a head on features of "
            f"{model.protocol.trunk}; in Python, mlrc.load(file, weights=FILE) puts it on its trunk."
        )
    place = _device(device, model.protocol)
    card = model.card
    origin = {
        "loss": str(card["loss"]),
        "dataset": str(card["dataset"]["name"]),
        "protocol": f"{card['protocol']['name']} ({card['protocol']['digest']})",
        "model": sha256_of(file),
    }
    trained_on = str(card["dataset"]["fingerprint"]), str(card["dataset"]["cut"])
    return Network(model.network.to(place), model.protocol, place, False, origin, trained_on)


def of_trunk(
    protocol: str, device: str, *, trunk: str | None, weights: str | None, changes: Sequence[str] = ()
) -> Network:
    """Build a trunk with its weights, without a head; its embeddings are the pooled output as it is.

    Raises what `rules.chosen`, `build` and `rehearse` raise, and `ValueError` without weights.
    """
    require_content(trunk=trunk, weights=weights)
    if weights is None:
        raise ValueError(
            "A trunk must have its weights, or the vectors would be random, but none were given; give --weights FILE."
        )
    chosen = rules.chosen(protocol, trunk=trunk, weights=weights, changes=changes)
    whole = replace(chosen.protocol, trains="all", views=0, scaling="none")
    network = build(whole, seed=0, weights=chosen.weights)
    rehearse(network, chosen.protocol)
    place = _device(device, chosen.protocol)
    rule = chosen.protocol
    origin = {
        "trunk": rule.trunk,
        "weights": rule.weights,
        "pooling": rule.pooling,
        "transform": f"resize {rule.resize}, crop {rule.crop}",
        "precision": rule.precision,
        RECIPE: json.dumps({name: getattr(rule, name) for name in ALWAYS}),
    }
    return Network(network.to(place).eval(), rule, place, True, origin)


def embed_images(
    images: str,
    out: Path,
    network: Network,
    *,
    root: Path,
    with_classes: bool = True,
    threads: int | None = None,
    on_progress: OnProgress,
) -> Embedded:
    """Embed images and write the vectors with what is told of each.

    Args:
        images: a name of a data set, `folder:PATH`, or the path of a folder, a manifest or one image.
        out: file to write, in the format of its suffix.
        network: what embeds.
        root: folder of the data set; hashes of files are remembered in its `cache`.
        with_classes: whether the sub-folders of a folder are classes.
        threads: that work side by side.
        on_progress: told of long work.

    Raises:
        LookupError: there is no such data set.
        FileNotFoundError: images or a folder are not there.
        ValueError: images cannot be used; all of those are named together.
    """
    require_writable(out)
    given = embeddable(images, root, with_classes=with_classes, trained_on=network.trained_on, on_progress=on_progress)
    if isinstance(given.pixels, FilePixels):
        given.pixels.require_headers(given.name, threads=threads or os.cpu_count() or 1)
    found = embed_all(
        network.network,
        given.pixels,
        network.protocol,
        network.device,
        features=network.features,
        threads=threads,
        progress=lambda done, total: on_progress(f"embedding {given.name}", done, total),
    )
    if not np.isfinite(found).all():
        raise ValueError("Embeddings must be finite, but the network gives NaN or infinity; its weights diverged.")
    vectors = Vectors(
        embeddings=found,
        labels=given.labels,
        paths=given.paths,
        test=given.test,
        queries=given.queries,
        cameras=given.cameras,
        origin={
            **network.origin,
            "images": given.name,
            "fingerprint": given.fingerprint,
            "mlrc": version("mlrc"),
        },
    )
    if RECIPE in vectors.origin:
        vectors = replace(vectors, origin={**vectors.origin, SEAL: seal(vectors)})
    return Embedded(vectors, write(out, vectors), given.remarks)


def _device(name: str, protocol: Protocol) -> torch.device:
    """Give the device, torch brought to where it gives the same bits; a precision of GPUs is float32 elsewhere."""
    prepare_process()
    return deterministic_device(name, protocol.precision if resolve_device(name).type == "cuda" else "float32")
