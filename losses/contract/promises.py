"""The contract of a loss: what every plug-in must keep, ours and a stranger's, as one function per promise.

On the command line `mlrc check NAME` runs it. In the plug-in's own tests:

    @pytest.mark.parametrize("promise", contract.PROMISES, ids=contract.title)
    def test_my_loss_keeps_the_contract(promise):
        promise(SPEC)

Each function takes the `LossSpec` and raises an error, with a sentence, where the loss breaks the promise. None is ever
skipped: what a machine lacks (a second device, half precision) is simulated on the CPU. Needs torch, PML and Optuna's
distributions only.
"""

# ruff: noqa: D401 (a promise is stated, not commanded; its docstring is the sentence that a kept one shows)

import inspect
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor, nn

from mlrc.losses.contract import rehearsal
from mlrc.losses.contract.elsewhere import ElsewhereTensor
from mlrc.losses.contract.live_memory import LiveMemory
from mlrc.losses.contract.space import centre, corners, ends
from mlrc.losses.spec import LOSS_LR, LossSpec, MinedLoss

MANY_CLASSES, USUAL_EMBEDDING_SIZE = 12_000, 128
MEMORY_BOUND = 256 * 2**20
"""Bytes that a loss with `MANY_CLASSES` may hold beside 9 times its parameters; a class-by-class matrix has 549 MiB."""
STEPS = 20


class Finding(NamedTuple):
    """What one check found: its title, whether the promise is kept, and the sentence for the reader."""

    check: str
    ok: bool
    sentence: str


def check(spec: LossSpec) -> list[Finding]:
    """Hold the loss against every promise; torch's global generator is left as it was."""
    return [find(promise, spec) for promise in PROMISES]


def title(promise: Callable[..., Any]) -> str:
    """Give the promise as words: the name of its function."""
    return promise.__name__.replace("_", " ")


def the_factory_takes_exactly_the_names_of_the_space(spec: LossSpec) -> None:
    """`build(num_classes, embedding_size, **params)` names every parameter of the space but `loss_lr`, and no other."""
    parameters = list(inspect.signature(spec.build).parameters.values())
    taken = {parameter.name for parameter in parameters[2:]}
    _hold(
        not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters),
        "build must name its parameters one by one, but takes **keywords; name those of the space.",
    )
    known = set(spec.parameters) - {LOSS_LR}
    _hold(
        taken == known,
        f"build must take num_classes, embedding_size and the space's {sorted(known)}, "
        f"but takes {sorted(taken)}; make the names equal.",
    )
    without = [one.name for one in parameters if one.name in spec.settable and one.default is one.empty]
    _hold(not without, f"build must have a default for what may be set, but has none for {', '.join(without)}.")


def loss_lr_is_searched_if_and_only_if_there_are_parameters(spec: LossSpec) -> None:
    """A loss with parameters has `loss_lr` in its space, positive and on a logarithmic scale; one without has not."""
    parameters = list(rehearsal.module(rehearsal.build(spec, centre(spec.space))).parameters())
    _hold(
        bool(parameters) == (LOSS_LR in spec.space),
        f"The space must have {LOSS_LR!r} exactly if the loss has parameters, but it has "
        f"{len(parameters)} of them and the space {sorted(spec.space)}.",
    )
    if parameters:
        lr = spec.space[LOSS_LR]
        _hold(
            isinstance(lr, FloatDistribution) and lr.log,
            f"{LOSS_LR!r} must be a FloatDistribution on a logarithmic scale, but is {lr}; use LOSS_LR_RANGE.",
        )


def published_parameters_lie_in_the_space(spec: LossSpec) -> None:
    """What a paper reports for a dataset, or recommends, can be run: every name there, every value inside its range."""
    without_lr = replace(spec, space={name: spec.space[name] for name in spec.space if name != LOSS_LR})
    claims = [(f"published[{dataset!r}]", spec, params) for dataset, params in spec.published.items()]
    claims += [("recommended", without_lr, spec.recommended)] if spec.recommended else []
    for family, dataset, params in claims_under(spec):
        told = {name: value for name, value in params.items() if name != LOSS_LR}
        claims.append((f"under[{family!r}][{dataset!r}]", without_lr.widened_to(told), told))
    for claim, checked, params in claims:
        try:
            checked.check(params)
        except ValueError as error:
            raise AssertionError(f"{claim} must lie in the space: {error}") from error


def value_and_gradients_are_finite_in_all_of_the_space(spec: LossSpec) -> None:
    """At the centre, the corners and the published points, in float32, float64 and half-precision autocast."""
    for params in _points(spec):
        for precision in rehearsal.PRECISIONS:
            loss, embeddings, labels = rehearsal.build(spec, params), *rehearsal.batch(spec)
            value, gradient = precision(loss, embeddings, labels)
            where = f"with {params} {title(precision)}"
            _hold(value.isfinite(), f"The value must be finite, but {where} it is {value.item()}.")
            _hold(gradient.isfinite().all(), f"The embeddings' gradient must be finite, but {where} it is not.")
            for name, parameter in rehearsal.module(loss).named_parameters():
                _hold(
                    parameter.grad is None or parameter.grad.isfinite().all(),
                    f"The gradient of {name} must be finite, but {where} it is not.",
                )


def gradients_reach_the_embeddings_and_every_parameter(spec: LossSpec) -> None:
    """Somewhere in the space each gets a gradient other than zero; a parameter that never does is not trained."""
    waiting: set[str] | None = None
    for params in _points(spec):
        loss, embeddings, labels = rehearsal.build(spec, params), *rehearsal.batch(spec)
        _, gradient = rehearsal.in_float64(loss, embeddings, labels)
        gradients: dict[str, Tensor | None] = {"the embeddings": gradient}
        gradients |= {name: parameter.grad for name, parameter in rehearsal.module(loss).named_parameters()}
        reached = {name for name, found in gradients.items() if found is not None and found.any()}
        waiting = (set(gradients) if waiting is None else waiting) - reached
    _hold(not waiting, f"A gradient must reach {', '.join(sorted(waiting or ()))}, but nowhere in the space one does.")


def the_order_of_the_batch_does_not_matter(spec: LossSpec) -> None:
    """The same images in another order give the same value, and each the same gradient."""
    order = torch.randperm(len(rehearsal.batch(spec)[1]), generator=torch.Generator().manual_seed(3))
    for params in _points(spec):
        embeddings, labels = rehearsal.batch(spec)
        value, gradient = rehearsal.in_float64(rehearsal.build(spec, params), embeddings, labels)
        other_value, other_gradient = rehearsal.in_float64(
            rehearsal.build(spec, params), embeddings[order], labels[order]
        )
        _hold(
            torch.allclose(value, other_value, rtol=1e-4, atol=1e-9),
            f"The value must not depend on the batch's order, but with {params} it is {value.item()} and, "
            f"shuffled, {other_value.item()}.",
        )
        tolerance = 1e-4 * gradient.abs().max().item() + 1e-12  # a loss may compute in float32 inside
        _hold(
            torch.allclose(gradient[order], other_gradient, rtol=0, atol=tolerance),
            f"An image's gradient must not depend on the batch's order, but with {params} it does.",
        )


def the_same_seed_gives_the_same_training(spec: LossSpec) -> None:
    """Two losses built and trained from one seed agree to the last bit."""
    params = centre(spec.space)
    first, second = (rehearsal.train(spec, rehearsal.build(spec, params), params, steps=3) for _ in range(2))
    _hold(first == second, f"One seed must give one training, but three steps gave {first} and {second}.")


def a_batch_without_a_positive_pair_is_no_accident(spec: LossSpec) -> None:
    """Every image of another class: the value is finite and can be differentiated."""
    _assert_bearable(spec, torch.arange(rehearsal.NUM_CLASSES))


def a_batch_of_one_class_is_no_accident(spec: LossSpec) -> None:
    """All images of one class, the others absent: the value is finite and can be differentiated."""
    _assert_bearable(spec, torch.full((8,), rehearsal.NUM_CLASSES - 1))


def a_batch_of_uneven_classes_is_no_accident(spec: LossSpec) -> None:
    """Six, four, one and no images of a class: the value is finite and can be differentiated."""
    _assert_bearable(spec, torch.tensor([1] * 6 + [2] * 4 + [rehearsal.NUM_CLASSES - 1]))


def a_batch_of_one_image_is_no_accident(spec: LossSpec) -> None:
    """A single image: the value is finite and can be differentiated."""
    _assert_bearable(spec, torch.tensor([3]))


def equal_embeddings_are_no_accident(spec: LossSpec) -> None:
    """An image drawn twice, and two classes that fall on one point: value and gradients stay finite."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    _assert_bearable(spec, labels, torch.tensor([0, 0, 1, 1, 1, 2]))
    _assert_bearable(spec, labels, torch.zeros(6, dtype=torch.long))


def labels_may_have_any_integer_type(spec: LossSpec) -> None:
    """int16, int32 and uint8 labels give what int64 labels give."""
    embeddings, labels = rehearsal.batch(spec)
    params = centre(spec.space)
    expected, _ = rehearsal.in_float32(rehearsal.build(spec, params), embeddings, labels)
    for integer in (torch.int16, torch.int32, torch.uint8):
        value, _ = rehearsal.in_float32(rehearsal.build(spec, params), embeddings, labels.to(integer))
        _hold(
            torch.equal(value, expected),
            f"{integer} labels must give the value of int64 labels, {expected.item()}, but give {value.item()}.",
        )


def labels_may_lie_on_another_device(spec: LossSpec) -> None:
    """The loss moves its labels to the embeddings, from a simulated device and from the CPU to every accelerator."""
    embeddings, labels = rehearsal.batch(spec)
    params = centre(spec.space)
    expected, _ = rehearsal.in_float32(rehearsal.build(spec, params), embeddings, labels)
    value, _ = rehearsal.in_float32(rehearsal.build(spec, params), embeddings, ElsewhereTensor(labels))
    _hold(torch.equal(value, expected), "Labels on another device must give the same value, but do not.")
    if torch.accelerator.is_available():
        device = torch.accelerator.current_accelerator()
        loss = rehearsal.build(spec, params)
        _whole(loss).to(device)
        value, _ = rehearsal.in_float32(loss, embeddings.to(device), labels)
        _hold(
            torch.allclose(value.cpu(), expected, rtol=1e-3, atol=1e-4),
            f"The value on {device} must be the CPU's, {expected.item()}, but is {value.item()}.",
        )


def a_saved_state_continues_the_training(spec: LossSpec) -> None:
    """After some steps `state_dict` holds all that loss and miner know: loaded into new ones, training goes on."""
    params = centre(spec.space)
    loss = rehearsal.build(spec, params)
    rehearsal.train(spec, loss, params, steps=3)
    file = io.BytesIO()
    torch.save(_whole(loss).state_dict(), file)
    file.seek(0)
    resumed = rehearsal.build(spec, params, seed=99)
    _whole(resumed).load_state_dict(torch.load(file, weights_only=True))
    value, _ = rehearsal.in_float32(loss, *rehearsal.batch(spec, seed=5))
    resumed_value, _ = rehearsal.in_float32(resumed, *rehearsal.batch(spec, seed=5))
    _hold(
        torch.equal(value, resumed_value),
        f"A loss that loads the saved state must go on with {value.item()}, but gives {resumed_value.item()}; keep "
        "what it learns or counts in parameters and registered buffers.",
    )


def memory_stays_within_the_bound_for_many_classes(spec: LossSpec) -> None:
    """Far corner of the space, 12,000 classes, 128 dimensions, batch 32: at most 9 times its parameters and 256 MiB."""
    *_, params = corners(spec.space)
    with LiveMemory() as memory:
        loss = rehearsal.build(spec, params, num_classes=MANY_CLASSES, embedding_size=USUAL_EMBEDDING_SIZE)
        labels = torch.arange(32) if spec.batch == "classes" else torch.arange(8).repeat_interleave(4)
        rehearsal.in_float32(loss, rehearsal.embeddings_of(labels, USUAL_EMBEDDING_SIZE), labels)
    own = sum(parameter.nbytes for parameter in rehearsal.module(loss).parameters())
    _hold(
        memory.peak <= 9 * own + MEMORY_BOUND,
        f"With {MANY_CLASSES} classes at most {(9 * own + MEMORY_BOUND) / 2**20:.0f} MiB may be held, but with "
        f"{params} it were {memory.peak / 2**20:.0f} MiB; compare no class with every other at once.",
    )


def training_keeps_finite(spec: LossSpec) -> None:
    """Twenty steps of RMSprop at the centre of the space, on the embeddings themselves, with batches of its kind."""
    params = centre(spec.space)
    for step, value in enumerate(rehearsal.train(spec, rehearsal.build(spec, params), params, steps=STEPS), start=1):
        _hold(torch.tensor(value).isfinite(), f"Training must stay finite, but step {step} with {params} gave {value}.")


PROMISES: tuple[Callable[[LossSpec], None], ...] = (
    the_factory_takes_exactly_the_names_of_the_space,
    loss_lr_is_searched_if_and_only_if_there_are_parameters,
    published_parameters_lie_in_the_space,
    value_and_gradients_are_finite_in_all_of_the_space,
    gradients_reach_the_embeddings_and_every_parameter,
    the_order_of_the_batch_does_not_matter,
    the_same_seed_gives_the_same_training,
    a_batch_without_a_positive_pair_is_no_accident,
    a_batch_of_one_class_is_no_accident,
    a_batch_of_uneven_classes_is_no_accident,
    a_batch_of_one_image_is_no_accident,
    equal_embeddings_are_no_accident,
    labels_may_have_any_integer_type,
    labels_may_lie_on_another_device,
    a_saved_state_continues_the_training,
    memory_stays_within_the_bound_for_many_classes,
    training_keeps_finite,
)


def _hold(kept: object, sentence: str) -> None:
    """Raise the sentence as an `AssertionError`; unlike `assert` under `python -O` as well."""
    if not kept:
        raise AssertionError(sentence)


def find(promise: Callable[[LossSpec], None], spec: LossSpec) -> Finding:
    """Hold the loss against one promise."""
    try:
        promise(spec)
    except AssertionError as error:
        return Finding(title(promise), False, str(error))
    except Exception as error:  # noqa: BLE001 a plug-in may fail in any way; the finding is the record of it
        return Finding(title(promise), False, f"The loss raised {type(error).__name__}: {error}")
    return Finding(title(promise), True, inspect.getdoc(promise) or "")


def claims_under(spec: LossSpec) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Give family, dataset and parameters of everything that papers take under rules of their own."""
    for family, of_family in spec.under.items():
        for dataset, params in of_family.items():
            yield family, dataset, params


def _whole(loss: nn.Module | MinedLoss) -> nn.ModuleList:
    """Give the loss with its miner, if it has one: what has a state and lies on a device."""
    return nn.ModuleList(loss if isinstance(loss, MinedLoss) else (loss,))


def _points(spec: LossSpec) -> Iterator[Mapping[str, Any]]:
    yield centre(spec.space)
    yield from spec.published.values()
    without_lr = {name: distribution for name, distribution in spec.space.items() if name != LOSS_LR}
    lr = {LOSS_LR: centre(spec.space)[LOSS_LR]} if LOSS_LR in spec.space else {}  # the value does not depend on it
    if spec.recommended:
        yield {**lr, **spec.recommended}
    for _, _, params in claims_under(spec):
        yield {**lr, **params, **lr}
    for name, distribution in spec.settable.items():
        for value in ends(distribution):
            yield {**centre(spec.space), name: value}
    for corner in corners(without_lr):
        yield corner | lr


def _assert_bearable(spec: LossSpec, labels: Tensor, classes_in_space: Tensor | None = None) -> None:
    embeddings = rehearsal.embeddings_of(labels)
    if classes_in_space is not None:
        embeddings = rehearsal.embeddings_of(torch.arange(3))[classes_in_space]
    for params in _points(spec):
        step = rehearsal.in_float32(rehearsal.build(spec, params), embeddings, labels)
        _hold(step.value.isfinite(), f"The value must be finite, but with {params} it is {step.value.item()}.")
        _hold(step.gradient.isfinite().all(), f"The gradient must be finite, but with {params} it is not.")
