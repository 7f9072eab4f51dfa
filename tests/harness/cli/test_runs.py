"""What a driver leaves for others, and the commands on it: status, retry."""

import errno
import fcntl
import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner, Result

from mlrc.harness.cli import app
from mlrc.harness.engine.events import Lost, Started, Stopping, Validated
from mlrc.harness.engine.execute import Execute
from mlrc.harness.engine.workplace import FoldOutcome, Workplace
from mlrc.harness.images.dataset import ImageSet
from mlrc.harness.machine.stopping import DISK_FULL
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study
from mlrc.harness.report import reporting
from mlrc.harness.watch.run_log import LOG, RunLog
from mlrc.harness.watch.status import STATUS, status
from mlrc.results.records.ledger import LEDGER, Ledger, read
from mlrc.results.records.record import RetryRecord
from mlrc.results.rendering.report import write_report
from tests.harness.driving import drive_on, states_of
from tests.harness.in_this_process import altered, in_this_process, trainings


def _mlrc(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def _drive(runs: Path, study: Study, images: ImageSet, execute: Execute) -> None:
    with Ledger(runs) as ledger:
        states = states_of([study], ledger)
        with RunLog(runs, states) as log:
            drive_on(states, images, execute, ledger, on_record=log.recorded)


@pytest.fixture
def honest(workplace: Workplace) -> Execute:
    return in_this_process(workplace, lambda event: None)


DIVERGES = ("search", 0, 0)


@pytest.fixture
def diverging(honest: Execute) -> Execute:
    """Has one fold of trial 0 diverge."""

    def diverge(outcome: FoldOutcome) -> FoldOutcome:
        job = outcome.job
        if (job.stage, job.number, job.fold) != DIVERGES:
            return outcome
        return FoldOutcome(job, replace(outcome.record, outcome="diverged", best_score=None, message="NaN"), None)

    return altered(honest, diverge)


@pytest.fixture
def failing(diverging: Execute) -> Execute:
    """Beside that has one fold of trial 1 and one of repeat 0 fail, each once."""
    left = {("search", 1, 2), ("final", 0, 3)}

    def fail(outcome: FoldOutcome) -> FoldOutcome:
        job = outcome.job
        if (job.stage, job.number, job.fold) not in left:
            return outcome
        left.remove((job.stage, job.number, job.fold))
        record = replace(outcome.record, outcome="failed", best_score=None, message="the machine broke")
        return FoldOutcome(job, record, None)

    return altered(diverging, fail)


def _report(runs: Path) -> list[bytes]:
    write_report(runs, runs)
    return [
        (runs / name).read_bytes() for name in ("leaderboard.csv", "comparisons.csv", "convergence.csv", "table.md")
    ]


def test_a_retry_has_failed_trainings_done_as_if_they_had_never_failed_and_changes_no_line(
    tmp_path: Path, study: Study, tiny_images: ImageSet, failing: Execute, diverging: Execute
) -> None:
    (tmp_path / "failed").mkdir()
    for failed, trainings_done in (("search 1, fold 2", 7), ("final 0, fold 3", 16)):
        _drive(tmp_path / "failed", study, tiny_images, failing)
        before = (tmp_path / "failed" / LEDGER).read_bytes()
        records = read(tmp_path / "failed" / LEDGER)
        assert len(records.folds) == trainings_done
        assert not records.runs
        result = _mlrc("retry", "--runs", tmp_path / "failed")
        assert result.exit_code == 0
        assert f"tiny contrastive, {failed}: the machine broke" in result.stdout
        assert "1 trainings are planned again" in result.stdout
        assert (tmp_path / "failed" / LEDGER).read_bytes().startswith(before)
    _drive(tmp_path / "failed", study, tiny_images, failing)
    _drive(tmp_path / "undisturbed", study, tiny_images, diverging)
    assert _report(tmp_path / "failed") == _report(tmp_path / "undisturbed")
    states = [read(tmp_path / name / LEDGER) for name in ("failed", "undisturbed")]
    assert {fold.outcome for fold in states[0].folds.values()} == {"done", "diverged"}
    assert states[0].folds.keys() == states[1].folds.keys()


def test_a_retry_takes_back_what_an_older_ledger_built_on_a_failed_fold(
    tmp_path: Path, study: Study, tiny_images: ImageSet, honest: Execute
) -> None:
    _drive(tmp_path, study, tiny_images, honest)
    undisturbed = _report(tmp_path)
    folds = read(tmp_path / LEDGER).folds.values()
    failed = next(one for one in folds if (one.stage, one.number) == ("search", 1))
    with Ledger(tmp_path) as ledger:
        ledger.append([replace(failed, outcome="failed", best_score=None)])
    assert _report(tmp_path) != undisturbed
    assert _mlrc("retry", "--runs", tmp_path).exit_code == 0
    records = read(tmp_path / LEDGER)
    assert {(one.stage, one.number) for one in records.folds.values()} == {("search", 0), ("search", 1)}
    assert len(records.folds) == 4 + 3
    assert not records.runs
    _drive(tmp_path, study, tiny_images, honest)
    assert _report(tmp_path) == undisturbed


def test_a_retry_without_failures_writes_nothing(
    tmp_path: Path, study: Study, tiny_images: ImageSet, honest: Execute
) -> None:
    _drive(tmp_path, study, tiny_images, honest)
    before = (tmp_path / LEDGER).read_bytes()
    assert "0 trainings are planned again" in _mlrc("retry", "--runs", tmp_path).stdout
    assert (tmp_path / LEDGER).read_bytes() == before


def test_commands_on_a_run_that_is_not_there_are_refused_and_make_no_folder(tmp_path: Path) -> None:
    for words in (["retry"], ["report"], ["export-optuna", "--storage", tmp_path / "searches.log"]):
        result = _mlrc(*words, "--runs", tmp_path / "typo")
        assert result.exit_code == 2
        assert "There is no ledger.jsonl in" in result.stderr
        assert not list(tmp_path.iterdir())


def test_a_retry_on_a_full_disk_is_told_in_a_sentence(
    tmp_path: Path, study: Study, tiny_images: ImageSet, failing: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    _drive(tmp_path, study, tiny_images, failing)
    before = (tmp_path / LEDGER).read_bytes()
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as disk:
        disk.setattr(Ledger, "append", Mock(side_effect=full))
        result = _mlrc("retry", "--runs", tmp_path)
    assert (result.exit_code, result.stdout) == (DISK_FULL, "")
    assert result.stderr == (
        f"Error: The disk must have room to write, but is full ({full}); make room and give the same command.\n"
    )
    assert (tmp_path / LEDGER).read_bytes() == before
    assert "1 trainings are planned again" in _mlrc("retry", "--runs", tmp_path).stdout


def test_a_retry_is_refused_while_a_driver_is_at_work(tmp_path: Path) -> None:
    with Ledger(tmp_path):
        result = _mlrc("retry", "--runs", tmp_path)
    assert result.exit_code == 2
    assert "must have one writer, but process" in result.stderr


def test_keys_of_a_retry_that_no_record_has_are_passed_over(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([RetryRecord(keys=("0123456789abcdef",))])
    assert not read(tmp_path / LEDGER).folds


def test_status_counts_what_is_done_at_work_and_left_and_tells_the_rate(
    tmp_path: Path, study: Study, honest: Execute
) -> None:
    jobs = study.jobs("search", 0, {"pos_margin": 0.0, "neg_margin": 0.5})
    with Ledger(tmp_path) as ledger:
        state = StudyState(study, (), (), set())
        with RunLog(tmp_path, [state]) as log:
            (outcome,) = trainings(honest(jobs[:1]))
            ledger.append([outcome.record, replace(outcome.record, key="another", outcome="failed")])
            log.recorded(state, outcome.record)
            log.recorded(state, outcome.record)
            log.told(Started(jobs[1], "worker 0 on cpu", 2))
            log.told(Validated(jobs[1], 4, 31.25, 0.5))
            log._write_status()
            found = status(tmp_path)
            shown = _mlrc("status", "--runs", tmp_path)
            told = json.loads(_mlrc("status", "--runs", tmp_path, "--json").stdout)
    (counts,) = found.studies
    assert (counts.done, counts.failed, counts.at_work, counts.left) == (1, 1, 1, 20 - 2)
    assert found.writer is not None
    assert found.per_hour is not None
    assert found.time_left is not None
    assert found.time_left.total_seconds() == pytest.approx(18 / found.per_hour * 3600, rel=1e-3)
    assert "worker 0 on cpu: tiny contrastive, search 0, fold 1: epoch 4, 31.25, attempt 2" in shown.stdout
    assert "trainings an hour" in shown.stdout
    assert told["studies"][0]["left"] == 18


def test_status_tells_the_points_of_a_sweep_apart(tmp_path: Path, study: Study) -> None:
    given = {"pos_margin": 0.0, "neg_margin": 0.5}
    wide = study.protocol.vary({"embedding_size": 16})
    points = [
        replace(study, params=given),
        replace(study, params=given, protocol=wide),
        replace(study, params={**given, "neg_margin": 0.25}),
    ]
    with Ledger(tmp_path), RunLog(tmp_path, [StudyState(point, (), (), set()) for point in points]) as log:
        for number in (1, 1, 2):
            point = points[number]
            job = point.jobs("final", len(log._at_work), point.params or {})[0]
            log.told(Started(job, "worker 0 on cpu", 1))
        log._write_status()
        found = status(tmp_path)
        shown = _mlrc("status", "--runs", tmp_path).stdout
    assert [(counts.label, counts.at_work) for counts in found.studies] == [
        ("tiny contrastive embedding_size=8 neg_margin=0.5", 0),
        ("tiny contrastive embedding_size=16 neg_margin=0.5", 2),
        ("tiny contrastive embedding_size=8 neg_margin=0.25", 1),
    ]
    assert all(shown.count(label) == count for label, count in (("=16 neg_margin=0.5", 3), ("=0.25", 2)))


def test_status_reads_what_an_older_driver_wrote_less_of(tmp_path: Path, study: Study, job: FoldJob) -> None:
    with Ledger(tmp_path), RunLog(tmp_path, [StudyState(study, (), (), set())]) as log:
        log.told(Started(job, "worker 0 on cpu", 1))
        log._write_status()
        told = json.loads((tmp_path / STATUS).read_text())
        del told["plan"][0]["label"], told["at_work"][0]["digest"], told["at_work"][0]["fingerprint"]
        (tmp_path / STATUS).write_text(json.dumps(told))
        found = status(tmp_path)
    assert [(counts.label, counts.at_work) for counts in found.studies] == [("tiny contrastive", 1)]
    assert found.at_work[0]["label"] == "tiny contrastive"


def test_status_during_a_training_without_validation_tells_its_epoch_alone(
    tmp_path: Path, study: Study, job: FoldJob
) -> None:
    with Ledger(tmp_path), RunLog(tmp_path, [StudyState(study, (), (), set())]) as log:
        log.told(Started(job, "worker 0 on cpu", 1))
        log.told(Validated(job, 4, float("nan"), 0.5))
        log._write_status()
        shown = _mlrc("status", "--runs", tmp_path)
    assert shown.exit_code == 0
    assert "tiny contrastive, search 0, fold 0: epoch 4, attempt 1, since" in shown.stdout


def test_status_where_there_are_no_locks_tells_what_it_can(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(tmp_path), RunLog(tmp_path, [StudyState(study, (), (), set())]) as log:
        log._write_status()
        monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
        shown = _mlrc("status", "--runs", tmp_path)
        told = json.loads(_mlrc("status", "--runs", tmp_path, "--json").stdout)
    assert shown.exit_code == 0
    assert "tiny contrastive" in shown.stdout
    assert f"Whether a driver is at work cannot be told: the file system of {tmp_path} has no locks" in shown.stdout
    assert (told["locks"], told["writer"]) == (False, None)
    refused = _mlrc("retry", "--runs", tmp_path)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"Error: The runs folder {tmp_path} must lie on a file system with locks")
    assert refused.stderr.count("\n") == 1


def test_status_after_the_driver_is_gone_says_so(
    tmp_path: Path, study: Study, tiny_images: ImageSet, honest: Execute
) -> None:
    _drive(tmp_path, study, tiny_images, honest)
    found = status(tmp_path)
    assert (found.writer, found.at_work, found.per_hour) == (None, (), None)
    assert (found.studies[0].done, found.studies[0].left) == (20, 0)
    assert "No driver is at work." in _mlrc("status", "--runs", tmp_path).stdout


def test_names_with_brackets_are_printed_as_they_are(tmp_path: Path, study: Study, job: FoldJob) -> None:
    state = StudyState(replace(study, dataset="folder:a[/b]"), (), (), set())
    with Ledger(tmp_path), RunLog(tmp_path, [state]) as log:
        log.told(Started(replace(job, dataset="folder:a[/b]"), "worker 0 on cpu", 1))
        log._write_status()
        shown = _mlrc("status", "--runs", tmp_path)
    assert shown.exit_code == 0
    assert shown.stdout.count("folder:a[/b]") == 2


def test_a_report_with_brackets_is_printed_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "table.md"
    table.write_text("| a[/b] |\n")
    monkeypatch.setattr(reporting, "write_full_report", lambda *_, **__: [table])
    with Ledger(tmp_path):
        shown = _mlrc("report", "--runs", tmp_path)
    assert (shown.exit_code, shown.stdout.splitlines()[0]) == (0, "| a[/b] |")


def test_status_of_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    result = _mlrc("status", "--runs", tmp_path)
    assert result.exit_code == 2
    assert "There is no status.json in" in result.stderr


def test_every_line_of_the_log_is_json_with_time_event_and_place(tmp_path: Path, study: Study, job: FoldJob) -> None:
    with RunLog(tmp_path, [StudyState(study, (), (), set())]) as log:
        log.told(Started(job, "worker 0 on cpu", 1))
        log.told(Validated(job, 0, 12.5, float("nan")))
        log.told(Lost(job, "its process died"))
        log.told(Stopping("SIGTERM", 1))
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["event"] for line in lines] == ["begun", "started", "validated", "lost", "stopping", "ended"]
    assert all(line["time"].endswith("+00:00") for line in lines)
    assert lines[2]["training_loss"] is None
    assert {line["key"] for line in lines[1:4]} == {job.key}
