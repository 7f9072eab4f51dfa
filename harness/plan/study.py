"""A study as a value: one search of a loss on a dataset under a protocol, its jobs, and how many there will be."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from mlrc.harness.plan.job import FoldJob, Params, digest, rules
from mlrc.harness.plan.schedule import Recorded
from mlrc.protocols.protocol import Protocol, of
from mlrc.results.records.identity import of_search
from mlrc.results.records.record import BASELINES, PCA, UNTRAINED, FoldRecord, Identity, RunRecord, Stage


@dataclass(frozen=True, kw_only=True)
class Study:
    """One loss on one dataset under one protocol: a search, then repeats with its best parameters.

    Attributes:
        params: fixed parameters (published ones, or none to choose), with which there is no search.
        search: which of the loss's searches it is, 0 … searches − 1. The first has the seeds and keys of a single one.
    """

    protocol: Protocol
    dataset: str
    fingerprint: str
    loss: str
    params: Params | None = None
    search: int = 0

    @property
    def seed(self) -> int:
        """63 bits, the root of the search's randomness."""
        return int(digest(*self.identity, *of_search(self.search))[:16], 16) >> 1

    @property
    def identity(self) -> Identity:
        """That of its records, and of those of the loss's other searches."""
        return rules(self.protocol), self.dataset, self.fingerprint, self.loss

    def owns(self, record: FoldRecord | RunRecord) -> bool:
        """Say whether a record is of this study; with fixed parameters, whether it has these."""
        same_params = self.params is None or dict(record.params) == dict(self.params)
        return record.identity == self.identity and record.search == self.search and same_params

    @property
    def trials(self) -> int:
        """Number of trials of the search."""
        return 0 if self.params is not None else self.protocol.trials

    @property
    def two_stages(self) -> bool:
        """Whether each repeat begins with a stage 1 that chooses its schedule."""
        return self.protocol.two_stages and self.loss not in BASELINES

    def jobs(self, stage: Stage, number: int, params: Params, recorded: Recorded | None = None) -> list[FoldJob]:
        """Give the jobs of one trial or repeat, one per fold."""
        job = FoldJob(
            protocol=self.protocol,
            dataset=self.dataset,
            fingerprint=self.fingerprint,
            loss=self.loss,
            params=params,
            stage=stage,
            number=number,
            fold=0,
            recorded=recorded,
            search=self.search,
        )
        return [replace(job, fold=fold) for fold in range(self.protocol.folds)]


def of_all_searches(study: Study) -> list[Study]:
    """Give the studies of all searches of a loss.

    A loss without parameters to search has as many: its repeats are then as many as those of the others.
    """
    return [replace(study, search=search) for search in range(study.protocol.searches)]


def untrained(protocol: Protocol, dataset: str, fingerprint: str) -> Study:
    """Give the study of the trunk before any training, a row of every table."""
    return Study(protocol=protocol, dataset=dataset, fingerprint=fingerprint, loss=UNTRAINED, params={})


def baselines(protocol: Protocol, dataset: str, fingerprint: str) -> list[Study]:
    """Give the studies of what no loss made: the trunk before any training, and its features where only heads train."""
    first = untrained(protocol, dataset, fingerprint)
    return [first, replace(first, loss=PCA)] if protocol.trains == "head" else [first]


def repeats(study: Study) -> int:
    """Give the number of repeats: what is the same in each, as pretrained weights without training, has one."""
    same = bool(study.protocol.weights) or study.protocol.trains == "head"
    return 1 if study.loss in BASELINES and same else study.protocol.repeats


class Cost(NamedTuple):
    """What a study asks for at most: its trainings, and the epochs of all of them together."""

    search_jobs: int
    final_jobs: int
    epochs: int


def cost(study: Study) -> Cost:
    """Give the upper bound of a study's work; patience usually stops a training earlier."""
    protocol = study.protocol
    stages = 2 if study.two_stages else 1
    search_jobs, final_jobs = study.trials * protocol.folds, repeats(study) * protocol.folds * stages
    trainings = 0 if study.loss in BASELINES else search_jobs + final_jobs
    return Cost(search_jobs, final_jobs, trainings * of(protocol.max_epochs, study.dataset))
