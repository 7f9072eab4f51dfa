"""Searches as Optuna studies in every kind of storage: complete, in order, once, and without touching the run."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import optuna
import pytest
from optuna.storages import BaseStorage
from typer.testing import CliRunner, Result

from mlrc.harness.cli import app
from mlrc.harness.engine.perform import record_of
from mlrc.harness.engine.workplace import Workplace
from mlrc.harness.plan.job import FoldJob
from mlrc.harness.plan.parameters import space
from mlrc.harness.plan.search import sobol_point
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study
from mlrc.harness.plugin_files import PluginFile
from mlrc.harness.plugins import LOSSES
from mlrc.harness.study.carry_out import Work
from mlrc.harness.training.fold import Trained
from mlrc.harness.watch.optuna_export import Mirror, export, open_storage, study_name
from mlrc.protocols.protocol import PerDataset
from mlrc.results.records.evidence import trial_score
from mlrc.results.records.ledger import Ledger, Records
from mlrc.results.records.record import FoldRecord, ProtocolRecord
from tests.harness.conftest import ENVIRONMENT, POSTGRES
from tests.mlrc.conftest import LOSS

TRIALS = 5


def _folds(study: Study, number: int) -> list[FoldRecord]:
    params = sobol_point(LOSSES.find(study.loss).space, number, seed=3)
    return [_fold(job) for job in study.jobs("search", number, params)]


def _fold(job: FoldJob) -> FoldRecord:
    if (job.number, job.fold) == (2, 1):
        trained = Trained("diverged", None, ((0, 5.0),), None, None, "the loss was not finite in epoch 1")
    else:
        score = 20.0 + job.number + job.fold
        trained = Trained("done", None, ((0, 5.0), (2, score), (4, score - 1)), 2, score)
    return record_of(job, trained, Workplace(roots={}, device="cpu", environment=ENVIRONMENT), 1.5)


@pytest.fixture
def records(study: Study) -> Records:
    """Two searches of five trials; of the sixth, one fold."""
    found = Records()
    found.add(
        ProtocolRecord(
            digest=study.protocol.digest, name=study.protocol.name, fields=study.protocol.to_json(), changes={}
        )
    )
    for loss in ("contrastive", "soft_triple"):
        of_loss = replace(study, loss=loss)
        for number in range(TRIALS):
            for fold in _folds(of_loss, number):
                found.add(fold)
        found.add(_folds(of_loss, TRIALS)[0])
    return found


@pytest.fixture
def runs(tmp_path: Path, records: Records) -> Path:
    with Ledger(tmp_path / "runs") as ledger:
        ledger.append([*records.protocols.values(), *records.folds.values()])
    return tmp_path / "runs"


def _mlrc(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A server of our own on the loopback address, and the URL of its database."""
    assert POSTGRES is not None
    programs = Path(POSTGRES).resolve().parent
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())  # it refuses to be root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(dir="/tmp")  # its folders above are open to the server's user
    os.chown(folder, user.pw_uid, user.pw_gid)

    def run(program: str, *words: str) -> None:
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        subprocess.run(
            [programs / program, "-D", f"{folder}/data", *words],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            **as_user,  # type: ignore[call-overload] # of the three keys named above
        )

    run("initdb", "--auth=trust", "--username=mlrc", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run("pg_ctl", "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        yield f"postgresql+psycopg://mlrc@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql"))
    return {"sqlite": f"sqlite:///{tmp_path}/searches.db", "journal": str(tmp_path / "searches.log")}[request.param]


@pytest.mark.parametrize(
    "url", ["sqlite", "journal", pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
def test_every_search_is_a_study_that_optuna_s_tools_open(runs: Path, records: Records, url: str) -> None:
    for expected in (TRIALS, 0):  # again, nothing is left to write
        result = _mlrc("export-optuna", "--runs", runs, "--storage", url)
        assert result.exit_code == 0, result.output
        assert result.stdout.count(f": {expected} trials written") == 2
    with open_storage(url) as storage:
        _holds(storage, records)


def _holds(storage: BaseStorage, records: Records) -> None:
    names = {study_name(fold) for fold in records.folds.values()}
    assert {summary.study_name for summary in optuna.get_all_study_summaries(storage)} == names
    for name in names:
        study = optuna.load_study(study_name=name, storage=storage)
        folds = [fold for fold in records.folds.values() if study_name(fold) == name]
        assert study.direction == optuna.study.StudyDirection.MAXIMIZE
        assert [trial.number for trial in study.trials] == list(range(TRIALS))
        for trial in study.trials:
            mine = sorted((fold for fold in folds if fold.number == trial.number), key=lambda fold: fold.fold)
            assert trial.value == trial_score(mine)
            assert trial.params == pytest.approx(dict(mine[0].params))
            assert trial.distributions == dict(LOSSES.find(mine[0].loss).space)
            assert trial.user_attrs["jobs"] == [fold.key for fold in mine]
        assert study.trials[2].value == 0
        assert study.trials[2].user_attrs["messages"] == ["the loss was not finite in epoch 1"]
        assert study.trials[1].intermediate_values == {0: 5.0, 2: 22.5, 4: 21.5}
        assert study.best_trial.number == TRIALS - 1


def test_trials_are_mirrored_as_soon_as_they_are_complete(tmp_path: Path, study: Study) -> None:
    folds = [fold for number in range(3) for fold in _folds(study, number)]
    seen = []
    with open_storage(str(tmp_path / "searches.log")) as storage:
        mirror = Mirror(storage)
        for count in range(1, len(folds) + 1):
            state = StudyState(study, folds[:count], (), set())
            mirror.recorded(state, folds[count - 1])
            seen.append(len(optuna.load_study(study_name=study_name(folds[0]), storage=storage).trials))
    assert mirror.failure == ""
    assert seen == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_a_storage_that_breaks_does_not_break_the_run(tmp_path: Path, study: Study) -> None:
    folds = _folds(study, 0)
    with open_storage(f"sqlite:///{tmp_path}/searches.db") as storage:
        (tmp_path / "searches.db").write_bytes(b"torn")
        mirror = Mirror(storage)
        mirror.recorded(StudyState(study, folds, (), set()), folds[-1])
    assert mirror.failure


def test_a_study_that_holds_other_trials_is_refused(tmp_path: Path, records: Records, study: Study) -> None:
    others = Records(protocols=records.protocols)
    for fold in _folds(study, 0):
        others.add(replace(fold, best_score=99.0))
    with open_storage(f"sqlite:///{tmp_path}/searches.db") as storage:
        export(records, storage)
        with pytest.raises(ValueError, match="Trial 0 of study .* must be the one of this run"):
            export(others, storage)


def test_a_storage_that_cannot_be_reached_is_one_sentence_without_the_password(runs: Path) -> None:
    url = "postgresql+psycopg://mlrc:secret@127.0.0.1:1/none"
    result = _mlrc("export-optuna", "--runs", runs, "--storage", url)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "Error: The storage postgresql+psycopg://mlrc:***@127.0.0.1:1/none must be reachable"
    )
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("post-gres://h/d", "post-gres://h/d"),
        ("post-gres://mlrc:sec@ret@h/d", "post-gres://***@h/d"),
        ("postgresql://mlrc:secret@h:port/d", "postgresql://***@h:port/d"),
    ],
)
def test_what_is_no_url_is_one_sentence_without_the_password(runs: Path, url: str, shown: str) -> None:
    result = _mlrc("export-optuna", "--runs", runs, "--storage", url)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: The storage {shown} must be reachable")
    assert result.stderr.count("\n") == 1


def test_a_storage_that_breaks_in_the_export_is_one_sentence(tmp_path: Path, records: Records) -> None:
    with open_storage(f"sqlite:///{tmp_path}/searches.db") as storage:
        (tmp_path / "searches.db").write_bytes(b"torn")
        with pytest.raises(ValueError, match="^The storage must take study '.*', but it broke .*; mend it[^\n]*$"):
            export(records, storage)


def test_a_search_whose_rate_of_the_loss_the_protocol_sets_is_exported(study: Study) -> None:
    rules = study.protocol.vary({"loss_lr": PerDataset(0.01)})
    of_loss = replace(study, loss="soft_triple", protocol=rules)
    searched = space(LOSSES.find("soft_triple"), rules, study.dataset)
    found = Records()
    found.add(ProtocolRecord(digest=rules.digest, name=rules.name, fields=rules.to_json(), changes={}))
    for job in of_loss.jobs("search", 0, sobol_point(searched, 0, seed=3)):
        found.add(_fold(job))
    storage = optuna.storages.InMemoryStorage()
    assert list(export(found, storage).values()) == [1]
    (trial,) = optuna.load_study(study_name=study_name(*list(found.folds.values())[:1]), storage=storage).trials
    assert trial.distributions == searched
    assert "loss_lr" not in searched


def test_a_folder_without_a_ledger_is_refused(tmp_path: Path) -> None:
    result = _mlrc("export-optuna", "--runs", tmp_path, "--storage", "sqlite://")
    assert result.exit_code == 2
    assert "There is no ledger.jsonl in" in result.stderr


CHOICES = LOSS.replace("FloatDistribution(0, 1)", "CategoricalDistribution({choices})").replace(
    "import FloatDistribution", "import CategoricalDistribution"
)


def test_a_search_whose_choices_were_widened_goes_on_in_a_study_of_its_own(
    tmp_path: Path, study: Study, records: Records
) -> None:
    path, of_file = tmp_path / "widened.py", replace(study, loss="widened")

    def has(*choices: float) -> None:
        path.write_text(CHOICES.format(name="widened", choices=choices), encoding="utf-8")
        LOSSES.find(str(path))

    has(0.25, 0.5)
    folds = [_fold(job) for number in (0, 1) for job in of_file.jobs("search", number, {"margin": 0.25})]
    later = [_fold(job) for job in of_file.jobs("search", 2, {"margin": 0.75})]
    with open_storage(f"sqlite:///{tmp_path}/searches.db") as storage:
        mirror = Mirror(storage)
        mirror.recorded(StudyState(of_file, folds, (), set()), folds[-1])
        has(0.25, 0.5, 0.75)
        mirror.recorded(StudyState(of_file, [*folds, *later], (), set()), later[-1])
        assert mirror.failure == ""
        plain, widened = sorted(optuna.get_all_study_names(storage), key=len)
        assert plain == study_name(folds[0])
        assert widened.startswith(f"{plain}/")
        trials = optuna.load_study(study_name=widened, storage=storage).trials
        assert [trial.params["margin"] for trial in trials] == [0.25, 0.25, 0.75]
        there = Records(protocols=records.protocols)
        for fold in (*folds, *later):
            there.add(fold)
        assert export(there, storage) == {plain: 0}


def test_the_advice_after_a_storage_broke_names_all_that_the_command_needs(tmp_path: Path) -> None:
    file = PluginFile(path="/my losses/pull.py", attribute="SPEC", text="")
    comparison = Mock(workplace=Mock(losses={"pull": file}))
    mirror = Mirror(Mock(), "mysql://me:secret@host/searches")
    mirror.failure = "gone"
    ledger = Mock(path=tmp_path / "ledger.jsonl")
    advice = Work(comparison=comparison, ledger=ledger, means=Mock(), mirror=mirror).warning
    assert advice.endswith(
        f"mlrc export-optuna --runs {tmp_path} --storage 'mysql://me:***@host/searches' --losses '/my losses/pull.py'"
    )
