"""Multi Proxy Anchor is its equations, and Proxy-Anchor where it has one proxy per class."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.losses import ProxyAnchorLoss
from torch import Tensor, nn

from mlrc.losses.contract import rehearsal
from mlrc.losses.multi_proxy_anchor import SPEC, MultiProxyAnchorLoss
from mlrc.losses.parts.proxy_spread import ProxySpreadRegularizer
from mlrc.losses.soft_triple import SPEC as SOFT_TRIPLE
from tests.examples import examples
from tests.losses.loss_oracle import Problem, assert_equals_its_equation, built, cosine, problems, total


def similarity(embedding: Tensor, proxies: Tensor, gamma: float) -> Tensor:
    """Equation (1), of one image and one class's proxies `(proxies_per_class, dim)`."""
    cosines = [cosine(embedding, proxy) for proxy in proxies]
    denominator = total([torch.exp(one / gamma) for one in cosines])
    return total([torch.exp(one / gamma) / denominator * one for one in cosines])


def spread(proxies: Tensor) -> Tensor:
    """Equation (3)."""
    classes, k, _ = proxies.shape
    distances = [
        torch.sqrt(2 - 2 * cosine(proxies[c, s], proxies[c, t]))
        for c in range(classes)
        for s in range(k)
        for t in range(s)
    ]
    return total(distances) / (classes * k * (k - 1)) if k > 1 else total([])


@examples(40)
@given(
    problem=problems(),
    proxies_per_class=st.integers(1, 4),
    margin=st.floats(0, 1),
    alpha=st.floats(0.1, 30),
    gamma=st.floats(0.05, 10),
    tau=st.floats(0, 1),
)
def test_the_loss_is_equations_6_and_7(
    problem: Problem, proxies_per_class: int, margin: float, alpha: float, gamma: float, tau: float
) -> None:
    params = {"proxies_per_class": proxies_per_class, "margin": margin, "alpha": alpha, "gamma": gamma, "tau": tau}
    loss = built(SPEC, problem, **params)

    def equation(embeddings: Tensor, proxies: Tensor) -> Tensor:
        pulls, pushes = [], []
        for c in range(problem.num_classes):
            to_class = [similarity(embedding, proxies[c], gamma) for embedding in embeddings]
            inside = [torch.exp(-alpha * (s - margin)) for s, y in zip(to_class, problem.labels, strict=True) if y == c]
            outside = [torch.exp(alpha * (s + margin)) for s, y in zip(to_class, problem.labels, strict=True) if y != c]
            pulls += [torch.log(1 + total(inside))] if inside else []
            pushes.append(torch.log(1 + total(outside)))
        return total(pulls) / len(pulls) + total(pushes) / len(pushes) + tau * spread(proxies)

    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), gamma=st.floats(0.01, 10), alpha=st.floats(0.1, 64))
def test_with_one_proxy_per_class_it_is_proxy_anchor(problem: Problem, gamma: float, alpha: float) -> None:
    shape = problem.num_classes, problem.embeddings.size(1)
    torch.manual_seed(problem.seed)
    ours = MultiProxyAnchorLoss(*shape, proxies_per_class=1, alpha=alpha, gamma=gamma).double()
    torch.manual_seed(problem.seed)
    theirs = ProxyAnchorLoss(*shape, alpha=alpha).double()
    torch.testing.assert_close(ours.proxies.squeeze(1), theirs.proxies, rtol=0, atol=0)
    ours(problem.embeddings, problem.labels).backward()
    theirs(problem.embeddings, problem.labels).backward()
    value, expected = ours(problem.embeddings, problem.labels), theirs(problem.embeddings, problem.labels)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours.proxies.grad.squeeze(1), theirs.proxies.grad, rtol=1e-9, atol=1e-9)


def test_the_miners_weights_act_as_in_proxy_anchor() -> None:
    torch.manual_seed(0)
    ours = MultiProxyAnchorLoss(4, 3, proxies_per_class=1)
    torch.manual_seed(0)
    theirs = ProxyAnchorLoss(4, 3)
    embeddings, labels = torch.randn(6, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    triplets = torch.tensor([0, 0, 2]), torch.tensor([1, 1, 3]), torch.tensor([2, 3, 4])
    torch.testing.assert_close(ours(embeddings, labels, triplets), theirs(embeddings, labels, triplets))
    assert not torch.isclose(ours(embeddings, labels, triplets), ours(embeddings, labels))


def test_the_gradient_is_finite_where_proxies_coincide() -> None:
    loss = MultiProxyAnchorLoss(3, 4, proxies_per_class=3, weight_regularizer=ProxySpreadRegularizer(3))
    with torch.no_grad():
        loss.proxies[:] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    loss(torch.randn(5, 4), torch.tensor([0, 0, 1, 1, 2])).backward()
    assert loss.proxies.grad is not None
    assert loss.proxies.grad.isfinite().all()


@pytest.mark.parametrize("alpha", [32, 1000])
def test_an_exponent_far_beyond_float32_stays_finite(alpha: float) -> None:
    loss = MultiProxyAnchorLoss(3, 4, alpha=alpha)
    value = loss(torch.randn(5, 4).half(), torch.tensor([0, 0, 1, 1, 2]))
    assert value.dtype == torch.float32
    assert math.isfinite(value.item())


def _gradient_of_similarities(loss: nn.Module, similarities: Tensor, labels: Tensor) -> Tensor:
    """Give dL/dS `(batch, classes)`, the similarities put in the place of those of images and centres."""
    leaf = similarities.clone().requires_grad_()
    loss.get_logits = lambda *_: leaf  # type: ignore[assignment]
    value = loss(torch.randn(len(labels), 4, dtype=torch.float64), labels)
    (gradient,) = torch.autograd.grad(value, leaf)
    return gradient


@examples(20)
@given(problem=problems(min_classes=2, min_present=2), alpha=st.floats(0.1, 40), margin=st.floats(0, 0.5))
def test_equations_8_and_9_are_the_gradient_of_the_similarities(problem: Problem, alpha: float, margin: float) -> None:
    loss = MultiProxyAnchorLoss(problem.num_classes, 4, proxies_per_class=2, margin=margin, alpha=alpha).double()
    size, classes, labels = len(problem.labels), problem.num_classes, problem.labels
    similarities = torch.rand(size, classes, dtype=torch.float64, generator=torch.manual_seed(problem.seed)) * 2 - 1
    gradient = _gradient_of_similarities(loss, similarities, labels)
    present = len(set(labels.tolist()))
    for c in range(classes):
        inside = [i for i in range(size) if labels[i] == c]
        outside = [i for i in range(size) if labels[i] != c]
        pulls = {i: torch.exp(-alpha * (similarities[i, c] - margin)) for i in inside}
        pushes = {i: torch.exp(alpha * (similarities[i, c] + margin)) for i in outside}
        for i, pull in pulls.items():
            expected = -alpha * pull / (1 + total(list(pulls.values()))) / present  # (8)
            torch.testing.assert_close(gradient[i, c], expected, rtol=1e-9, atol=1e-12)
        for i, push in pushes.items():
            expected = alpha * push / (1 + total(list(pushes.values()))) / classes  # (9)
            torch.testing.assert_close(gradient[i, c], expected, rtol=1e-9, atol=1e-12)


def test_equation_5_is_the_gradient_of_soft_triple_with_its_signs_turned() -> None:
    la, margin, labels = 20.0, 0.01, torch.tensor([0, 2, 1, 0])
    similarities = (torch.rand(4, 3, generator=torch.manual_seed(0), dtype=torch.float64) * 2 - 1).requires_grad_()
    one_hot = nn.functional.one_hot(labels, 3)
    logits = la * (similarities - margin * one_hot)
    value = nn.functional.cross_entropy(logits, labels)
    (gradient,) = torch.autograd.grad(value, similarities)
    shares = logits.detach().softmax(dim=1)
    printed = torch.where(one_hot.bool(), la * (1 - shares), -la * shares)  # positive for the target in the paper
    torch.testing.assert_close(gradient, -printed / len(labels))
    params = {"loss_lr": 0.1, "la": la, "gamma": 0.1, "reg_weight": 0.0, "margin": margin, "centers_per_class": 1}
    loss = rehearsal.module(SOFT_TRIPLE.make(num_classes=3, embedding_size=4, params=params))
    embeddings = torch.randn(4, 4)
    centres = next(iter(loss.parameters())).detach()
    cosines = nn.functional.normalize(embeddings) @ nn.functional.normalize(centres, dim=0)
    expected = nn.functional.cross_entropy(la * (cosines - margin * one_hot), labels)
    torch.testing.assert_close(loss(embeddings, labels), expected)


@pytest.mark.parametrize("kind", ["max", "mean"])
def test_the_similarity_to_a_class_may_be_the_maximum_or_the_mean(kind: str) -> None:
    params = {"loss_lr": 0.1, "proxies_per_class": 3, "margin": 0.1, "alpha": 32.0, "gamma": 0.1, "tau": 0.0}
    loss = SPEC.make(num_classes=4, embedding_size=5, params={**params, "similarity": kind})
    assert isinstance(loss, MultiProxyAnchorLoss)
    embeddings = torch.randn(6, 5)
    found = loss.get_logits(embeddings)
    for i, embedding in enumerate(embeddings):
        for c, proxies in enumerate(loss.proxies.detach()):
            cosines = torch.stack([cosine(embedding, proxy) for proxy in proxies])
            expected = cosines.max() if kind == "max" else cosines.mean()
            torch.testing.assert_close(found[i, c].detach(), expected)
