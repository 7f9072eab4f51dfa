"""Records of whole studies, made up: what the tests of tables, drift and publishing read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlrc.protocols.protocol import digest_of
from mlrc.results.records.identity import hash_of, key_of, key_of_repeat, seed_of
from mlrc.results.records.ledger import LEDGER, Records
from mlrc.results.records.lines import to_line
from mlrc.results.records.record import UNTRAINED, Environment, FoldRecord, Outcome, ProtocolRecord, Record, RunRecord

ENVIRONMENT = Environment(
    commit="0123456789ab", versions={"torch": "2.9.0", "python": "3.11.7"}, device="cpu", host="here"
)
SHARES = {"P@1": 1.0, "RP": 0.6, "MAP@R": 0.4, "nDCG@1": 1.0, "nDCG@8": 0.8, "R@1": 1.0, "R@8": 1.2}
"""Each metric as a share of P@1, so that the invariants hold below P@1 = 80 %."""
CLASSES, QUERIES, FOLDS = 20, 10, 4


@dataclass(kw_only=True)
class Made:
    """Records, and the per-class sums of their runs."""

    records: Records = field(default_factory=Records)
    per_class: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)

    def write(self, runs: Path) -> Path:
        """Write a runs folder as the driver does."""
        (runs / "per_class").mkdir(parents=True)
        content = self.records
        every: list[Record] = [*content.protocols.values(), *content.folds.values(), *content.runs.values()]
        (runs / LEDGER).write_text("".join(to_line(record) + "\n" for record in every), encoding="utf-8")
        for key, arrays in self.per_class.items():
            buffer = BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **arrays)
            (runs / "per_class" / f"{key}.npz").write_bytes(buffer.getvalue())
        return runs


def make(
    means: Mapping[str, float],
    *,
    repeats: int = 3,
    trials: int = 2,
    diverged: Sequence[tuple[str, int, int]] = (),
    protocol: str = "quick",
    digest: str = "d0d0d0d0d0d0",
    changes: Mapping[str, tuple[object, object]] | None = None,
    dataset: str = "glyphs",
    fingerprint: str = "f1f1f1f1f1f1f1f1",
    noise: float = 1.0,
    seed: int = 0,
    environment: Environment = ENVIRONMENT,
    fields: Mapping[str, object] | None = None,
    folds: int = FOLDS,
) -> Made:
    """Make the records of a study.

    Args:
        means: loss to its true concatenated P@1, percent; the separated one is three quarters of it.
        repeats: of each loss; `trials` of each search, of which the last is the best.
        diverged: (loss, trial, fold) of searches that did not come to their end.
        protocol: name, with its `digest` and `changes` against its parent.
        noise: standard deviation over the repeats, percent.
        seed: of the made-up scores.
        environment: of all records.
        fields: of the protocol beside folds, trials, repeats and embedding_size.
        folds: of every trial and repeat.
    """
    made = Made()
    numbers = {"name": protocol, "folds": folds, "trials": trials, "repeats": repeats, "embedding_size": 128, "seed": 0}
    made.records.add(
        ProtocolRecord(digest=digest, name=protocol, fields={**numbers, **(fields or {})}, changes=changes or {})
    )
    shared: dict[str, Any] = {"dataset": dataset, "fingerprint": fingerprint, "protocol": protocol, "digest": digest}
    for loss, mean in means.items():
        generator = np.random.default_rng([seed, int.from_bytes(loss.encode(), "big") % 2**32])
        classes = np.random.default_rng(5).normal(0, 0.08, size=CLASSES)
        for trial in range(trials if loss != UNTRAINED else 0):
            for fold in range(folds):
                outcome: Outcome = "diverged" if (loss, trial, fold) in diverged else "done"
                made.records.add(
                    _fold(shared, loss, "search", trial, fold, {"margin": trial / 10}, outcome, environment)
                )
        params = {} if loss == UNTRAINED else {"margin": (trials - 1) / 10}
        for number in range(repeats):
            stage = UNTRAINED if loss == UNTRAINED else "final"
            parts = [_fold(shared, loss, stage, number, fold, params, "done", environment) for fold in range(folds)]
            for record in parts:
                made.records.add(record)
            level = np.clip(mean / 100 + classes + generator.normal(0, noise / 100), 0, 0.8)
            sums = {"classes": np.arange(CLASSES), "counts": np.full(CLASSES, QUERIES)}
            for setting, factor in (("separated", 0.75), ("concatenated", 1.0)):
                sums |= {f"{setting}/{name}": QUERIES * factor * share * level for name, share in SHARES.items()}
            key = key_of_repeat([record.key for record in parts])
            made.per_class[key] = sums
            made.records.add(
                RunRecord(
                    **shared,
                    key=key,
                    cut="official",
                    loss=loss,
                    params=params,
                    number=number,
                    fold_keys=tuple(record.key for record in parts),
                    test_classes=CLASSES,
                    test_images=CLASSES * QUERIES,
                    left_out=0,
                    embedding_size=128,
                    separated=_scores(sums, "separated"),
                    concatenated=_scores(sums, "concatenated"),
                    environment=environment,
                )
            )
    return made


def sound(means: Mapping[str, float], **options: Any) -> Made:
    """Make a study whose digest is that of its protocol's fields, so that it can be published; see `make`."""
    (record,) = make({"triplet": 1.0}, **options).records.protocols.values()
    return make(means, digest=digest_of(record.fields), **options)


def merged(*studies: Made) -> Made:
    """Put several studies into one ledger."""
    together = Made()
    for made in studies:
        for kind in (made.records.protocols, made.records.folds, made.records.runs):
            for record in kind.values():
                together.records.add(record)
        together.per_class |= made.per_class
    return together


def rekeyed(made: Made) -> Made:
    """Give every record the key and the seed of what it says now, as if it had been made so."""
    again = Made(records=Records(protocols=dict(made.records.protocols), unchecked=dict(made.records.unchecked)))
    keys = {}
    for old, record in made.records.folds.items():
        told = hash_of(record)
        keys[old] = key_of(told)
        again.records.add(replace(record, key=key_of(told), seed=seed_of(told)))
    for old, run in made.records.runs.items():
        fold_keys = tuple(keys.get(key, key) for key in run.fold_keys)
        key = key_of_repeat(fold_keys)
        again.records.add(replace(run, key=key, fold_keys=fold_keys))
        if old in made.per_class:
            again.per_class[key] = made.per_class[old]
    return again


def _fold(
    shared: Mapping[str, Any],
    loss: str,
    stage: str,
    number: int,
    fold: int,
    params: Mapping[str, float],
    outcome: Outcome,
    environment: Environment,
) -> FoldRecord:
    score = 20.0 + 5 * number + fold
    trained = outcome == "done" and stage != UNTRAINED
    record = FoldRecord(
        **shared,
        key="",
        seed=0,
        cut="official",
        loss=loss,
        params=params,
        stage=stage,  # type: ignore[arg-type] # the callers pass stages
        number=number,
        fold=fold,
        outcome=outcome,
        history=((0, 5.0), (4, score - 2), (8, score)) if trained else (),
        best_epoch=8 if trained else None,
        best_score=score if trained else None,
        seconds=36.0,
        environment=environment,
        message="" if outcome == "done" else "the loss was not finite in epoch 3",
    )
    told = hash_of(record)
    return replace(record, key=key_of(told), seed=seed_of(told))


def _scores(sums: Mapping[str, NDArray[np.float64]], setting: str) -> dict[str, float]:
    return {name: float(100 * sums[f"{setting}/{name}"].sum() / sums["counts"].sum()) for name in SHARES}
