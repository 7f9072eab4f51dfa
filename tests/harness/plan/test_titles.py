"""What readers call the losses that are known here."""

from mlrc.harness.plan.parameters import titles, titles_of_ours
from mlrc.results.records.record import PCA, UNTRAINED


def test_a_title_is_what_papers_print_and_an_unknown_loss_has_none() -> None:
    known = titles(["multi_similarity", "no_such_loss"])
    assert known == {"multi_similarity": "MS", UNTRAINED: "Untrained", PCA: "PCA"}
    assert titles_of_ours(["multi_similarity"]) == known
