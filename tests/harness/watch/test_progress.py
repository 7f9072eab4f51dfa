"""What a person reads of long work: which study a line is of."""

from dataclasses import replace
from io import StringIO

from rich.console import Console

from mlrc.harness.engine.events import Lost
from mlrc.harness.plan.state import StudyState
from mlrc.harness.plan.study import Study
from mlrc.harness.watch.progress import Display
from mlrc.harness.watch.study_names import labels


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
