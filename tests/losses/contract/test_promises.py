"""Every registered loss keeps the contract, and the contract catches a loss that breaks any promise of it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from optuna.distributions import BaseDistribution, FloatDistribution
from pytorch_metric_learning.losses import InstanceLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from mlrc.harness.plugins import LOSSES
from mlrc.losses.contract import promises as contract
from mlrc.losses.contract import rehearsal
from mlrc.losses.left_out import LEFT_OUT
from mlrc.losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec, MinedLoss


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_registered_loss_keeps_the_contract(name: str) -> None:
    findings = contract.check(LOSSES.find(name))
    assert [finding.check for finding in findings] == [contract.title(promise) for promise in contract.PROMISES]
    assert not [finding.sentence for finding in findings if not finding.ok]


class Sound(nn.Module):
    """A loss of a stranger that keeps the contract; what breaks it is derived from it."""

    def __init__(self, num_classes: int, embedding_size: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.proxies = nn.Parameter(torch.randn(num_classes, embedding_size))

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            exact = embeddings.to(self.proxies.dtype)
            return self.reduce(exact, self.terms(exact, labels.to(exact.device).long()))

    def terms(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosines = normalize(embeddings) @ normalize(self.proxies).t()
        return cross_entropy(cosines / self.temperature, labels, reduction="none")

    def reduce(self, embeddings: Tensor, terms: Tensor) -> Tensor:
        return terms.mean()


TEMPERATURE = {"temperature": FloatDistribution(0.05, 1, log=True)}
WITH_LR = {LOSS_LR: LOSS_LR_RANGE, **TEMPERATURE}


def spec_of(loss: type[nn.Module], space: Mapping[str, BaseDistribution] | None = None, **named: Any) -> LossSpec:
    def build(num_classes: int, embedding_size: int, *, temperature: float) -> nn.Module:
        return loss(num_classes, embedding_size, temperature)

    fields: dict[str, Any] = {"build": build, "batch": "classes"} | named
    return LossSpec(name="odd", title="Odd", source="nowhere", space=WITH_LR if space is None else space, **fields)


class ParameterCast(Sound):
    def terms(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return super().terms(embeddings, labels) / (self.temperature - 0.05)


class BadAtAHalf(Sound):
    """Fails inside the space, at a value that neither its centre nor its corners have."""

    def reduce(self, embeddings: Tensor, terms: Tensor) -> Tensor:
        return terms.mean() / (self.temperature - 0.5)


class Untrained(Sound):
    def __init__(self, num_classes: int, embedding_size: int, temperature: float) -> None:
        super().__init__(num_classes, embedding_size, temperature)
        self.forgotten = nn.Parameter(torch.zeros(3))


class FirstImageCountsDouble(Sound):
    def reduce(self, embeddings: Tensor, terms: Tensor) -> Tensor:
        return terms.mean() + terms[0]


class Moody(Sound):
    calls = 0

    def reduce(self, embeddings: Tensor, terms: Tensor) -> Tensor:
        Moody.calls += 1
        return terms.mean() * Moody.calls


class SplitsPairsOnly(Sound):
    """Needs an image with a positive: the mean over none is NaN."""

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        same = (labels.unsqueeze(1) == labels).sum(dim=1) > 1
        return super().forward(embeddings, labels) + 0 * embeddings[same].mean()


class NeedsTwoClasses(Sound):
    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        others = embeddings[labels != labels[0]]
        return super().forward(embeddings, labels) + 0 * (others.mean() if len(labels) > 1 else embeddings.mean())


class NeedsEqualClasses(Sound):
    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        counts = torch.bincount(labels.long())
        if len(set(counts[counts > 0].tolist())) > 1:
            raise ValueError("classes must have equally many images")
        return super().forward(embeddings, labels)


class NeedsTwoImages(Sound):
    def reduce(self, embeddings: Tensor, terms: Tensor) -> Tensor:
        return terms.mean() + 0 * embeddings.std(dim=0).mean()


class RootOfZero(Sound):
    def reduce(self, embeddings: Tensor, terms: Tensor) -> Tensor:
        return terms.mean() + 1e-3 * (embeddings - embeddings.roll(1, dims=0)).square().sum(dim=1).sqrt().sum()


class Int64Only(Sound):
    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        return self.terms(embeddings.to(self.proxies.dtype), labels.to(embeddings.device)).mean()


class SameDeviceOnly(Sound):
    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        return self.terms(embeddings.to(self.proxies.dtype), 1 * labels).mean()


class Forgetful(Sound):
    """Counts its calls where `state_dict` does not see it."""

    def __init__(self, num_classes: int, embedding_size: int, temperature: float) -> None:
        super().__init__(num_classes, embedding_size, temperature)
        self.calls = 0

    def reduce(self, embeddings: Tensor, terms: Tensor) -> Tensor:
        self.calls += 1
        return terms.mean() / self.calls


class WeighedByItsMiner(Sound):
    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        weight: Tensor = indices_tuple
        return super().forward(embeddings, labels) * weight


class CountingMiner(nn.Module):
    """Gives every batch less weight than the one before."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        self.calls += 1
        return 1 / self.calls


class ForgetfulMiner(CountingMiner):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()), persistent=False)


def mined(miner: type[nn.Module]) -> LossSpec:
    def build(num_classes: int, embedding_size: int, *, temperature: float) -> MinedLoss:
        return MinedLoss(WeighedByItsMiner(num_classes, embedding_size, temperature), miner())

    return spec_of(Sound, build=build)


class Quadratic(Sound):
    def reduce(self, embeddings: Tensor, terms: Tensor) -> Tensor:
        return terms.mean() + 1e-6 * (self.proxies @ self.proxies.t()).relu().mean()


class Explosive(Sound):
    """Finite wherever it is tried, but not after some steps."""

    calls: Tensor

    def __init__(self, num_classes: int, embedding_size: int, temperature: float) -> None:
        super().__init__(num_classes, embedding_size, temperature)
        self.register_buffer("calls", torch.zeros(()))

    def reduce(self, embeddings: Tensor, terms: Tensor) -> Tensor:
        self.calls += 1
        return terms.mean() * (torch.nan if self.calls > 5 else 1)


class HalfProne(Sound):
    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any = None) -> Tensor:
        return super().forward(embeddings, labels) + (1e4 * embeddings).square().mean()


def keywords(num_classes: int, embedding_size: int, **params: float) -> nn.Module:
    return Sound(num_classes, embedding_size, params["temperature"])


def another_name(num_classes: int, embedding_size: int, *, heat: float = 1, temperature: float = 1) -> nn.Module:
    return Sound(num_classes, embedding_size, temperature)


BROKEN = [
    (contract.the_factory_takes_exactly_the_names_of_the_space, spec_of(Sound, build=keywords), "one by one"),
    (contract.the_factory_takes_exactly_the_names_of_the_space, spec_of(Sound, build=another_name), "heat"),
    (contract.loss_lr_is_searched_if_and_only_if_there_are_parameters, spec_of(Sound, TEMPERATURE), "exactly if"),
    (
        contract.loss_lr_is_searched_if_and_only_if_there_are_parameters,
        spec_of(Sound, {**TEMPERATURE, LOSS_LR: FloatDistribution(0, 1)}),
        "logarithmic",
    ),
    (
        contract.published_parameters_lie_in_the_space,
        spec_of(Sound, published={"cub200": {LOSS_LR: 1e-3, "temperature": 2.0}}),
        "temperature=2.0",
    ),
    (contract.published_parameters_lie_in_the_space, spec_of(Sound, recommended={"temprature": 0.5}), "'temprature'"),
    (contract.published_parameters_lie_in_the_space, spec_of(Sound, recommended={"temperature": 2}), "temperature=2"),
    (contract.value_and_gradients_are_finite_in_all_of_the_space, spec_of(ParameterCast), "temperature"),
    (contract.value_and_gradients_are_finite_in_all_of_the_space, spec_of(HalfProne), "float16"),
    (
        contract.value_and_gradients_are_finite_in_all_of_the_space,
        spec_of(BadAtAHalf, published={"cub200": {LOSS_LR: 1e-3, "temperature": 0.5}}),
        "0.5",
    ),
    (
        contract.value_and_gradients_are_finite_in_all_of_the_space,
        spec_of(BadAtAHalf, recommended={"temperature": 0.5}),
        "0.5",
    ),
    (contract.gradients_reach_the_embeddings_and_every_parameter, spec_of(Untrained), "forgotten"),
    (contract.the_order_of_the_batch_does_not_matter, spec_of(FirstImageCountsDouble), "order"),
    (contract.the_same_seed_gives_the_same_training, spec_of(Moody), "One seed"),
    (contract.a_batch_without_a_positive_pair_is_no_accident, spec_of(SplitsPairsOnly), "finite"),
    (contract.a_batch_of_one_class_is_no_accident, spec_of(NeedsTwoClasses), "finite"),
    (contract.a_batch_of_uneven_classes_is_no_accident, spec_of(NeedsEqualClasses), "equally many"),
    (contract.a_batch_of_one_image_is_no_accident, spec_of(NeedsTwoImages), "finite"),
    (contract.equal_embeddings_are_no_accident, spec_of(RootOfZero), "gradient must be finite"),
    (contract.labels_may_have_any_integer_type, spec_of(Int64Only), "got Short"),
    (contract.labels_may_lie_on_another_device, spec_of(SameDeviceOnly), "not on the embeddings' device"),
    (contract.a_saved_state_continues_the_training, spec_of(Forgetful), "registered buffers"),
    (contract.a_saved_state_continues_the_training, mined(ForgetfulMiner), "registered buffers"),
    (contract.memory_stays_within_the_bound_for_many_classes, spec_of(Quadratic), "12000 classes"),
    (contract.training_keeps_finite, spec_of(Explosive), "step 6"),
]


def test_a_strangers_sound_loss_keeps_the_contract() -> None:
    for spec in (spec_of(Sound), mined(CountingMiner)):
        assert [finding for finding in contract.check(spec) if not finding.ok] == []


@pytest.mark.filterwarnings("ignore:std\\(\\)")  # of one image, which is what one of the broken losses does
@pytest.mark.parametrize(
    ("promise", "spec", "sentence"), BROKEN, ids=[f"{promise.__name__}-{i}" for i, (promise, _, _) in enumerate(BROKEN)]
)
def test_a_broken_promise_is_found_and_named(
    promise: Callable[[LossSpec], None], spec: LossSpec, sentence: str
) -> None:
    findings = {finding.check: finding for finding in contract.check(spec)}
    found = findings[contract.title(promise)]
    assert not found.ok
    assert sentence in found.sentence


def test_the_rehearsal_trains_embeddings_and_parameters() -> None:
    spec = spec_of(Sound)
    params = {LOSS_LR: 0.1, "temperature": 0.5}
    slow, fast = (rehearsal.module(rehearsal.build(spec, params)) for _ in range(2))
    start = next(fast.parameters()).detach().clone()
    with_parameters = rehearsal.train(spec, fast, params, steps=10)
    without = rehearsal.train(spec, slow, {"temperature": 0.5}, steps=10)
    assert with_parameters[-1] < without[-1] < without[0] == with_parameters[0]
    assert torch.equal(next(slow.parameters()), start)
    assert not torch.equal(next(fast.parameters()), start)


def test_every_promise_is_seen_broken() -> None:
    assert {promise for promise, _, _ in BROKEN} == set(contract.PROMISES)


def test_the_check_leaves_torchs_generator_as_it_was() -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    contract.check(LOSSES.find("proxy_anchor"))
    assert torch.equal(before, torch.get_rng_state())


def test_the_instance_loss_is_left_out_for_a_reason() -> None:
    def build(num_classes: int, embedding_size: int, *, gamma: float) -> nn.Module:
        return InstanceLoss(gamma)  # type: ignore[no-any-return]  # PML is untyped

    spec = spec_of(Sound, {"gamma": FloatDistribution(1, 128)}, build=build, batch="pairs")
    findings = {finding.check: finding.ok for finding in contract.check(spec)}
    assert not findings[contract.title(contract.the_order_of_the_batch_does_not_matter)]
    assert "order" in LEFT_OUT["InstanceLoss"]
