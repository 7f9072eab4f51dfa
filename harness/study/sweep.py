"""A sweep, from names and values to the studies of its points: every combination of its factors, none of them searched.

Sweep + dataset → Comparison (one study per point) + SweepRecord (which point is which) → drive → ledger
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.plan.job import digest
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.comparison import Comparison, checked_comparison, decoded
from mlrc.harness.study.recorded_images import as_recorded
from mlrc.harness.study.same_plugins import require_same_plugins
from mlrc.harness.training.extraction import recipe
from mlrc.losses.spec import LossSpec
from mlrc.protocols.protocol import Protocol
from mlrc.protocols.suggestion import did_you_mean
from mlrc.protocols.sweep import LOSS, Choice, Sweep
from mlrc.results.records.ledger import LEDGER, Records, read
from mlrc.results.records.record import SweepPoint, SweepRecord

FIELDS = frozenset(field.name for field in fields(Protocol))
FORBIDDEN: Mapping[str, str] = {
    "name": "it is how rows are told apart",
    "version": "it says how the code reads the other fields",
    "repeats": "all points need the same number; give it with --repeats",
    "trials": "a sweep has no search",
    "startup_trials": "a sweep has no search",
    "sampler": "a sweep has no search",
    "searches": "a sweep has no search",
    "parallel_trials": "a sweep has no search",
    "fold_stopping": "a sweep has no search",
    "cut": "all points are tested on the same images",
}


class Planned(NamedTuple):
    """A sweep that is ready to run."""

    comparison: Comparison
    record: SweepRecord


def planned_sweep(
    sweep: Sweep,
    *,
    dataset: str,
    protocol: Protocol,
    repeats: int,
    root: Path,
    device: str,
    weights: Path | None = None,
    cache: Path | None = None,
    params: Sequence[str] = (),
    runs: Path | None = None,
    unchecked: bool = False,
    accepted: Collection[str] = (),
) -> Planned:
    """Check every point and give its study.

    Args:
        sweep: what is varied; its loss is the one of all points that name no other.
        dataset: as for `checked_comparison`, with the rest.
        protocol: of all points, but for what is varied.
        repeats: of every point.
        root: folder of the dataset.
        device: to train on.
        weights: of the trunk.
        cache: folder of the decode-once caches.
        params: `name=value` texts for what is not varied.
        runs: folder in which images keep the fingerprint that they have there.
        unchecked: train losses that break their contract, too.
        accepted: kinds of plug-ins that may be others than in `runs`.

    Raises:
        LookupError: no such loss or dataset.
        ValueError: a name that is neither a parameter nor a field, a field that no sweep may vary, a value that does
            not fit, or two points that are the same.
        OSError: the dataset is not there or cannot be read.
    """
    if not 1 <= len(sweep.factors) <= 2:
        raise ValueError(f"A sweep varies one or two factors, but got {len(sweep.factors)}; see mlrc sweep --help.")
    sweep = replace(sweep, loss=LOSSES.find(sweep.loss).name)  # a file's enters here
    names = [factor.name for factor in sweep.factors]
    if len(set(names)) < len(names):
        raise ValueError(f"Two factors must have two names, but both are {names[0]!r}; give all its values at once.")
    of_searches = {"searches": 1, "parallel_trials": 1, "fold_stopping": "none"}
    rules = protocol.vary({"repeats": repeats, "trials": 0, **of_searches})
    images = open_dataset(dataset, root)
    records = Records() if runs is None else read(runs / LEDGER)
    images = as_recorded(images, records)
    points: list[SweepPoint] = []
    prepared: list[Comparison] = []
    for choices in product(*(factor.choices for factor in sweep.factors)):
        loss, changes, given = _sorted(choices, LOSSES.find(sweep.loss), rules, images.facts.name)
        comparison = checked_comparison(
            dataset=dataset,
            losses=[loss],
            protocol=rules.set(changes),
            root=root,
            device=device,
            weights=weights,
            cache=cache,
            params=[*_known(params, LOSSES.find(loss), sweep.loss, given), *given],
            fall_back=True,
            images=images,
            unchecked=unchecked,
            decode=False,
        )
        study = comparison.studies[-1]
        points.append(
            SweepPoint(
                labels=tuple(choice.label for choice in choices),
                loss=loss,
                digest=study.protocol.digest,
                params=dict(study.params or {}),
                printed=tuple((one.source, one.title, one.place) for choice in choices for one in choice.printed),
            )
        )
        prepared.append(comparison)
    _require_different(points)
    first = prepared[0]
    if any(not np.array_equal(first.test, other.test) for other in prepared):
        raise ValueError("All points of a sweep must be tested on the same images, but what is varied changes them.")
    studies = tuple(one.studies[-1] for one in prepared)
    plugins = {key: origin for one in prepared for key, origin in one.workplace.origins.items()}
    require_same_plugins(studies, plugins, records.folds.values(), runs or Path(), accepted)
    inputs = {_input(one.studies[-1].protocol): one.studies[-1].protocol for one in prepared}
    for rules_of_input in inputs.values():  # only now, when all points are known to be right
        decoded(images, rules_of_input, cache, weights, [torch.device(name) for name in first.devices])
    record = SweepRecord(
        key="",
        name=sweep.name,
        title=sweep.title,
        source=sweep.source,
        note=sweep.note,
        dataset=images.facts.name,
        fingerprint=images.fingerprint,
        factors=tuple(names),
        points=tuple(points),
    )
    return Planned(
        comparison=replace(
            first,
            studies=studies,
            workplace=replace(
                first.workplace,
                losses={name: file for one in prepared for name, file in one.workplace.losses.items()},
                origins=plugins,
            ),
            broken={loss: found for one in prepared for loss, found in one.broken.items()},
        ),
        record=replace(record, key=digest(asdict(record))[:16]),
    )


def _input(protocol: Protocol) -> object:
    """Give what decides what is made of the images once, for all trainings."""
    return recipe(protocol) if protocol.trains == "head" else protocol.resize


def _sorted(
    choices: Sequence[Choice], spec: LossSpec, protocol: Protocol, dataset: str
) -> tuple[str, list[str], list[str]]:
    """Tell apart what the assignments of a point set: its loss, fields of the protocol, parameters of the loss."""
    texts = [text for choice in choices for text in choice.assignments]
    named = [text.partition("=")[2] for text in texts if text.partition("=")[0] == LOSS]
    spec = LOSSES.find(named[-1]) if named else spec
    of_loss = spec.parameters
    texts = _of_dataset(texts, of_loss, dataset)
    changes, given = [], []
    for text in texts:
        name = text.partition("=")[0]
        field = name.partition(".")[0]
        if name == LOSS:
            continue
        if field in FORBIDDEN:
            raise ValueError(f"A sweep must not vary {field}, because {FORBIDDEN[field]}.")
        if name in of_loss:
            given.append(text)
        elif field in FIELDS:
            changes.append(text)
        else:
            known = sorted({*of_loss, *FIELDS} - set(FORBIDDEN))
            hint = did_you_mean(name, known, f"The parameters are {', '.join(of_loss) or 'none'}.")
            raise ValueError(
                f"{name!r} must be a parameter of loss {spec.name!r} or a field of protocol {protocol.parent!r} to be "
                f"varied, but is neither. {hint}"
            )
    return spec.name, changes, given


def _of_dataset(texts: Sequence[str], of_loss: Iterable[str], dataset: str) -> list[str]:
    """Take `name.dataset=value` of a parameter of the loss for what it says, before what holds for all datasets."""
    general: list[str] = []
    particular: dict[str, str] = {}
    for text in texts:
        target, _, value = text.partition("=")
        name, dot, whose = target.partition(".")
        if not dot or name not in of_loss:
            general.append(text)
        elif whose == dataset:
            particular[name] = f"{name}={value}"
    return [*(text for text in general if text.partition("=")[0] not in particular), *particular.values()]


def _known(params: Sequence[str], spec: LossSpec, loss: str, varied: Sequence[str]) -> Iterator[str]:
    """Leave out what a point sets itself, and what a loss does not have that it takes in the place of the sweep's."""
    own = {text.partition("=")[0].strip() for text in varied}
    for text in params:
        name = text.partition("=")[0].rpartition(".")[2].strip()
        if name not in own and (spec.name == loss or name in spec.parameters):
            yield text


def _require_different(points: Sequence[SweepPoint]) -> None:
    seen: dict[object, tuple[str, ...]] = {}
    for point in points:
        same = seen.setdefault((point.loss, point.digest, tuple(sorted(point.params.items()))), point.labels)
        if same is not point.labels:
            raise ValueError(
                f"The points {', '.join(same)} and {', '.join(point.labels)} must differ, but are the same training; "
                "leave one of them out."
            )
