"""What is written down of everything that happened: one frozen value per ledger line, to JSON and back.

A `FoldRecord` has no field that could hold a test score, unless its protocol chooses the epoch on the test set; test
scores exist in `RunRecord`s alone, the unit of statistics.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mlrc.results.records.origin import Origins

SCHEMA = 1
"""Raised when a line gains or changes a field; older lines stay readable."""

Outcome = Literal["done", "diverged", "failed"]
Stage = Literal["search", "schedule", "final", "untrained"]
Params = Mapping[str, float | int | str | bool]
Identity = tuple[str, str, str, str]
"""What tells the study of a record from others: digest of the protocol, dataset, fingerprint, loss."""
UNTRAINED = "untrained"
"""The name under which the trunk before any training stands in the tables, and the stage of its jobs."""
PCA = "pca"
"""Likewise of a trunk's features, reduced to the size of an embedding on each fold's training classes."""
BASELINES = (UNTRAINED, PCA)
"""Rows that no loss made, in their order above the losses; none of them is ranked."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a record was made.

    Attributes:
        commit: of this code, or its version where it is installed without history; `-dirty` is appended when files
            differed from it.
        versions: package name to version.
        device: `cpu`, or the name of the accelerator.
        host: the machine's name.
        settings: how torch was set for the accelerator, name to value; empty on a processor, in the records of drivers,
            and in those of before it was told, where a line lacks it.
        processor: model and instruction set of the processor, on which the last bits of a training hang; empty in lines
            of before it was told.
    """

    commit: str
    versions: Mapping[str, str]
    device: str
    host: str
    settings: Mapping[str, str] = field(default_factory=dict)
    processor: str = ""


@dataclass(frozen=True, kw_only=True)
class ProtocolRecord:
    """The protocol that a digest stands for.

    Attributes:
        digest: of all fields.
        name: with the fields that differ from its parent.
        fields: every field, as JSON values.
        changes: field to its (value in the parent, value here).
    """

    digest: str
    name: str
    fields: Mapping[str, Any]
    changes: Mapping[str, Any]
    schema: int = SCHEMA

    @property
    def parent(self) -> str:
        """The name that it was derived from, or its own."""
        return self.name.split("+", 1)[0]

    @property
    def epoch_choice(self) -> str:
        """`best_on_validation`, `last` or `best_on_test`; the first before there was a choice."""
        return str(self.fields.get("epoch_choice", "best_on_validation"))

    @property
    def traditional(self) -> bool:
        """Whether nothing is selected on validation classes, as in the papers of most losses."""
        return self.epoch_choice != "best_on_validation"

    @property
    def searches(self) -> int:
        """How many searches each loss has."""
        return int(self.fields.get("searches", 1))

    def planned_searches(self, loss: str) -> int:
        """Give how many searches a loss has; the untrained trunk has nothing to search, and counts as one."""
        return 1 if loss in BASELINES else self.searches

    def planned_repeats(self, loss: str) -> int:
        """Give how many repeats a loss has of each search; one where all would be the same trunk without training."""
        same = self.fields.get("weights") or self.fields.get("trains") == "head"
        return 1 if loss in BASELINES and same else int(self.fields["repeats"])


@dataclass(frozen=True, kw_only=True)
class FoldRecord:
    """One training of one fold.

    Attributes:
        key: hash of what the job is; `seed`: likewise, the root of all its randomness.
        dataset: name, with the `fingerprint` of its images and the `cut` (half, official, own) into trainval and test.
        protocol: name, with its `digest`.
        loss: name, with `params` as the search proposed them.
        stage: `search` (then `number` is the trial), `final` (the repeat), `schedule` (the repeat whose stage 1 it is)
            or `untrained` (the repeat).
        fold: 0 … folds − 1.
        outcome: `done`, `diverged` (loss or embeddings not finite) or `failed`, with a `message` for the latter two.
        history: (epoch, validation score in percent), epoch 0 before training; empty without validation. Under a
            protocol whose epoch choice is `best_on_test` its final stage validates on the test classes, and there alone
            a test score stands here.
        best_epoch: epoch of the best validation after the start; `best_score` its score. `None` if there is none.
        seconds: wall time of the job on its device, of which it had the `share`.
        processor_seconds: of all threads of the processes that worked on it, user's and system's; `None` in lines of
            before it was told, and where no process lived to tell.
        iterations: steps that the training made; `None` likewise, and without a training.
        search: which of the loss's searches it belongs to; a line of the first one, 0, lacks it.
        plugins: where its loss, dataset and trunk came from; a line of before this was told lacks it.
    """

    key: str
    seed: int
    dataset: str
    fingerprint: str
    cut: str
    protocol: str
    digest: str
    loss: str
    params: Params
    stage: Stage
    number: int
    fold: int
    outcome: Outcome
    history: tuple[tuple[int, float], ...]
    best_epoch: int | None
    best_score: float | None
    seconds: float
    environment: Environment
    message: str = ""
    share: float = 1.0
    search: int = 0
    plugins: Origins = field(default_factory=dict)
    processor_seconds: float | None = None
    iterations: int | None = None
    schema: int = SCHEMA

    @property
    def identity(self) -> Identity:
        """Of its study."""
        return self.digest, self.dataset, self.fingerprint, self.loss


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One repeat of the final stage: its fold models on the test classes.

    Attributes:
        key: hash of the keys of its folds; names the file of per-class sums.
        number: the repeat, counted from 0 in each `search`, the one whose best parameters it has.
        fold_keys: of its `FoldRecord`s, in fold order.
        test_classes: number of test classes, with `test_images` and `left_out`, the queries without a positive.
        queries: number of test images that ask while the others are their gallery; `None` where each asks all others.
        cameras: number of cameras of the test images, where images of a query's class and camera are not searched.
        embedding_size: of one fold model; the concatenation has `folds` times as many.
        separated: metric to the mean over the fold models, percent; `concatenated`: of their ensemble.
        search: the one whose best parameters it has; the repeats of each are numbered from 0. A line of the first one,
            0, lacks it.
        pretraining: which classes the weights that the trunk began from may have seen, as the data set says; empty
            where it does not, or where the trunk was trained from scratch.
        per_class_sha256: of the file of its per-class sums; empty in lines of before it was told.
    """

    key: str
    dataset: str
    fingerprint: str
    cut: str
    protocol: str
    digest: str
    loss: str
    params: Params
    number: int
    fold_keys: tuple[str, ...]
    test_classes: int
    test_images: int
    left_out: int
    embedding_size: int
    separated: Mapping[str, float]
    concatenated: Mapping[str, float]
    environment: Environment
    queries: int | None = None
    cameras: int | None = None
    search: int = 0
    pretraining: str = ""
    per_class_sha256: str = ""
    schema: int = SCHEMA

    def scores(self, setting: str) -> Mapping[str, float]:
        """Give metric to percent, `separated` or `concatenated`."""
        return self.separated if setting == "separated" else self.concatenated

    @property
    def identity(self) -> Identity:
        """Of its study."""
        return self.digest, self.dataset, self.fingerprint, self.loss


@dataclass(frozen=True, kw_only=True)
class RetryRecord:
    """The wish that failed trainings be done again: what is recorded of these keys before this line counts no more.

    Beside the failed trainings the keys name the trainings and repeats that were built on them, in older ledgers.
    """

    keys: tuple[str, ...]
    schema: int = SCHEMA


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """One combination of a sweep's factors.

    Attributes:
        labels: the value of each factor.
        loss: with the `digest` of the protocol and the `params`, what its repeats carry.
        printed: (source, beginning of the title, beginning of the place) of what papers print of it.
    """

    labels: tuple[str, ...]
    loss: str
    digest: str
    params: Params
    printed: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class SweepRecord:
    """What a sweep varies: which repeats of the ledger belong together, and under which labels.

    Attributes:
        key: hash of all else.
        name: `title`, `source` and `note` say whose ablation it is.
        dataset: name, with the `fingerprint` of its images.
        factors: names of one or two.
        points: in the order of the tables.
    """

    key: str
    name: str
    title: str
    source: str
    note: str
    dataset: str
    fingerprint: str
    factors: tuple[str, ...]
    points: tuple[SweepPoint, ...]
    schema: int = SCHEMA


@dataclass(frozen=True, kw_only=True)
class ImagesRecord:
    """Which files a fingerprint stands for that was taken of names and sizes, as all were before bytes were hashed.

    Attributes:
        dataset: name, with the `fingerprint` under which its records stand.
        content: hash of labels and bytes.
    """

    dataset: str
    fingerprint: str
    content: str
    schema: int = SCHEMA


@dataclass(frozen=True, kw_only=True)
class UncheckedRecord:
    """A loss that ran although it breaks promises on which resume, seeds and devices rest; its rows say so.

    Attributes:
        loss: name, with the `digest` of the protocol, the `dataset` and the `fingerprint` of its images.
        broken: titles of the promises, in the contract's order.
    """

    digest: str
    dataset: str
    fingerprint: str
    loss: str
    broken: tuple[str, ...]
    schema: int = SCHEMA

    @property
    def identity(self) -> Identity:
        """Of its study."""
        return self.digest, self.dataset, self.fingerprint, self.loss

    @property
    def note(self) -> str:
        """What a reader of its rows must know, in a sentence."""
        return (
            f"{self.loss}: it ran with --unchecked although it breaks what every loss promises "
            f"({'; '.join(self.broken)}), so its numbers may be others after a stop or on another machine."
        )


Record = ProtocolRecord | FoldRecord | RunRecord | RetryRecord | SweepRecord | ImagesRecord | UncheckedRecord
