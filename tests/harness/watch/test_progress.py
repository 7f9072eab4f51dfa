"""What a person reads of long work: which study a line is of."""

from dataclasses import replace
from io import StringIO

from rich.console import Console

from mlrc.harness.engine.events import Lost
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study, of_all_searches
from mlrc.harness.watch.progress import Display
from mlrc.harness.watch.status import retry
from mlrc.harness.watch.study_names import labels
from mlrc.results.records.ledger import Records
from mlrc.results.records.record import ProtocolRecord
from tests.harness.plan.test_state import _record


def test_a_study_alone_of_its_name_is_called_by_dataset_and_loss(study: Study) -> None:
    assert labels([study, replace(study, loss="triplet")]) == ["tiny contrastive", "tiny triplet"]


def test_studies_of_one_loss_are_told_apart_by_what_differs(study: Study) -> None:
    wide = study.protocol.vary({"embedding_size": 16})
    given = {"pos_margin": 0.0, "neg_margin": 0.5}
    points = [
        replace(study, params=given),
        replace(study, params={**given, "neg_margin": 0.25}),
        replace(study, params=given, protocol=wide),
    ]
    assert labels(points) == [
        "tiny contrastive embedding_size=8 neg_margin=0.5",
        "tiny contrastive embedding_size=8 neg_margin=0.25",
        "tiny contrastive embedding_size=16 neg_margin=0.5",
    ]


def test_what_happens_to_a_job_is_told_under_the_name_of_its_study(study: Study) -> None:
    points = [replace(study, params={"pos_margin": 0.0, "neg_margin": margin}) for margin in (0.5, 0.25)]
    states = [StudyState(point, (), (), set()) for point in points]
    text = StringIO()
    display = Display(states, "final", Console(file=text))
    display.told(Lost(next(iter(states[1].ready("final"))), "it broke"))
    assert text.getvalue() == "tiny contrastive neg_margin=0.25: repeat 0, fold 0, it broke; it is done again\n"


def test_several_searches_of_a_loss_are_told_apart_and_each_job_stands_under_its_own(study: Study) -> None:
    several = of_all_searches(replace(study, protocol=study.protocol.vary({"searches": 2, "sampler": "random"})))
    assert labels(several) == ["tiny contrastive search 0", "tiny contrastive search 1"]
    states = [StudyState(one, (), (), set()) for one in several]
    text = StringIO()
    display = Display(states, "final", Console(file=text))
    display.told(Lost(next(iter(states[1].ready("final"))), "it broke"))
    assert text.getvalue() == "tiny contrastive search 1: trial 0, fold 0, it broke; it is done again\n"


def test_a_retry_takes_back_what_follows_the_batch_of_a_failed_training_in_its_own_search_alone(study: Study) -> None:
    rules = {"searches": 2, "sampler": "random", "trials": 4, "startup_trials": 0, "parallel_trials": 2}
    several = of_all_searches(replace(study, protocol=study.protocol.vary(rules)))
    protocol = several[0].protocol
    records = Records()
    records.add(ProtocolRecord(digest=protocol.digest, name=protocol.name, fields=protocol.to_json(), changes={}))
    jobs = {
        (one.search, number): one.jobs("search", number, {"pos_margin": 0.0, "neg_margin": number / 10})[0]
        for one in several
        for number in range(4)
    }
    for (search, number), job in jobs.items():
        records.add(_record(job, "failed" if (search, number) == (1, 0) else "done"))
    assert set(retry(records).keys) == {jobs[1, number].key for number in (0, 2, 3)}
