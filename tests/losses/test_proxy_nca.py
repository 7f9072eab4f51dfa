"""The three ProxyNCAs: the original, ++ and the study's, each its equation, and finite where PML's is not."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.losses import NCALoss, ProxyNCALoss
from torch import Tensor

from mlrc.losses import proxy_nca_classic, proxy_nca_pp
from mlrc.losses.nca import NCA
from mlrc.losses.proxy_nca import ProxyNCA
from mlrc.losses.proxy_nca_classic import ProxyNCAClassicLoss
from mlrc.losses.proxy_nca_pp import ProxyNCAPlusPlusLoss
from tests.examples import examples
from tests.losses.loss_oracle import Problem, assert_equals_its_equation, built, problems, total, unit


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Squared Euclidean distance of two vectors at length one."""
    return (unit(first) - unit(second)).square().sum()


@examples(40)
@given(problem=problems(min_classes=2), scale=st.floats(0.01, 10))
def test_the_original_leaves_the_target_out_of_the_denominator(problem: Problem, scale: float) -> None:
    loss = built(proxy_nca_classic.SPEC, problem, scale=scale)

    def equation(embeddings: Tensor, proxies: Tensor) -> Tensor:
        terms = []
        for embedding, label in zip(embeddings, problem.labels, strict=True):
            exponentials = [torch.exp(-scale * distance(embedding, proxy)) for proxy in proxies]
            others = total([one for c, one in enumerate(exponentials) if c != label])
            terms.append(-torch.log(exponentials[label] / others))
        return total(terms) / len(terms)

    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), temperature=st.floats(0.05, 10))
def test_plus_plus_is_the_probability_among_all_proxies(problem: Problem, temperature: float) -> None:
    loss = built(proxy_nca_pp.SPEC, problem, temperature=temperature)

    def equation(embeddings: Tensor, proxies: Tensor) -> Tensor:
        terms = []
        for embedding, label in zip(embeddings, problem.labels, strict=True):
            exponentials = [torch.exp(-distance(embedding, proxy) / temperature) for proxy in proxies]
            terms.append(-torch.log(exponentials[label] / total(exponentials)))
        return total(terms) / len(terms)

    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), scale=st.floats(0.01, 20))
def test_plus_plus_and_the_studys_are_pmls_where_nothing_underflows(problem: Problem, scale: float) -> None:
    shape = problem.num_classes, problem.embeddings.size(1)
    theirs = ProxyNCALoss(*shape, softmax_scale=scale).double()
    plus_plus, study = ProxyNCAPlusPlusLoss(*shape, temperature=1 / scale), ProxyNCA(*shape, softmax_scale=scale)
    expected = theirs(problem.embeddings, problem.labels)
    expected.backward()
    for ours in (plus_plus.double(), study.double()):
        ours.proxies.data.copy_(theirs.proxies)
        value = ours(problem.embeddings, problem.labels)
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
        value.backward()
        torch.testing.assert_close(ours.proxies.grad, theirs.proxies.grad, rtol=1e-7, atol=1e-9)


def test_proxies_of_plus_plus_start_with_a_deviation_of_an_eighth() -> None:
    assert ProxyNCAPlusPlusLoss(500, 64).proxies.std().item() == pytest.approx(1 / 8, rel=0.02)


def antipodes(loss: torch.nn.Module) -> Tensor:
    """Give the value for an image opposite its own proxy and on another's."""
    with torch.no_grad():
        loss.proxies[:] = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])  # type: ignore[operator]
    value: Tensor = loss(torch.tensor([[1.0, 0.0]], requires_grad=True), torch.tensor([0]))
    return value


def test_an_underflowing_probability_is_kept_by_ours_and_dropped_as_in_pml_by_the_studys() -> None:
    assert antipodes(ProxyNCALoss(2, 2, softmax_scale=100)).isnan()
    assert antipodes(ProxyNCAPlusPlusLoss(2, 2, temperature=1 / 100)).item() == pytest.approx(400)
    assert antipodes(ProxyNCAClassicLoss(2, 2, scale=100)).item() == pytest.approx(400)
    assert antipodes(ProxyNCA(2, 2, softmax_scale=100)).item() == 0


def test_the_studys_drops_an_image_from_the_mean_as_pml_does() -> None:
    proxies = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
    embeddings, labels = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([0, 1])
    ours, theirs = ProxyNCA(2, 2, softmax_scale=50), ProxyNCALoss(2, 2, softmax_scale=50)
    ours.proxies.data, theirs.proxies.data = proxies, proxies
    torch.testing.assert_close(ours(embeddings, labels), theirs(embeddings, labels))


def test_the_original_refuses_a_single_class_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="must have two classes at least to tell apart, but got 1"):
        ProxyNCAClassicLoss(1, 8)


@examples(40)
@given(problem=problems(min_present=2), scale=st.floats(0.01, 20))
def test_nca_is_pmls_where_some_image_has_a_positive(problem: Problem, scale: float) -> None:
    expected = NCALoss(softmax_scale=scale)(problem.embeddings, problem.labels)
    value = NCA(softmax_scale=scale)(problem.embeddings.clone().requires_grad_(), problem.labels)
    if expected.isnan():
        assert value == 0
        assert len(set(problem.labels.tolist())) == len(problem.labels)
    else:
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)


def turned(loss: ProxyNCAClassicLoss | ProxyNCAPlusPlusLoss, problem: Problem) -> float:
    """Give by how many degrees one step of fast proxies, under Adam with eps 1, turns the own proxy of an image."""
    optimizer = torch.optim.Adam(loss.parameters(), lr=400, eps=1.0)
    before = loss.proxies.detach().clone()
    loss(problem.embeddings.detach(), problem.labels).backward()
    optimizer.step()
    cosine = torch.nn.functional.cosine_similarity(before, loss.proxies.detach())[problem.labels]
    return float(cosine.clamp(-1, 1).arccos().rad2deg().mean())


def test_fast_proxies_turn_as_far_without_prob_as_with_it_only_if_they_start_as_short() -> None:
    torch.manual_seed(0)
    problem = Problem(torch.randn(32, 2048), torch.arange(32) % 8, num_classes=100, seed=0)
    params = {"loss_lr": 0.01, "scale": 9.0}
    plus_plus = ProxyNCAPlusPlusLoss(100, 2048)
    long, short = (
        proxy_nca_classic.SPEC.make(num_classes=100, embedding_size=2048, params=one)
        for one in (params, {**params, "proxy_std": 1 / 8})
    )
    assert isinstance(long, ProxyNCAClassicLoss)
    assert isinstance(short, ProxyNCAClassicLoss)
    degrees = [turned(loss, problem) for loss in (plus_plus, short, long)]
    assert degrees == pytest.approx([86, 86, 12], abs=1)


def test_the_study_s_proxy_nca_drops_images_whose_probability_underflows_in_value_and_gradient() -> None:
    embeddings = torch.tensor([[0.6, -0.8], [-0.61, 0.79], [-1.0, 0.0]]).requires_grad_()
    labels = torch.zeros(3, dtype=torch.int64)
    loss = ProxyNCA(2, 2, softmax_scale=100)
    loss.proxies.data = torch.tensor([[0.8, 0.6], [-0.8, -0.6]])
    terms = torch.stack(
        [
            -torch.log_softmax(torch.stack([-100 * distance(one, proxy) for proxy in loss.proxies]), dim=0)[0]
            for one in embeddings
        ]
    )
    alive = terms.detach().neg().exp() > 0
    assert alive.tolist() == [True, True, False]
    value = loss(embeddings, labels)
    torch.testing.assert_close(value, terms[alive].mean())
    assert terms.mean().item() > value.item() + 50
    (gradient,) = torch.autograd.grad(value, embeddings)
    (expected,) = torch.autograd.grad(terms[alive].mean(), embeddings)
    torch.testing.assert_close(gradient, expected)
    assert not gradient[2].any()
