"""What is to be done, as values: a study, its jobs, and how many there will be. Nothing here touches files or torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from mlrc.harness.plan.schedule import Recorded
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.identity import digest, key_of, key_of_repeat, seed_of, training_hash
from mlrc.results.records.record import Stage

__all__ = ["FoldJob", "Job", "Params", "ScoreJob", "Value", "digest", "rules"]

Value = float | int | str | bool
Params = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class FoldJob:
    """One training of one fold: strings and numbers only, so that it travels to any process or machine.

    `key` and `seed` are hashes of what the job is, never of order, machine or date.

    Attributes:
        dataset: name of the dataset, with the `fingerprint` of its images.
        params: of the loss, as the search proposed them.
        number: the trial in stage `search`, the repeat in the others.
        fold: 0 … folds − 1.
        recorded: the schedule of stage 1, in the stage 2 that repeats it; `None` where there are no two stages.
        search: which of the loss's searches it belongs to; the jobs of the first, 0, are those of a single one.
    """

    protocol: Protocol
    dataset: str
    fingerprint: str
    loss: str
    params: Params
    stage: Stage
    number: int
    fold: int
    recorded: Recorded | None = None
    search: int = 0

    @property
    def key(self) -> str:
        """16 hexadecimal digits that name the job."""
        return key_of(self._hash)

    @property
    def seed(self) -> int:
        """63 bits, the root of all randomness of the job."""
        return seed_of(self._hash)

    @cached_property
    def _hash(self) -> str:
        return training_hash(
            digest_of_protocol=rules(self.protocol),
            dataset=self.dataset,
            fingerprint=self.fingerprint,
            loss=self.loss,
            params=self.params,
            stage=self.stage,
            number=self.number,
            fold=self.fold,
            recorded=self.recorded,
            search=self.search,
        )


@dataclass(frozen=True, kw_only=True)
class ScoreJob:
    """The scoring of one repeat from the test embeddings of its fold models; draws no random numbers of its own.

    Attributes:
        params: of the loss in all of them.
        number: the repeat.
        cut: of the dataset into trainval and test.
        fold_keys: of the jobs whose embeddings are scored, in fold order.
        embeddings: folder of their files, as the driver sees it.
        search: which of the loss's searches it belongs to.
    """

    protocol: Protocol
    dataset: str
    fingerprint: str
    loss: str
    params: Params
    number: int
    cut: str
    fold_keys: tuple[str, ...]
    embeddings: str
    search: int = 0
    stage: Literal["score"] = "score"
    fold: None = None

    @property
    def key(self) -> str:
        """16 hexadecimal digits, that of the repeat's `RunRecord`."""
        return key_of_repeat(self.fold_keys)


Job = FoldJob | ScoreJob


@lru_cache(maxsize=64)
def rules(protocol: Protocol) -> str:
    """Give the protocol's digest, taken once: the driver asks for it at every job."""
    return protocol.digest
