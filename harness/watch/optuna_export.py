"""Searches as Optuna studies, for optuna-dashboard and Optuna's visualisation: after a run, or live beside it.

The ledger stays the state: a study here is a copy that nothing is read from.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import groupby

import optuna
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mlrc.harness.engine.events import Event
from mlrc.harness.plan.parameters import tried
from mlrc.harness.plan.search import silent_optuna
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plugins import LOSSES
from mlrc.results.records.ledger import Records
from mlrc.results.records.record import FoldRecord, RunRecord
from mlrc.results.records.trials import Ended, SearchRules, ended


@contextmanager
def open_storage(url: str) -> Iterator[BaseStorage]:
    """Open a storage by its URL, as `sqlite:///file.db` or `postgresql+psycopg://…`, or by the path of a journal file.

    Raises:
        ValueError: it cannot be reached, or its driver is not installed.
    """
    try:
        storage = RDBStorage(url) if "://" in url else JournalStorage(JournalFileBackend(url))
    except (SQLAlchemyError, ImportError, OSError, ValueError) as error:  # the last one: a port that is no number
        raise ValueError(
            f"The storage {_without_password(url)} must be reachable, but it is not ({_first_line(error)}); start its "
            "server, install its Python driver, or give another such as sqlite:///searches.db."
        ) from error
    try:
        yield storage
    finally:
        if isinstance(storage, RDBStorage):
            storage.remove_session()
            storage.engine.dispose()


def export(records: Records, storage: BaseStorage) -> dict[str, int]:
    """Write every search; give study name to number of trials written, those that were there already not counted.

    Raises:
        LookupError: a loss is not installed, so that its space is not known.
        ValueError: a study of that name holds other trials, a recorded parameter lies outside the space, or the storage
            breaks.
    """
    search = sorted((fold for fold in records.folds.values() if fold.stage == "search"), key=study_name)
    written = {}
    for name, folds in groupby(search, key=study_name):
        trainings = list(folds)
        rules = SearchRules.of(records.protocols[trainings[0].digest].fields)
        try:
            written[name] = export_search(name, trainings, rules, storage)
        except (SQLAlchemyError, OptunaError) as error:
            raise ValueError(
                f"The storage must take study {name!r}, but it broke ({_first_line(error)}); mend it, or give another."
            ) from error
    return written


def study_name(record: FoldRecord) -> str:
    """Name the study of a search: dataset, loss and protocol, with the hashes that tell versions apart.

    Of several searches the later ones have their number, too.
    """
    parent = record.protocol.split("+", 1)[0]
    which = f"/search {record.search}" if record.search else ""
    return f"{record.dataset}-{record.fingerprint[:8]}/{record.loss}/{parent}-{record.digest}{which}"


def export_search(name: str, folds: Sequence[FoldRecord], rules: SearchRules, storage: BaseStorage) -> int:
    """Write the trials of one search that came to their end by its rules and are not there yet; give their number.

    A study whose choices are others than today's, as of a space that was widened since, takes no trial more: the search
    is then written as a whole into a study of its own, whose name ends in a hash of the space.

    Raises what `export` raises.
    """
    with silent_optuna():
        trials = _trials(folds, rules)
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
        if not _takes(study.get_trials(deepcopy=False), trials):
            name = f"{name}/{_hash(trials[-1].distributions)}"
            study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
        there = study.get_trials(deepcopy=False)
        for known, trial in zip(there, trials, strict=False):
            if (known.params, known.value) != (trial.params, trial.value):
                raise ValueError(
                    f"Trial {known.number} of study {name!r} must be the one of this run, but another is stored "
                    "there; delete the study or give another storage."
                )
        study.add_trials(trials[len(there) :])
    return max(0, len(trials) - len(there))


def _takes(there: Sequence[FrozenTrial], trials: Sequence[FrozenTrial]) -> bool:
    """Say whether a study with these trials takes others, as Optuna has it: with the same kinds and choices."""
    try:
        for known in there:
            for name, distribution in trials[-1].distributions.items() if trials else ():
                if name in known.distributions:
                    check_distribution_compatibility(known.distributions[name], distribution)
    except ValueError:
        return False
    return True


def _hash(space: Mapping[str, BaseDistribution]) -> str:
    told = sorted((name, distribution_to_json(distribution)) for name, distribution in space.items())
    return sha256(json.dumps(told).encode()).hexdigest()[:8]


class Mirror:
    """Writes every trial into a storage as soon as it is complete.

    A storage that breaks does not break the run: `failure` says what happened, and `mlrc export-optuna` catches up.

    Args:
        storage: an open one.
        url: by which it was opened.
    """

    def __init__(self, storage: BaseStorage, url: str = "") -> None:
        self._storage = storage
        self.url = _without_password(url)
        self.failure = ""

    def told(self, event: Event) -> None:
        """Pass over what happens inside a trial."""

    def recorded(self, state: StudyState, record: FoldRecord | RunRecord) -> None:
        """Write the trial that the record completes."""
        if self.failure or isinstance(record, RunRecord) or record.stage != "search":
            return
        try:
            rules = SearchRules.of(state.study.protocol.to_json())
            export_search(study_name(record), state.search_records, rules, self._storage)
        except Exception as error:  # noqa: BLE001 a server far away may break in any way
            self.failure = _first_line(error)


def _trials(folds: Sequence[FoldRecord], rules: SearchRules) -> list[FrozenTrial]:
    """Give the complete trials from the first to the last before a gap."""
    by_number: dict[int, list[FoldRecord]] = {}
    for fold in folds:
        by_number.setdefault(fold.number, []).append(fold)
    results = ended(folds, rules)
    found = []
    for number in range(len(by_number)):
        trial = sorted(by_number.get(number, []), key=lambda fold: fold.fold)
        if len(trial) < rules.folds and not (trial and results[number].stopped):
            break
        found.append(_trial(trial, results[number]))
    return found


def _space(fold: FoldRecord) -> dict[str, BaseDistribution]:
    if not LOSSES.knows(fold.loss):
        raise LookupError(
            f"The search of {fold.loss!r} needs that loss for its ranges, but none here has that name; give its file "
            "with --losses FILE.py, or install its package."
        )
    return tried(LOSSES.find(fold.loss), fold.params)


def _trial(folds: Sequence[FoldRecord], result: Ended) -> FrozenTrial:
    courses = [dict(fold.history) for fold in folds]
    epochs = set.intersection(*(set(course) for course in courses))
    return optuna.trial.create_trial(
        params=dict(folds[0].params),
        distributions=_space(folds[0]),
        value=result.score,
        intermediate_values={epoch: sum(course[epoch] for course in courses) / len(courses) for epoch in epochs},
        user_attrs={
            "outcomes": [fold.outcome for fold in folds],
            "fold_scores": [fold.best_score for fold in folds],
            "best_epochs": [fold.best_epoch for fold in folds],
            "seconds": [fold.seconds for fold in folds],
            "jobs": [fold.key for fold in folds],
            "messages": [fold.message for fold in folds if fold.message],
            **({"ended_early": True} if result.stopped else {}),
        },
    )


def _without_password(url: str) -> str:
    if "://" not in url:
        return url
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):  # no URL that names its parts, so all before the last @ may be secret
        return re.sub("://.*@", "://***@", url)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
