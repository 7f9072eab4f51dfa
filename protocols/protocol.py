"""The rules of one comparison as a single frozen value: every number that two runs must share, and its digest."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Annotated, Any, ClassVar, get_origin

from mlrc.protocols.bounds import Bound, OneOf, Real, Several, Text, Whole, alternatives, either, rises
from mlrc.protocols.field_values import PerDataset, as_json, each, in_order, of, parse, short
from mlrc.protocols.suggestion import did_you_mean

__all__ = ["NO_TRUNK", "PerDataset", "Protocol", "completed", "digest_of", "of"]

OPTIMIZERS = OneOf(("rmsprop", "adam", "adamw"))
YES_OR_NO = OneOf((True, False))
NO_TRUNK = "none"
"""The trunk of a protocol that takes vectors in the place of images."""
STOPPING = r"none|paired:(0|[1-9][0-9]{0,2})(\.[0-9]*[1-9])?"
"""Of `fold_stopping`: one way to write a number, as another one would be another digest."""
NOT_IN_DIGEST = frozenset({"searches"})
"""Fields that say how much is done and not how: what is done of it stays the same whatever they are."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Every number two runs must share to stand in one table.

    A default is what held before its field was there, so that new fields leave old digests, seeds and scores alone.
    `searches` is in no digest and no name: how many searches there are changes nothing in any of them, so that more can
    be added to those that are there.

    Attributes:
        name: `lower_case`; a variant's name is `parent+field=value`.
        family: of the rules under which papers published parameters of losses, which hold here: a rate or a margin
            belongs to the optimizer and the batch that it was found with. See `LossSpec.under`.
        version: raised whenever the same fields would give another score.
        trunk: name of the trunk, see `mlrc list trunks`.
        weights: sha256 of the trunk's weights file; empty for a trunk trained from scratch.
        frozen_batch_norm: keep the trunk's running statistics as they are; its weights and biases still train.
        pooling: from feature maps to one vector, see `mlrc.harness.training.model`.
        layer_norm: normalise the pooled features by LayerNorm without affine, as ProxyNCA++ does.
        embedding_size: output of the head.
        head: what follows the pooling: `linear`, one linear layer; `mlp:N`, a linear layer to N numbers, ReLU, and a
            linear layer.
        trains: `all`, trunk and head; `head` alone, on features that the trunk gives once for every image. With it the
            trunk `none` takes vectors in the place of images.
        views: with `trains=head`, how many augmented views of each image have features beside the central one's; a
            training draws one of all of them for each image of a batch. 0: the central one alone.
        scaling: with `trains=head`, what the head is given of a row of features: the row as it is (`none`), at `unit`
            length, or each of its numbers less their mean and divided by their deviation over the central views of the
            fold's training images (`standard`).
        channels: `grey`, `RGB` or `BGR`, with `maximum` (white), `mean` and `std` in the same units.
        resize: shorter side in pixels, the first step of both transforms.
        crop: side of the square that enters the trunk, in pixels.
        crop_scale: share of the area a random crop takes, low and high; `crop_ratio`: its width / height, likewise.
        flip: probability of a horizontal flip in training.
        batch_size: images per iteration.
        sampling: `class_balanced` draws m images of each class, see `mlrc.harness.training.batches`; `random` any
            images.
        images_per_class_pairs: m for losses whose batch kind is "pairs"; `images_per_class_classes` for "classes".
        optimizer: of trunk and head, with `lr`, `momentum` (of Adam and AdamW the first beta), `weight_decay`.
        loss_optimizer: of the loss's own parameters, with `loss_momentum`, `loss_weight_decay`.
        optimizer_eps: of both optimizers.
        loss_lr: learning rate of the parameters of losses for which no paper has a rate of its own in this family; 0
            where it is a parameter of the loss, and searched.
        clip_gradients: greatest absolute value of a gradient of trunk and head; 0 for no clipping.
        warm_up: epochs, the first of all, in which the trunk does not learn; the optimizers begin anew after them.
        lr_step: every so many epochs all learning rates are multiplied by `lr_decay`; 0 for never.
        two_stages: stage 1 of a repeat trains on the fold's training classes, and multiplies all learning rates by
            `lr_decay` once more than `plateau_patience` validations in a row gave no better score; stage 2 trains on
            all trainval classes, with those steps and as many epochs as stage 1 took to its best (ProxyNCA++).
        precision: `float32`, all 24 bits of it on every device; `tf32`, float32 whose convolutions multiply in
            TensorFloat-32 (11 bits) on GPUs that have it, and in which matrix products, the head's and the losses' too,
            stay float32; `bfloat16` for autocast of the trunk and head.
        channels_last: lay out images and weights with the channels innermost; convolutions round otherwise in it, and
            are faster on most devices.
        step: how a GPU is given the network's forward and backward pass: `eager`, kernel by kernel, or as one `graph`
            each. The kernels and the numbers are the same; a network that cannot be captured, and a processor, run
            eager, and the record says why.
        iterations_per_epoch: what counts as an epoch; 0 is one pass over the training images, as many full batches as
            they make.
        max_epochs: the end of a training that patience did not stop, with the epochs of `warm_up`.
        validation_interval: in epochs.
        patience: stop once `epoch - best epoch` exceeds it.
        cut: `half` (the first half of the classes are trainval) or `official`.
        folds: number of class-disjoint folds of the trainval classes.
        validation_fraction: share of the trainval classes that a fold validates on, floored; with 0 all of them train.
        epoch_choice: which epoch's model is tested: `best_on_validation`, `last`, or `best_on_test`, as many papers do,
            though it makes the test score no estimate of anything.
        trials: of the search of each loss on each dataset; the first `startup_trials` are quasi-random.
            With 0 there is no search, and the parameters of each loss are given, see `mlrc.harness.plan.parameters`.
        sampler: of the trials: `gp`, a Gaussian process after the quasi-random ones; or `random`, the control, in which
            all trials are drawn independently, the first ones too.
        searches: independent searches of each loss, each with its own trials and seeds, and with `repeats` repeats of
            what it found; all losses have as many.
        parallel_trials: q: trials come in batches of q, each proposed from the finished batches alone, so that those of
            a batch can be trained at once and nothing depends on which is done first.
        fold_stopping: `none`; or `paired:M`, experimental: a trial whose mean over its first two folds lies more than M
            percent points below that of the best trial so far, on the same folds, has no more of them.
        selection_metric: on validation classes; selects epochs and trials.
        repeats: of the final stage, each on fresh seeds.
        ndcg_at: cut-offs k of nDCG@k; `recall_at`: of R@k.
        nmi: score k-means clusters by their normalised mutual information with the classes, too.
        similarity: how images are compared in validation and test: `cosine`, or `euclidean`, the distance of embeddings
            as the model gives them.
        divided: test images that a dataset divides into queries and gallery are so asked (In-Shop); if not, each of
            them asks all others, as in table 11 of arXiv 2306.15368.
        seed: enters every random draw through the digest; another seed is another replication of the whole study.
    """

    name: Annotated[str, Text(r".*\S.*", "be a name")]
    version: Annotated[int, Whole(1, 10**6)]
    trunk: Annotated[str, Text(r".*\S.*", "be a name")]
    weights: Annotated[str, Text("([0-9a-f]{64})?", "be the sha256 of a file, or empty")]
    frozen_batch_norm: Annotated[bool | PerDataset[bool], YES_OR_NO]
    pooling: Annotated[str, Text(r".*\S.*", "be a name")]
    embedding_size: Annotated[int, Whole(1, 2**16)]
    channels: Annotated[str, OneOf(("grey", "RGB", "BGR"))]
    maximum: Annotated[float, Real(0, 2**16, above=True)]
    mean: Annotated[tuple[float, ...], Several(Real(-(2**16), 2**16))]
    std: Annotated[tuple[float, ...], Several(Real(0, 2**16, above=True))]
    resize: Annotated[int, Whole(1, 4096)]
    crop: Annotated[int, Whole(1, 4096)]
    crop_scale: Annotated[tuple[float, float], Several(Real(-(10**9), 10**9))]
    crop_ratio: Annotated[tuple[float, float], Several(Real(-(10**9), 10**9))]
    flip: Annotated[float, Real(0, 1)]
    batch_size: Annotated[int | PerDataset[int], Whole(1, 2**16)]
    images_per_class_pairs: Annotated[int | PerDataset[int], Whole(1, 2**16)]
    images_per_class_classes: Annotated[int | PerDataset[int], Whole(1, 2**16)]
    optimizer: Annotated[str, OPTIMIZERS]
    lr: Annotated[float | PerDataset[float], Real(0, 1000, above=True)]
    momentum: Annotated[float, Real(0, 1, below=True)]
    weight_decay: Annotated[float, Real(0, 1000)]
    loss_optimizer: Annotated[str, OPTIMIZERS]
    loss_momentum: Annotated[float, Real(0, 1, below=True)]
    loss_weight_decay: Annotated[float, Real(0, 1000)]
    precision: Annotated[str, OneOf(("float32", "tf32", "bfloat16"))]
    iterations_per_epoch: Annotated[int, Whole(0, 10**6)]
    max_epochs: Annotated[int | PerDataset[int], Whole(1, 10**6)]
    validation_interval: Annotated[PerDataset[int], Whole(1, 10**6)]
    patience: Annotated[PerDataset[int], Whole(0, 10**6)]
    cut: Annotated[PerDataset[str], OneOf(("half", "official"))]
    folds: Annotated[int, Whole(1, 1000)]
    validation_fraction: Annotated[float, Real(0, 1)]
    trials: Annotated[int, Whole(0, 10**4)]
    startup_trials: Annotated[int, Whole(0, 10**4)]
    sampler: Annotated[str, OneOf(("gp", "random"))]
    selection_metric: Annotated[str, OneOf(("MAP@R", "RP", "P@1"))]
    repeats: Annotated[int, Whole(1, 1000)]
    ndcg_at: Annotated[tuple[int, ...] | PerDataset[tuple[int, ...]], Several(Whole(1, 10**6))]
    recall_at: Annotated[PerDataset[tuple[int, ...]], Several(Whole(1, 10**6))]
    seed: Annotated[int, Whole(-(2**63), 2**63 - 1)] = 0
    layer_norm: Annotated[bool, YES_OR_NO] = False
    channels_last: Annotated[bool, YES_OR_NO] = False
    sampling: Annotated[str, OneOf(("class_balanced", "random"))] = "class_balanced"
    optimizer_eps: Annotated[float, Real(0, 1000)] = 1e-8
    loss_lr: Annotated[PerDataset[float], Real(0, 10**6)] = field(default=PerDataset(0.0))
    clip_gradients: Annotated[float, Real(0, 10**6)] = 0.0
    warm_up: Annotated[int, Whole(0, 10**6)] = 0
    lr_step: Annotated[PerDataset[int], Whole(0, 10**6)] = field(default=PerDataset(0))
    lr_decay: Annotated[PerDataset[float], Real(0, 1, above=True)] = field(default=PerDataset(1.0))
    two_stages: Annotated[bool, YES_OR_NO] = False
    plateau_patience: Annotated[int, Whole(1, 10**6)] = 4
    epoch_choice: Annotated[str, OneOf(("best_on_validation", "last", "best_on_test"))] = "best_on_validation"
    nmi: Annotated[PerDataset[bool], YES_OR_NO] = field(default=PerDataset(False))
    searches: Annotated[int, Whole(1, 1000)] = 1
    parallel_trials: Annotated[int, Whole(1, 1000)] = 1
    fold_stopping: Annotated[str, Text(STOPPING, "be none, or paired:M with M percent points such as 2 or 0.5")] = (
        "none"
    )
    trains: Annotated[str, OneOf(("all", "head"))] = "all"
    head: Annotated[str, Text("linear|mlp:[1-9][0-9]{0,4}", "be linear, or mlp:N such as mlp:512")] = "linear"
    views: Annotated[int, Whole(0, 1000)] = 0
    divided: Annotated[bool, YES_OR_NO] = True
    similarity: Annotated[str, OneOf(("cosine", "euclidean"))] = "cosine"
    family: Annotated[str, Text(r"[a-z][a-z0-9_]*", "be lower_case_with_underscores")] = "reality_check"
    scaling: Annotated[str, OneOf(("none", "unit", "standard"))] = "none"
    step: Annotated[str, OneOf(("eager", "graph"))] = "eager"

    _origin: ClassVar["Protocol | None"] = None  # of a variant, what it derives from: no field, so in no digest

    def __post_init__(self) -> None:
        for name, bounds in _BOUNDS.items():
            value = getattr(self, name)
            _hold(
                name,
                value,
                isinstance(value, PerDataset) in _MAY_DIFFER[name],
                "be of its kind, per dataset or once for all",
            )
            for bound in bounds:
                for one in each(value):
                    rule = bound.broken(one)
                    _hold(name, value, not rule, rule)
        for name, holds, rule in (*self._rules(), *self._rules_of_stages(), *self._rules_of_features()):
            _hold(name, getattr(self, name), holds, rule)
        for name in ("images_per_class_pairs", "images_per_class_classes"):
            m, size = (each(value)[0] for value in (getattr(self, name), self.batch_size))
            _hold(name, m, self.sampling == "random" or size % m == 0, f"divide batch_size={size}")

    def _rules(self) -> Iterator[tuple[str, bool, str]]:
        """Give field, whether it goes with the others, and how it must."""
        yield "crop", self.crop <= self.resize, f"not exceed resize={self.resize}"
        yield "crop_scale", rises(self.crop_scale, 0.001, 1), "be two numbers, 0.001 <= low <= high <= 1"
        yield "crop_ratio", rises(self.crop_ratio, 0.01, 100), "be two numbers, 0.01 <= low <= high <= 100"
        enough = self.trials == 0 or self.startup_trials <= self.trials
        yield "startup_trials", enough, f"not exceed trials={self.trials}, of which they are"
        for name in ("searches", "parallel_trials", "fold_stopping"):
            holds = self.trials > 0 or getattr(self, name) == _DEFAULTS[name]
            yield name, holds, f"be {_DEFAULTS[name]} with trials=0, where nothing is searched"
        few = "be none with fewer than three folds, of which it looks at two"
        yield "fold_stopping", self.fold_stopping == "none" or self.folds > 2, few
        longer = min(each(self.max_epochs)) > self.warm_up
        yield "max_epochs", longer, f"exceed warm_up={self.warm_up}, in which the trunk does not learn"
        channels = 1 if self.channels == "grey" else 3
        for name in ("mean", "std"):
            have = f"have {channels} numbers for channels={self.channels}"
            yield name, len(getattr(self, name)) == channels, have

    def _rules_of_stages(self) -> Iterator[tuple[str, bool, str]]:
        validated = self.two_stages or self.epoch_choice == "best_on_validation"
        fraction = self.validation_fraction
        because = "two_stages" if self.two_stages else f"epoch_choice={self.epoch_choice}"
        rule = f"{'lie in (0, 1)' if validated else 'be 0'} with {because}"
        yield "validation_fraction", 0 < fraction < 1 if validated else fraction == 0, rule
        if self.two_stages:
            waits = min(each(self.patience)) >= self.warm_up
            yield "patience", waits, f"be at least warm_up={self.warm_up} with two_stages"
            choices = ("last", "best_on_test")
            rule = f"be {either(choices)} with two_stages, whose last epoch stage 1 chooses"
            yield "epoch_choice", self.epoch_choice in choices, rule
        if self.two_stages or not validated:
            yield "folds", self.folds == 1, "be 1 where the final models train on all trainval classes"
            yield "trials", self.trials == 0, "be 0 where the final models train on all trainval classes"

    def _rules_of_features(self) -> Iterator[tuple[str, bool, str]]:
        if self.trains == "head":
            return
        yield "views", self.views == 0, "be 0 with trains=all, which augments the images of every batch"
        yield "scaling", self.scaling == "none", "be none with trains=all, whose features change"
        yield "trunk", self.trunk != NO_TRUNK, "name a network with trains=all, which trains it"

    @property
    def digest(self) -> str:
        """12 hexadecimal digits over all fields that have no default or differ from it, but for `NOT_IN_DIGEST`."""
        return digest_of(self.to_json())

    @property
    def parent(self) -> str:
        """The name of the protocol that a variant derives from; the name itself where it is none."""
        return self.name.split("+", 1)[0]

    @property
    def origin(self) -> "Protocol":
        """What a variant derives from; the protocol itself where it is none."""
        return self._origin or self

    def to_json(self) -> dict[str, Any]:
        """Give all fields as JSON values."""
        return {name: as_json(getattr(self, name)) for name in _FIELDS_IN_ORDER}

    def diff(self, other: "Protocol") -> dict[str, tuple[Any, Any]]:
        """Name the fields of the digest that differ, each with its value here and there; the name is not compared."""
        mine, theirs = self.to_json(), other.to_json()
        compared = [name for name in mine if name not in {"name", *NOT_IN_DIGEST}]
        return {name: (mine[name], theirs[name]) for name in compared if mine[name] != theirs[name]}

    def vary(self, changes: Mapping[str, Any]) -> "Protocol":
        """Derive a variant; its name tells the fields that differ, so that every row of a table does.

        A variant of a variant derives from what the first one derives from, so name and digest do not depend on how
        many steps led to it, nor on their order.

        Raises:
            ValueError: a field does not exist, or its value breaks a rule.
        """
        for name in changes:
            if name in ("name", "version") or name not in _FIELDS:
                hint = did_you_mean(name, _FIELDS_IN_ORDER, f"The fields are {', '.join(sorted(_FIELDS))}.")
                raise ValueError(f"Protocol {self.name!r} has no field {name!r} to set. {hint}")
        origin = self.origin
        varied = replace(self, **{name: in_order(value, getattr(origin, name)) for name, value in changes.items()})
        told = "".join(f"+{name}={short(getattr(varied, name))}" for name in sorted(varied.diff(origin)))
        variant = replace(varied, name=origin.name + told)
        object.__setattr__(variant, "_origin", origin)
        return variant

    def set(self, assignments: Sequence[str]) -> "Protocol":
        """Derive a variant from `field=value` texts; `field.dataset=value` sets a per-dataset number for one dataset.

        Raises:
            ValueError: an assignment is malformed, names no field, or its value does not fit the field.
        """
        changes: dict[str, Any] = {}
        said: dict[str, str] = {}
        for assignment in sorted(assignments, key=lambda one: "." in one.partition("=")[0]):  # for all datasets first
            target, equals, text = (part.strip() for part in assignment.partition("="))
            name, dot, dataset = target.partition(".")
            if not equals or not name or (dot and not dataset):
                raise ValueError(f"--set takes field=value, but got {assignment!r}.")
            if said.setdefault(target, text) != text:
                raise ValueError(
                    f"{target} must be set once, but got {said[target]} and {text}; leave one of them out."
                )
            current = changes.get(name, getattr(self, name, None)) if name in _FIELDS else None
            if dataset and name in _FIELDS and not isinstance(current, PerDataset):
                raise ValueError(f"{name} is one number for all datasets; set it with {name}=value.")
            changes[name] = text if current is None else parse(name, current, text, dataset)
        return self.vary(changes)


def digest_of(fields_: Mapping[str, Any]) -> str:
    """Give the digest of a protocol from its fields as JSON values, also if recorded before a field was there."""
    kept = {name: value for name, value in fields_.items() if name not in NOT_IN_DIGEST}
    told = {name: value for name, value in kept.items() if value != _DEFAULTS.get(name, _REQUIRED)}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def completed(fields_: Mapping[str, Any]) -> dict[str, Any]:
    """Give all fields of a protocol from those that a record has, as JSON values.

    A default is what held before its field was there, so what a record lacks stands at its default.

    Raises:
        ValueError: the record lacks a field that always was, or has one that is none; its rules cannot be told.
    """
    lacking = [name for name in _FIELDS_IN_ORDER if name not in fields_ and name not in _DEFAULTS]
    unknown = [name for name in fields_ if name not in _FIELDS]
    if lacking or unknown:
        what = f"lacks {', '.join(lacking)}" if lacking else f"has {', '.join(unknown)}, unknown to this version"
        raise ValueError(f"a protocol must have the fields of a protocol, but {fields_.get('name', 'one')!r} {what}")
    return {**_DEFAULTS, **fields_}


def _hold(name: str, value: object, holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(f"{name} must {rule}, but got {short(value) if isinstance(value, tuple) else value}.")


_FIELDS_IN_ORDER = tuple(field.name for field in fields(Protocol))
_FIELDS = frozenset(_FIELDS_IN_ORDER)
_REQUIRED = object()
_DEFAULTS = {field.name: as_json(field.default) for field in fields(Protocol) if field.default is not MISSING}
_BOUNDS: Mapping[str, tuple[Bound, ...]] = {one.name: getattr(one.type, "__metadata__", ()) for one in fields(Protocol)}
_MAY_DIFFER: Mapping[str, frozenset[bool]] = {
    one.name: frozenset(get_origin(kind) is PerDataset for kind in alternatives(one.type)) for one in fields(Protocol)
}
