"""What is to be done, as values: a study, its jobs, and how many there will be. Nothing here touches files or torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from mlrc.harness.plan.schedule import Recorded
from mlrc.protocols.protocol import Protocol
from mlrc.results.records.record import Stage

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
        return self._hash[:16]

    @property
    def seed(self) -> int:
        """63 bits, the root of all randomness of the job."""
        return int(self._hash[16:32], 16) >> 1

    @cached_property
    def _hash(self) -> str:
        identity = (rules(self.protocol), self.dataset, self.fingerprint, self.loss, sorted(self.params.items()))
        of_stage_1 = () if self.recorded is None else (self.recorded,)
        return digest(*identity, self.stage, self.number, self.fold, *of_stage_1, *of_search(self.search))


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
        return digest(list(self.fold_keys))[:16]


Job = FoldJob | ScoreJob


def of_search(search: int) -> tuple[dict[str, int], ...]:
    """Give what tells the jobs and the seed of a search from those of the first one, which has nothing of the kind."""
    return ({"search": search},) if search else ()


@lru_cache(maxsize=64)
def rules(protocol: Protocol) -> str:
    """Give the protocol's digest, taken once: the driver asks for it at every job."""
    return protocol.digest


def digest(*parts: object) -> str:
    """Give 64 hexadecimal digits over values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
