"""The facts of every dataset agree with one another and with what is published."""

import importlib
import pkgutil

import pytest

from mlrc.protocols import datasets
from mlrc.protocols.datasets.facts import DatasetFacts

MODULES = [module.name for module in pkgutil.iter_modules(datasets.__path__) if module.name != "facts"]


@pytest.fixture(params=MODULES)
def facts(request: pytest.FixtureRequest) -> DatasetFacts:
    found = importlib.import_module(f"mlrc.protocols.datasets.{request.param}").FACTS
    assert isinstance(found, DatasetFacts)
    assert found.name == request.param
    return found


def test_facts_say_what_where_from_and_what_for(facts: DatasetFacts) -> None:
    assert facts.title
    assert facts.source
    assert facts.licence.endswith(".")


def test_the_official_split_has_a_name_and_leaves_classes_on_both_sides(facts: DatasetFacts) -> None:
    assert bool(facts.official_split) == (facts.official_trainval_classes is not None)
    if facts.official_trainval_classes is not None:
        assert 0 < facts.official_trainval_classes < (facts.classes or 0)


def test_archive_hashes_are_md5(facts: DatasetFacts) -> None:
    for digest in facts.archives.values():
        assert len(digest) == 32
        int(digest, 16)
