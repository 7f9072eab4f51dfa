"""What studies are called where people look on: a run may have a loss several times, as the points of a sweep."""

from collections.abc import Sequence

from mlrc.harness.plan.study import Study


def labels(studies: Sequence[Study]) -> list[str]:
    """Name each study for people: dataset and loss, and what tells it from others of that name."""
    found = []
    for study in studies:
        same = [_words(other) for other in studies if (other.dataset, other.loss) == (study.dataset, study.loss)]
        own = [word for word in _words(study) if not all(word in words for words in same)]
        found.append(" ".join((study.dataset, study.loss, *own)))
    return found


def _words(study: Study) -> list[str]:
    given = sorted((study.params or {}).items())
    values = (f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in given)
    return [*study.protocol.name.split("+"), *values, f"search {study.search}"]
