"""The retrieval gallery: which queries are shown, what they found, and their pictures as the report embeds them.

Its embeddings are made anew from the models of one repeat, which `mlrc run --save-models` keeps.
"""

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mlrc.harness.features.rows import Features
from mlrc.harness.images.cache import cached
from mlrc.harness.images.content import OnProgress
from mlrc.harness.images.dataset import ImageSet, Pixels
from mlrc.harness.metrics.asked import Similarity, asked, similarity_of
from mlrc.harness.metrics.ranking.nearest import NONE, nearest
from mlrc.harness.metrics.scores import ask, joined
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.split import as_asked, test_images
from mlrc.harness.training.extraction import features_of
from mlrc.harness.training.fold import Subset, embed
from mlrc.harness.training.saved_model import load
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.evidence import Evidence
from mlrc.results.records.record import RunRecord
from mlrc.results.rendering.gallery import Gallery, Kind, Picture, Query

NEIGHBOURS = 8
QUERIES_PER_KIND = 2
SIDE = 96  # pixels of a thumbnail's longer side


class Chosen(NamedTuple):
    """A query, by its place among the test images."""

    kind: Kind
    place: int


class Studio(NamedTuple):
    """Where the embeddings of a gallery are made.

    Attributes:
        models: the folder `models` of the run.
        images: the dataset.
        cache: folder of its decode-once cache, if it has one.
        device: to embed on.
    """

    models: Path
    images: ImageSet
    cache: Path | None = None
    device: str = "cpu"

    def file(self, key: str) -> Path:
        """Give where the model of a job lies if it was kept."""
        return self.models / f"{key}.safetensors"


def repeat_with_models(evidence: Evidence, models: Path) -> RunRecord | None:
    """Give the first repeat whose models were all kept."""
    there = {path.stem for path in models.glob("*.safetensors")}
    return next((run for run in evidence.runs if there.issuperset(run.fold_keys)), None)


def galleries(run: RunRecord, studio: Studio, *, dataset: str, on_progress: OnProgress) -> list[Gallery]:
    """Give the galleries of a repeat whose models were kept; see `of_run`.

    Raises:
        OSError: a model or an image cannot be read.
        ValueError: a model does not fit its card.
    """
    test = test_images(studio.images, run.cut)
    folds = []
    for place, key in enumerate(run.fold_keys):
        on_progress(f"{run.loss}: embedding test images for the gallery", place, len(run.fold_keys))
        model = load(studio.file(key), studio.device)
        pixels = _given(studio, model.protocol, next(model.network.parameters()).device)
        subset = Subset(pixels, studio.images.labels, test)
        folds.append(embed(model.network, subset, model.protocol, next(model.network.parameters()).device))
    similarity = similarity_of(model.protocol)
    return of_run(run, folds, as_asked(studio.images, model.protocol), dataset=dataset, similarity=similarity)


def _given(studio: Studio, protocol: Protocol, device: torch.device) -> Pixels | Features:
    """Give what a model is given of the images: where it is a head, the features of the run, without its trunk."""
    if protocol.trains == "head":
        return features_of(studio.images, protocol, weights=None, folder=studio.cache, devices=[device])
    return cached(studio.images, protocol.resize, folder=studio.cache)


def of_run(
    run: RunRecord,
    folds: Sequence[NDArray[np.float32]],
    images: ImageSet,
    *,
    dataset: str,
    similarity: Similarity = "cosine",
) -> list[Gallery]:
    """Give the gallery of the first fold model and that of the concatenation, with the same queries.

    Where a repeat has one model there is one gallery, of that model.

    Args:
        run: the repeat; its key seeds the choice among equals.
        folds: test embeddings of its fold models, `(test images, dim)`.
        images: the dataset; test images that only ask (`images.queries`) are in no gallery.
        dataset: its name in the tables.
        similarity: by which images are near.
    """
    test = test_images(images, run.cut)
    labels = images.labels[test]
    asks = np.ones(len(test), dtype=bool) if images.queries is None else images.queries[test]
    answers = np.ones(len(test), dtype=bool) if images.queries is None else ~images.queries[test]
    concatenation = joined(folds, similarity)
    if len(folds) > 1:
        models = {"fold 0": joined(folds[:1], similarity), "concatenation": concatenation}
    else:
        models = {"the one model": concatenation}
    cameras = None if images.cameras is None else images.cameras[test]
    precision = {
        name: _average_precision(model, labels, asks, cameras, similarity=similarity) for name, model in models.items()
    }
    (*_, of_all) = precision.values()
    chosen = choose(of_all, seed=int(run.key, 16))
    places = np.array([place for _, place in chosen], dtype=np.int64)
    shown = {
        name: neighbours(model, places, labels, answers, cameras=cameras, similarity=similarity)
        for name, model in models.items()
    }
    return [
        Gallery(
            dataset=dataset,
            digest=run.digest,
            loss=run.loss,
            model=f"{name} of repeat {run.number}" + (f" of search {run.search}" if run.search else ""),
            queries=tuple(
                Query(
                    kind=kind,
                    picture=_picture(images, int(test[place]), right=True),
                    average_precision=100 * float(precision[name][place]),
                    neighbours=tuple(
                        _picture(images, int(test[found]), right=bool(labels[found] == labels[place])) for found in mine
                    ),
                )
                for (kind, place), mine in zip(chosen, shown[name], strict=True)
            ),
        )
        for name, model in models.items()
    ]


def choose(precision: NDArray[np.float64], *, seed: int) -> list[Chosen]:
    """Choose the queries with the highest, the most typical (median) and the lowest average precision.

    Args:
        precision: `(test images,)`, NaN for images that do not ask or have no positive.
        seed: of the choice among equals.
    """
    known = np.flatnonzero(~np.isnan(precision))
    shuffled = np.random.default_rng(seed).permutation(known)
    from_median = np.abs(precision[shuffled] - np.median(precision[known]))
    orders = {"best": -precision[shuffled], "typical": from_median, "worst": precision[shuffled]}
    found: list[Chosen] = []
    for kind in get_args(Kind):
        taken = {one.place for one in found}
        order = (int(index) for index in shuffled[np.argsort(orders[kind], kind="stable")])
        free = [index for index in order if index not in taken]
        found += [Chosen(kind, index) for index in free[:QUERIES_PER_KIND]]
    return found


def neighbours(
    model: NDArray[np.float32],
    places: NDArray[np.int64],
    labels: NDArray[np.int64],
    answers: NDArray[np.bool_],
    *,
    cameras: NDArray[np.int64] | None = None,
    similarity: Similarity = "cosine",
) -> list[list[int]]:
    """Give the first `NEIGHBOURS` of the images at some places, as the metrics rank them.

    Args:
        model: `(test images, dim)`.
        places: of the images that ask.
        labels: `(test images,)`.
        answers: `(test images,)`, whether an image is searched; none finds itself.
        cameras: `(test images,)`; images of a query's label and camera are left out.
        similarity: by which images are near.
    """
    searched = np.flatnonzero(answers)
    question = asked(
        model[places],
        labels[places],
        gallery_embeddings=model[searched],
        gallery_labels=labels[searched],
        cameras=None if cameras is None else cameras[places],
        gallery_cameras=None if cameras is None else cameras[searched],
        identities=places,
        gallery_identities=searched,
        similarity=similarity,
        depth=NEIGHBOURS,
    )
    found = nearest(question.ranking, NEIGHBOURS).indices
    return [searched[indices[indices != NONE]].tolist() for indices in found]


def _average_precision(
    model: NDArray[np.float32],
    labels: NDArray[np.int64],
    asks: NDArray[np.bool_],
    cameras: NDArray[np.int64] | None,
    *,
    similarity: Similarity,
) -> NDArray[np.float64]:
    """Give MAP@R of each image `(test images,)`, NaN where there is none."""
    found = ask(model, Task(labels, None if asks.all() else asks, cameras), similarity=similarity)
    values = np.full(len(labels), np.nan)
    values[np.flatnonzero(asks)[found.queries]] = found.per_query["MAP@R"]
    return values


def _picture(images: ImageSet, index: int, *, right: bool) -> Picture:
    array = images.pixels[index]
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    small = max(picture.size) <= SIDE
    picture.thumbnail((SIDE, SIDE))
    content = BytesIO()
    picture.save(content, format="PNG" if small else "JPEG", **({} if small else {"quality": 80}))
    kind = "png" if small else "jpeg"
    address = f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
    return Picture(image=address, label=images.class_names[int(images.labels[index])], right=right)
