"""One comparison: from the words of a command to checked values, and from those to records.

Everything that a user can get wrong is found in `checked_comparison`, before any work is spent.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.images.cache import cached
from mlrc.harness.images.catalogue import open_dataset
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.images.files import FilePixels
from mlrc.harness.machine import environment
from mlrc.harness.metrics import clustering
from mlrc.harness.plan import parameters
from mlrc.harness.plan.split import OWN, split
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study, baselines, of_all_searches
from mlrc.harness.plugin_files import PluginFile
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.recorded_images import as_recorded
from mlrc.harness.study.same_plugins import origins, require_same_plugins
from mlrc.harness.training import batches, model
from mlrc.harness.training.extraction import features_of, of_vectors
from mlrc.harness.watch.steps import steps
from mlrc.losses.contract.before_a_run import broken
from mlrc.losses.contract.promises import Finding
from mlrc.losses.spec import LossSpec
from mlrc.protocols.datasets import features
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.ledger import LEDGER, Records, read
from mlrc.results.records.record import UncheckedRecord


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Losses on one dataset under one protocol, checked and ready to run.

    Attributes:
        studies: those that no loss made first, the untrained trunk above all; then the losses.
        images: the opened dataset.
        test: indices of its test images.
        workplace: where the jobs are done, on the first of the `devices`.
        broken: loss to what it was found to break of the contract, of the losses that run all the same.
    """

    studies: tuple[Study, ...]
    images: ImageSet
    test: NDArray[np.int64]
    workplace: Workplace
    devices: tuple[str, ...]
    broken: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)

    def unchecked(self) -> Iterator[UncheckedRecord]:
        """Give the records by which the rows of such losses say so."""
        for study in self.studies:
            if (findings := self.broken.get(study.loss)) and study.search == 0:
                digest, dataset, fingerprint, loss = study.identity
                yield UncheckedRecord(
                    digest=digest,
                    dataset=dataset,
                    fingerprint=fingerprint,
                    loss=loss,
                    broken=tuple(finding.check for finding in findings),
                )


def checked_comparison(
    *,
    dataset: str,
    losses: Sequence[str | LossSpec],
    protocol: Protocol,
    root: Path,
    device: str,
    weights: Path | None = None,
    cache: Path | None = None,
    params: Sequence[str] = (),
    fall_back: bool = False,
    images: ImageSet | None = None,
    runs: Path | None = None,
    unchecked: bool = False,
    accepted: Collection[str] = (),
    decode: bool = True,
) -> Comparison:
    """Check everything, open the dataset, and build its decode-once cache in the folder `cache` if it needs one.

    A loss is given as `found_losses` takes it. One of whose parameters some are given in `params` is not searched; see
    `mlrc.harness.plan.parameters`. `fall_back` is passed on to it. A dataset that is open already may be given as
    `images`; with `decode=False` its cache is left to `decoded`. In the folder `runs` images keep the fingerprint that
    they have there, and a plug-in that is another now is refused, unless its kind is `accepted`. A loss that breaks a
    promise on which resume, seeds and devices rest is refused, or `unchecked` and noted.

    Raises:
        LookupError: no such loss, dataset or trunk.
        ValueError: the protocol does not fit the dataset, a loss or this machine; a loss breaks its contract; or a
            plug-in was changed.
        OSError: the dataset is not there or cannot be read.
    """
    specs = found_losses(losses)
    rehearse(dataset, protocol, weights)
    devices = environment.resolve_devices(device)
    chosen = parameters.read(params, specs)
    images = images or open_dataset(dataset, root)
    protocol = of_vectors(protocol, images)
    records = Records() if runs is None else read(runs / LEDGER)
    images = as_recorded(images, records)
    name, fingerprint = images.facts.name, images.fingerprint
    fixed = {
        spec.name: parameters.given(spec, protocol, name, chosen[spec.name], fall_back=fall_back)
        for spec in specs
        if protocol.trials == 0 or chosen[spec.name]
    }
    classes = split(images, protocol)
    for fold in classes.folds:
        batches.require_a_batch(len(fold.train), protocol, name)
    if protocol.nmi.of(name):
        clustering.require()
    broken_by = _held_to_the_contract(specs, unchecked=unchecked)
    studies = baselines(protocol, name, fingerprint)
    for spec in specs:
        of_loss = fixed.get(spec.name, None if parameters.space(spec, protocol, name) else {})
        study = Study(protocol=protocol, dataset=name, fingerprint=fingerprint, loss=spec.name, params=of_loss)
        studies += of_all_searches(study)
    plugins = origins([spec.name for spec in specs], (name, dataset), protocol.trunk)
    require_same_plugins(studies, plugins, records.folds.values(), runs or Path(), accepted)
    if decode:
        decoded(images, protocol, cache, weights, devices)
    return Comparison(
        studies=tuple(studies),
        images=images,
        test=classes.test,
        workplace=Workplace(
            roots={name: (dataset, root)},
            device=str(devices[0]),
            weights=weights,
            cache=cache,
            cuts={name: OWN} if images.trainval_classes is not None else {},
            environment=environment.current(devices[0]),
            losses={spec.name: LOSSES.files[spec.name] for spec in specs if spec.name in LOSSES.files},
            origins=plugins,
        ),
        devices=tuple(map(str, devices)),
        broken=broken_by,
    )


def rehearse(dataset: str, protocol: Protocol, weights: Path | None) -> None:
    """Embed two images with a protocol's network, or its trunk where the head alone is trained; vectors need none.

    Raises what `mlrc.harness.training.model.rehearse` and `build_trunk` raise.
    """
    if dataset.partition(":")[0] == features.FACTS.name:
        return
    built = model.frozen_trunk if protocol.trains == "head" else partial(model.build, seed=0)
    model.rehearse(built(protocol, weights=weights), protocol)


def decoded(
    images: ImageSet,
    protocol: Protocol,
    cache: Path | None,
    weights: Path | None = None,
    devices: Sequence[torch.device] = (),
) -> None:
    """Build the decode-once cache of a dataset in the folder `cache` if it needs one; the first work that is spent.

    Where the protocol trains the head alone, the `devices` give the features of all images, with the trunk's `weights`.
    """
    threads = os.cpu_count() or 1
    if protocol.trains == "head":
        if cache is not None:  # without a folder each process has to make its own
            with steps() as on_progress:
                features_of(
                    images,
                    protocol,
                    weights=weights,
                    folder=cache,
                    devices=devices,
                    threads=threads,
                    on_progress=on_progress,
                    verify=True,
                )
        return
    if cache is None and isinstance(images.pixels, FilePixels):
        images.pixels.require_headers(images.facts.name, threads=threads)
    with steps() as on_progress:
        cached(images, protocol.resize, folder=cache, threads=threads, on_progress=on_progress, verify=True)


def _held_to_the_contract(specs: Sequence[LossSpec], *, unchecked: bool) -> dict[str, tuple[Finding, ...]]:
    found = {spec.name: findings for spec in specs if (findings := broken(spec))}
    if found and not unchecked:
        name, findings = next(iter(found.items()))
        more = f" Broken too: {', '.join(list(found)[1:])}." if len(found) > 1 else ""
        raise ValueError(
            f"Loss {name!r} must keep the contract before a run spends anything, but this is broken: "
            f"{findings[0].check}. {findings[0].sentence.rstrip('.')}. See all with mlrc check, or run it "
            f"as it is with --unchecked, and its row says so.{more}"
        )
    return found


def found_losses(losses: Sequence[str | LossSpec]) -> list[LossSpec]:
    """Give the losses that are meant, each once; those of files enter by them.

    Raises:
        LookupError: there is no such loss.
        ValueError: there are none, one is given twice, two have one name, or a value is defined in no file.
        ImportError: a plug-in or a file does not import.
        TypeError: a plug-in or a file holds something else than a loss.
        OSError: a file cannot be read.
    """
    found: dict[str, tuple[LossSpec, PluginFile | None]] = {}
    for loss in losses:
        spec = LOSSES.find(loss if isinstance(loss, str) else LOSSES.take(loss))
        file = LOSSES.files.get(spec.name)
        if spec.name in found and file != found[spec.name][1]:
            other = found[spec.name][1]
            raise ValueError(
                f"Two losses must have two names, but both {getattr(other, 'path', 'the registered one')} and "
                f"{getattr(file, 'path', 'the registered one')} have {spec.name!r}; give one another `name`."
            )
        if spec.name in found:
            raise ValueError(f"Each loss must be given once, but got {spec.name!r} again; leave it out.")
        found[spec.name] = spec, file
    if not found:
        raise ValueError("At least one loss must be given; see them all with: mlrc list losses")
    return [spec for spec, _ in found.values()]


def require_same_space(comparison: Comparison, runs: Path) -> None:
    """Raise `ValueError` if a search in the runs folder has a trial outside the space that its loss has now.

    A space that was widened since is not seen, as the records hold values and no bounds.
    """
    searched = {study.identity: study for study in comparison.studies if study.trials}
    for record in read(runs / LEDGER).folds.values():
        study = searched.get(record.identity)  # one of its loss's, which all have one space
        if study is None or record.stage != "search":
            continue
        spec = LOSSES.find(study.loss)
        try:
            replace(spec, space=parameters.space(spec, study.protocol, study.dataset)).check(record.params)
        except ValueError as error:
            raise ValueError(
                f"The search of {study.loss} in {runs} must go on in the space it began in, but its trial "
                f"{record.number} does not fit today's ({str(error).rstrip('.')}); take back the change of the space, "
                "or begin anew with another --runs."
            ) from error


def require_searched(comparison: Comparison, runs: Path) -> None:
    """Raise `ValueError` unless the runs folder holds the finished search of every study."""
    records = read(runs / LEDGER)
    for study in comparison.studies:
        state = StudyState(study, records.folds.values(), records.runs.values(), set())
        if not state.searched:
            which = f"search {study.search}" if study.protocol.searches > 1 else "search"
            raise ValueError(
                f"The {which} of {study.loss} in {runs} has {len(state.history)} of {study.trials} trials; finish it "
                "with mlrc search, or take published parameters with --published."
            )
