"""The driver: what it plans, that it goes on where it stopped, and that selection cannot see a test score."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlrc.harness.engine import inputs
from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.repeat import EmbeddingFiles
from mlrc.harness.engine.workplace import FoldOutcome, JobOutcome, Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.metrics.retrieval import retrieval
from mlrc.harness.metrics.scores import concatenate
from mlrc.harness.metrics.task import Task
from mlrc.harness.plan.job import Job
from mlrc.harness.plan.split import split
from mlrc.harness.plan.state import Frontier
from mlrc.harness.plan.study import Study, untrained
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.evidence import trial_score
from mlrc.results.records.ledger import LEDGER, Ledger, read
from mlrc.results.records.record import FoldRecord, Outcome, Record, RunRecord
from mlrc.results.rendering.report import write_report
from tests.harness.conftest import SpyPixels, any_params
from tests.harness.driving import driven, states_of
from tests.harness.in_this_process import altered, in_this_process


class KilledError(Exception):
    """Stands for a SIGKILL of the driver."""


@pytest.fixture
def studies(tiny_protocol: Protocol, tiny_images: ImageSet, study: Study) -> list[Study]:
    return [untrained(tiny_protocol, "tiny", tiny_images.fingerprint), study, replace(study, loss="multi_similarity")]


def test_a_set_with_queries_is_scored_from_them_to_the_other_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    monkeypatch.setattr(EmbeddingFiles, "remove", lambda self, keys: None)
    images = replace(tiny_images, queries=np.arange(len(tiny_images.labels)) % 3 == 0)
    monkeypatch.setattr(inputs, "open_dataset", lambda name, root: images)
    records = driven(tmp_path, [study], images, in_this_process(workplace, lambda *_: None))
    labels, queries, _ = Task.of(images, split(images, study.protocol).test)
    assert queries is not None
    run = next(iter(records.runs.values()))
    model = concatenate([EmbeddingFiles.of_run(tmp_path).load(key) for key in run.fold_keys])
    found = retrieval(
        model[queries], labels[queries], gallery_embeddings=model[~queries], gallery_labels=labels[~queries]
    )
    assert run.concatenated["MAP@R"] == found.means()["MAP@R"]
    assert (run.test_images, run.queries) == (len(labels), queries.sum())
    write_report(tmp_path, tmp_path)
    assert f"{len(labels)} images, of which {queries.sum()} ask and the others" in (tmp_path / "table.md").read_text()


def _leaderboard(runs: Path) -> bytes:
    return next(path for path in write_report(runs, runs) if path.name == "leaderboard.csv").read_bytes()


def test_a_whole_study_records_every_planned_job_once_and_scores_every_repeat(
    tmp_path: Path, studies: list[Study], tiny_images: ImageSet, workplace: Workplace
) -> None:
    records = driven(tmp_path, studies, tiny_images, in_this_process(workplace, lambda *_: None))
    assert len((tmp_path / LEDGER).read_text().splitlines()) == 1 + len(records.folds) + len(records.runs)
    counts = Counter((record.loss, record.stage) for record in records.folds.values())
    assert counts == {
        ("untrained", "untrained"): 8,
        ("contrastive", "search"): 12,
        ("contrastive", "final"): 8,
        ("multi_similarity", "search"): 12,
        ("multi_similarity", "final"): 8,
    }
    assert sorted((run.loss, run.number) for run in records.runs.values()) == [
        (loss, number) for loss in ("contrastive", "multi_similarity", "untrained") for number in (0, 1)
    ]
    assert not EmbeddingFiles.of_run(tmp_path).held()
    assert {path.stem for path in (tmp_path / "per_class").iterdir()} == set(records.runs)


def test_the_final_stage_takes_the_parameters_of_the_best_trial(
    tmp_path: Path, studies: list[Study], tiny_images: ImageSet, workplace: Workplace
) -> None:
    folds = driven(tmp_path, studies, tiny_images, in_this_process(workplace, lambda *_: None)).folds.values()
    for loss in ("contrastive", "multi_similarity"):
        trials: dict[int, list[FoldRecord]] = {}
        for record in folds:
            if (record.loss, record.stage) == (loss, "search"):
                trials.setdefault(record.number, []).append(record)
        scores = {number: np.mean([record.best_score for record in trial]) for number, trial in trials.items()}
        winner = trials[max(scores, key=lambda number: scores[number])][0]
        chosen = {tuple(record.params.items()) for record in folds if (record.loss, record.stage) == (loss, "final")}
        assert chosen == {tuple(winner.params.items())}


def test_no_test_image_is_read_before_the_search_is_finished(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    assert isinstance(tiny_images.pixels, SpyPixels)
    test = set(split(tiny_images, study.protocol).test.tolist())
    execute = in_this_process(workplace, lambda *_: None)
    records = driven(tmp_path, [study], tiny_images, execute, until="search")
    assert tiny_images.pixels.read
    assert tiny_images.pixels.read.isdisjoint(test)
    assert not records.runs
    assert not EmbeddingFiles.of_run(tmp_path).held()
    driven(tmp_path, [study], tiny_images, execute)
    assert test <= tiny_images.pixels.read


def test_the_search_is_the_same_whatever_the_test_images_show(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    execute = in_this_process(workplace, lambda *_: None)

    def selection(runs: Path) -> dict[str, tuple[object, ...]]:
        folds = driven(runs, [study], tiny_images, execute, until="search").folds.values()
        return {fold.key: (fold.params, fold.history, fold.best_epoch, fold.best_score) for fold in folds}

    before = selection(tmp_path / "a")
    assert isinstance(tiny_images.pixels, SpyPixels)
    tiny_images.pixels._array[split(tiny_images, study.protocol).test] = 0
    assert selection(tmp_path / "b") == before


@pytest.mark.parametrize("stops", [(1,), (5, 9, 3), (21, 7), (12, 8, 1, 1, 1)])
def test_a_driver_that_stops_anywhere_and_goes_on_gives_the_same_bytes(
    tmp_path: Path, studies: list[Study], tiny_images: ImageSet, workplace: Workplace, stops: tuple[int, ...]
) -> None:
    whole = in_this_process(workplace, lambda *_: None)
    driven(tmp_path / "whole", studies, tiny_images, whole)

    def stopped_after(count: int) -> Execute:
        def execute(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
            for number, outcome in enumerate(whole(jobs)):
                if number == count:
                    raise KilledError
                yield outcome

        return execute

    for count in stops:
        with pytest.raises(KilledError):
            driven(tmp_path / "parts", studies, tiny_images, stopped_after(count))
    driven(tmp_path / "parts", studies, tiny_images, whole)
    assert _leaderboard(tmp_path / "parts") == _leaderboard(tmp_path / "whole")


def test_outcomes_in_another_order_give_the_same_bytes(
    tmp_path: Path, studies: list[Study], tiny_images: ImageSet, workplace: Workplace
) -> None:
    one_by_one = in_this_process(workplace, lambda *_: None)

    def backwards(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        """Do all that is ready, the last first, before anything else is offered."""
        done: set[str] = set()
        while ready := [job for job in jobs if job.key not in done]:
            for job in reversed(ready):
                done.add(job.key)
                yield from one_by_one([job])

    driven(tmp_path / "forwards", studies, tiny_images, one_by_one)
    driven(tmp_path / "backwards", studies, tiny_images, backwards)
    assert _leaderboard(tmp_path / "forwards") == _leaderboard(tmp_path / "backwards")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80  # the sign of a number
    path.write_bytes(content)


def _swap(path: Path) -> None:
    other = next(one for one in path.parent.iterdir() if one != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(Path.unlink, id="lost"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-100]), id="truncated"),
        pytest.param(_flip, id="flipped"),
        pytest.param(_swap, id="swapped"),
    ],
)
@pytest.mark.parametrize("when", ["while no driver is there", "while one is at work"])
def test_embeddings_that_are_damaged_before_their_repeat_is_scored_are_made_again(
    tmp_path: Path,
    studies: list[Study],
    tiny_images: ImageSet,
    workplace: Workplace,
    damage: Callable[[Path], object],
    when: str,
) -> None:
    whole = in_this_process(workplace, lambda *_: None)

    def three(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        for number, outcome in enumerate(whole(jobs)):
            yield outcome
            if number == 2:
                raise KilledError

    def damaging(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        for number, outcome in enumerate(whole(jobs)):
            yield outcome
            if number == 2:
                damage(sorted((tmp_path / "embeddings").iterdir())[0])

    if when == "while one is at work":
        driven(tmp_path, studies[:1], tiny_images, damaging)
    else:
        with pytest.raises(KilledError):
            driven(tmp_path, studies[:1], tiny_images, three)
        damage(sorted((tmp_path / "embeddings").iterdir())[0])
        driven(tmp_path, studies[:1], tiny_images, whole)
    driven(tmp_path / "whole", studies[:1], tiny_images, whole)
    assert _leaderboard(tmp_path) == _leaderboard(tmp_path / "whole")
    assert not EmbeddingFiles.of_run(tmp_path).held()


def test_a_driver_killed_just_before_or_after_a_repeat_is_recorded_leaves_whole_cards_and_no_embeddings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    execute = in_this_process(replace(workplace, save_models=True), lambda *_: None)
    append, remove = Ledger.append, EmbeddingFiles.remove

    def killed_before(ledger: Ledger, records: Iterable[Record]) -> None:
        found = list(records)
        if any(isinstance(record, RunRecord) and record.number == 0 for record in found):
            raise KilledError
        append(ledger, found)

    def killed_after(files: EmbeddingFiles, keys: tuple[str, ...]) -> None:
        del files, keys
        raise KilledError

    study = replace(study, params=any_params(study.loss))
    monkeypatch.setattr(Ledger, "append", killed_before)
    with pytest.raises(KilledError):
        driven(tmp_path, [study], tiny_images, execute)
    cards = [json.loads(path.read_text()) for path in (tmp_path / "models").glob("*.json")]
    assert len(cards) == 4
    assert all(set(card["test_of_the_repeat"]) == {"separated", "concatenated"} for card in cards)
    monkeypatch.setattr(Ledger, "append", append)
    monkeypatch.setattr(EmbeddingFiles, "remove", killed_after)
    with pytest.raises(KilledError):
        driven(tmp_path, [study], tiny_images, execute)
    (run,) = read(tmp_path / LEDGER).runs.values()
    assert EmbeddingFiles.of_run(tmp_path).held().issuperset(run.fold_keys)
    monkeypatch.setattr(EmbeddingFiles, "remove", remove)
    records = driven(tmp_path, [study], tiny_images, execute)
    assert not EmbeddingFiles.of_run(tmp_path).held()
    driven(tmp_path / "whole", [study], tiny_images, execute)
    assert len(records.runs) == 2
    assert _leaderboard(tmp_path) == _leaderboard(tmp_path / "whole")


def test_a_driver_that_breaks_ends_the_executor_at_once(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    honest = in_this_process(workplace, lambda *_: None)
    held: list[Iterator[JobOutcome]] = []  # as a traceback would, so that nothing depends on garbage collection
    ended: list[str] = []

    def execute(jobs: Iterable[Job]) -> Iterator[JobOutcome]:
        def outcomes() -> Iterator[JobOutcome]:
            try:
                yield from honest(jobs)
            finally:
                ended.append("dismissed")

        held.append(outcomes())
        return held[0]

    def breaks(*_: object) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        driven(tmp_path, [study], tiny_images, execute, until="search", on_record=breaks)
    assert ended == ["dismissed"]


def test_studies_take_turns_and_a_search_offers_one_trial_at_a_time(tmp_path: Path, studies: list[Study]) -> None:
    with Ledger(tmp_path) as ledger:
        states = states_of(studies[1:], ledger)
    ready = list(Frontier(states, "final"))
    assert [(job.loss, job.number, job.fold) for job in ready] == [
        (loss, 0, fold) for fold in range(4) for loss in ("contrastive", "multi_similarity")
    ]
    assert [state.left("search") for state in states] == [12, 12]
    assert [state.left("final") for state in states] == [20, 20]


@pytest.mark.parametrize("outcome", ["diverged", "failed"])
def test_a_trial_of_which_one_fold_came_to_nothing_scores_zero(
    outcome: Outcome, tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    records = driven(tmp_path, [study], tiny_images, in_this_process(workplace, lambda *_: None), until="search")
    folds = [fold for fold in records.folds.values() if fold.number == 0]
    assert trial_score(folds) == pytest.approx(np.mean([fold.best_score for fold in folds]))
    assert trial_score([*folds[:3], replace(folds[3], outcome=outcome)]) == 0


def test_a_repeat_of_which_one_fold_diverged_is_not_scored_and_does_not_stop_the_others(
    tmp_path: Path, study: Study, tiny_images: ImageSet, workplace: Workplace
) -> None:
    honest = in_this_process(workplace, lambda *_: None)

    def diverging(outcome: FoldOutcome) -> FoldOutcome:
        if (outcome.job.stage, outcome.job.number, outcome.job.fold) == ("final", 0, 1):
            return FoldOutcome(outcome.job, replace(outcome.record, outcome="diverged"), None)
        return outcome

    records = driven(tmp_path, [study], tiny_images, altered(honest, diverging))
    assert [run.number for run in records.runs.values()] == [1]
