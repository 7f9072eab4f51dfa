"""What the audit of published evidence finds: every fault by its sentence, and no fault in what is sound."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from mlrc.protocols.protocol import digest_of
from mlrc.results.publishing.audit import KnownSplit, audit
from mlrc.results.records.record import UNTRAINED, FoldRecord, ProtocolRecord, RunRecord
from tests.results.studies import CLASSES, QUERIES, Made, rekeyed, sound

KNOWN = {KnownSplit("glyphs", "f1f1f1f1f1f1f1f1", "official", CLASSES, CLASSES * QUERIES)}
MEANS = {UNTRAINED: 20.0, "triplet": 60.0, "contrastive": 40.0}
R = TypeVar("R", FoldRecord, RunRecord)


def _faults(made: Made) -> list[str]:
    return audit(made.records, made.per_class, KNOWN, digest_of)


def _change(made: Made, kind: type, change: Callable[[Any], Any], **which: object) -> Made:
    """Record what becomes of the records with these values; one that keeps its key takes the place of the old one."""
    every = [*made.records.runs.values(), *made.records.folds.values(), *made.records.protocols.values()]
    chosen = [one for one in every if isinstance(one, kind) and _has(one, which)]
    assert chosen, "what is changed must be there"
    for record in chosen:
        made.records.add(change(record))
    return made


def _has(record: object, values: Mapping[str, object]) -> bool:
    return all(getattr(record, name) == value for name, value in values.items())


def _with_scores(run: RunRecord) -> RunRecord:
    return replace(run, separated={**run.separated, "MAP@R": run.separated["MAP@R"] + 0.01})


def _with_commit(run: R) -> R:
    return replace(run, environment=replace(run.environment, commit="0123456789ab-dirty"))


def _of_other_images(made: Made) -> Made:
    for kind in (FoldRecord, RunRecord):
        made = _change(made, kind, lambda record: replace(record, fingerprint="0" * 16))
    return made


def _without(made: Made, kind: str, **which: object) -> Made:
    records = getattr(made.records, kind)
    gone = [key for key, record in records.items() if _has(record, which)]
    assert gone, "what is taken away must be there"
    for key in gone:
        del records[key]
        made.per_class.pop(key, None)
    return made


FAULTS: dict[str, tuple[Callable[[Made], Made], str]] = {
    "altered score": (lambda m: _change(m, RunRecord, _with_scores, loss="triplet", number=0), "per-class sums give"),
    "unknown split": (lambda m: rekeyed(_of_other_images(m)), "is not among the known"),
    "other size": (lambda m: _change(m, RunRecord, lambda r: replace(r, embedding_size=64), loss="triplet"), "128 dim"),
    "missing fold": (
        lambda m: _change(m, RunRecord, lambda r: replace(r, fold_keys=r.fold_keys[:3]), number=1),
        "a concatenation of 4 × 128 dimensions needs 4 folds, but it has 3",
    ),
    "folds in another order": (
        lambda m: _change(m, RunRecord, lambda r: replace(r, fold_keys=r.fold_keys[::-1]), loss="triplet", number=1),
        "the record of fold 0 is of another job, or not done",
    ),
    "missing fold record": (
        lambda m: _without(m, "folds", loss="triplet", stage="final", number=1, fold=2),
        "1 of its fold records are missing",
    ),
    "diverged fold of a scored repeat": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, outcome="diverged"), stage="final", number=2, fold=0),
        "fold 0 is of another job, or not done",
    ),
    "best score": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, best_score=99.0), stage="final", number=0, fold=3),
        "repeat 0, fold 3: its best validation score must be 23.0, but is 99.0",
    ),
    "missing repeat": (lambda m: _without(m, "runs", loss="triplet", number=2), "3 repeats are planned, but 2"),
    "missing trial": (lambda m: _without(m, "folds", stage="search", number=0), "every search has 2 trials"),
    "missing fold of a trial": (
        lambda m: _without(m, "folds", stage="search", number=0, fold=1),
        "trial 0 has the folds [0, 2, 3], not all 4",
    ),
    "a trial too many": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, key=f"{r.key} more", number=2), stage="search", number=0),
        "every search has 2 trials, but this one has 3",
    ),
    "the earliest of equal trials": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, best_score=30.0), stage="search"),
        "parameters of the best trial, 0",
    ),
    "a diverged fold makes the score of its trial 0": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, outcome="diverged"), stage="search", number=1, fold=3),
        "parameters of the best trial, 0",
    ),
    "a fold with other parameters": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, params={"margin": 7.0}), stage="final", number=0, fold=1),
        "the record of fold 1 is of another job",
    ),
    "a fold of other images": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, fingerprint="0" * 16), stage="final", number=0, fold=1),
        "the record of fold 1 is of another job",
    ),
    "not the best trial's parameters": (
        lambda m: _change(m, FoldRecord, lambda r: replace(r, best_score=90.0), stage="search", number=0),
        "parameters of the best trial, 0",
    ),
    "no search": (lambda m: _without(m, "folds", stage="search"), "asks for a search of 2 trials"),
    "no protocol": (lambda m: _without(m, "protocols"), "the record of its protocol is missing"),
    "altered protocol": (
        lambda m: _change(m, ProtocolRecord, lambda r: replace(r, fields={**r.fields, "lr": 9.0})),
        "its fields have the digest",
    ),
    "dirty tree": (lambda m: _change(m, RunRecord, _with_commit), "changes that are not committed"),
    "dirty tree in the search": (
        lambda m: _change(m, FoldRecord, _with_commit, stage="search", number=0, fold=0),
        "changes that are not committed",
    ),
    "a repeat that nobody planned": (
        lambda m: _change(m, RunRecord, lambda r: replace(r, number=5), loss="triplet", number=2),
        "3 repeats are planned, but 3 are scored and 0 diverged",
    ),
    "no repeat left": (
        lambda m: _change(
            _without(m, "runs", loss="triplet"),
            FoldRecord,
            lambda r: replace(r, outcome="diverged"),
            loss="triplet",
            stage="final",
        ),
        "3 repeats are planned, but 0 are scored and 3 diverged",
    ),
    "a training that failed": (
        lambda m: _change(
            _without(m, "runs", loss="triplet", number=2),
            FoldRecord,
            lambda r: replace(r, outcome="failed"),
            loss="triplet",
            stage="final",
            number=2,
            fold=1,
        ),
        "1 trainings failed, which tells of a machine",
    ),
    "a repeat that diverged with the parameters of another search": (
        lambda m: _change(
            _without(m, "runs", loss="triplet", number=2),
            FoldRecord,
            lambda r: replace(r, outcome="diverged", params={"margin": 9.0}),
            loss="triplet",
            stage="final",
            number=2,
            fold=1,
        ),
        "3 repeats are planned, but 2 are scored and 0 diverged",
    ),
    "missing sums": (
        lambda m: Made(records=m.records, per_class=dict(list(m.per_class.items())[1:])),
        "its per-class sums are missing",
    ),
    "stray sums": (
        lambda m: Made(records=m.records, per_class={**m.per_class, "stray": next(iter(m.per_class.values()))}),
        "per-class sums stray belong to no run",
    ),
}


def test_a_stage_2_has_the_key_of_the_schedule_that_its_stage_1_found() -> None:
    made = sound({"triplet": 60.0}, trials=0, folds=1, fields={"two_stages": True})
    for record in list(made.records.folds.values()):
        made.records.add(replace(record, key=f"s{record.key[1:]}", stage="schedule"))
    asked: list[object] = []

    def schedule_of(history: object, fields: Mapping[str, Any]) -> tuple[int, ...]:
        asked.append(history)
        return (1, 2)

    found = audit(made.records, made.per_class, KNOWN, digest_of, schedule_of)
    assert asked
    assert any("repeat 0, fold 0: what it says of itself gives the key" in one for one in found)
    short = {"max_epochs": 20, "patience": {"default": 9, "named": []}}
    assert any("must go on to epoch 20" in one for one in _faults(sound({"triplet": 60.0}, fields=short)))
    ended_by_stage_1 = sound({"triplet": 60.0}, trials=0, folds=1, fields={**short, "two_stages": True})
    assert not [one for one in _faults(ended_by_stage_1) if "must go on" in one]
    for key in [key for key, record in made.records.folds.items() if record.stage == "schedule"]:
        del made.records.folds[key]
    assert any("the record of its stage 1 is missing" in one for one in _faults(made))


def test_sound_evidence_has_no_fault() -> None:
    made = sound(MEANS)
    assert _faults(made) == []


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_evidence_is_named(name: str) -> None:
    break_it, sentence = FAULTS[name]
    found = _faults(break_it(sound(MEANS)))
    assert any(sentence in one for one in found), found


def test_a_diverged_repeat_is_no_fault_when_it_is_recorded() -> None:
    made = _change(
        sound(MEANS),
        FoldRecord,
        lambda r: replace(r, outcome="diverged"),
        loss="triplet",
        stage="final",
        number=1,
        fold=0,
    )
    assert _faults(_without(made, "runs", loss="triplet", number=1)) == []


def test_the_score_before_training_is_no_result() -> None:
    made = _change(sound(MEANS), FoldRecord, lambda r: replace(r, history=((0, 99.0), *r.history[1:])), stage="final")
    assert _faults(made) == []


def test_the_untrained_trunk_has_the_dimensions_of_its_features() -> None:
    made = _change(sound(MEANS), RunRecord, lambda r: replace(r, embedding_size=512), loss=UNTRAINED)
    assert _faults(made) == []


def test_a_loss_without_parameters_and_a_protocol_without_trials_need_no_search() -> None:
    made = _without(sound(MEANS), "folds", stage="search")
    for kind in (FoldRecord, RunRecord):
        made = _change(made, kind, lambda record: replace(record, params={}))
    assert _faults(rekeyed(made)) == []
    given = sound(MEANS, trials=0)
    assert _faults(given) == []


def test_the_untrained_trunk_with_pretrained_weights_needs_one_repeat() -> None:
    made = sound(MEANS, fields={"weights": "a file's hash"})
    assert _faults(made)[0].startswith("untrained on glyphs")
    for number in (1, 2):
        _without(made, "runs", loss=UNTRAINED, number=number)
    assert _faults(made) == []
