"""Classification losses beyond the study's against slow loops of the equations in their files."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from mlrc.losses import large_margin_softmax, sphereface, sub_center_arcface
from mlrc.losses.contract import rehearsal
from mlrc.losses.manifold import SPEC as MANIFOLD
from mlrc.losses.manifold import Manifold
from mlrc.losses.p2s_grad import SPEC as P2S_GRAD
from mlrc.losses.spec import LOSS_LR, LossSpec
from tests.examples import examples
from tests.losses.loss_oracle import (
    Problem,
    assert_equals_its_equation,
    built,
    cosine,
    mean,
    problems,
    total,
)


@pytest.mark.parametrize("spec", [large_margin_softmax.SPEC, sphereface.SPEC], ids=lambda spec: spec.name)
@examples(40)
@given(problem=problems(), times=st.integers(1, 4))
def test_large_margin_softmax_and_sphereface(spec: LossSpec, problem: Problem, times: int) -> None:
    lengths_count = spec is large_margin_softmax.SPEC

    def equation(x: Tensor, weights: Tensor) -> Tensor:
        terms = []
        for one, y in zip(x, problem.labels, strict=True):
            logits = []
            for c, w in enumerate(weights.t()):
                angle = torch.acos(cosine(one, w))
                k = int(angle / (math.pi / times))
                psi = (-1) ** k * torch.cos(times * angle) - 2 * k if c == y else torch.cos(angle)
                logits.append(psi * one.norm() * (w.norm() if lengths_count else 1))
            terms.append(cross_entropy(torch.stack(logits), y))
        return mean(terms)

    assert_equals_its_equation(built(spec, problem, margin=times), problem, equation)


@examples(40)
@given(problem=problems())
def test_p2s_grad(problem: Problem) -> None:
    def equation(x: Tensor, weights: Tensor) -> Tensor:
        return mean(
            [
                (cosine(one, w) - int(c == y)) ** 2
                for one, y in zip(x, problem.labels, strict=True)
                for c, w in enumerate(weights.t())
            ]
        )

    assert_equals_its_equation(built(P2S_GRAD, problem), problem, equation)


@examples(40)
@given(problem=problems(), degrees=st.floats(0, 90), scale=st.floats(0.01, 50))
def test_sub_center_arcface_takes_the_nearest_of_three(problem: Problem, degrees: float, scale: float) -> None:
    def equation(x: Tensor, weights: Tensor) -> Tensor:
        groups = weights.t().view(problem.num_classes, 3, -1)
        terms = []
        for one, y in zip(x, problem.labels, strict=True):
            nearest = [torch.stack([cosine(one, w) for w in group]).max() for group in groups]
            angles = [torch.acos(c) + math.radians(degrees) * (k == int(y)) for k, c in enumerate(nearest)]
            terms.append(cross_entropy(scale * torch.cos(torch.stack(angles)), y))
        return mean(terms)

    loss = built(sub_center_arcface.SPEC, problem, margin=degrees, scale=scale)
    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), lambda_c=st.floats(0.01, 100), alpha=st.floats(0.1, 0.9), size=st.floats(1e-5, 0.1))
def test_manifold(problem: Problem, lambda_c: float, alpha: float, size: float) -> None:
    loss = built(MANIFOLD, problem, lambda_c=lambda_c, alpha=alpha, margin=size).double()
    nodes = [*problem.embeddings, *next(loss.parameters()).detach()]
    n, count = len(problem.labels), len(nodes)
    affinity = torch.zeros(count, count, dtype=torch.float64)
    for i in range(count):
        for j in range(count):
            affinity[i, j] = torch.exp(2 * cosine(nodes[i], nodes[j]).relu()) if i != j else 0
    degrees = affinity.sum(dim=1)
    walk = (1 - alpha) * torch.linalg.inv(
        torch.eye(count, dtype=torch.float64) - alpha * affinity / torch.sqrt(degrees.unsqueeze(1) * degrees)
    )

    def ranked(scores: list[Tensor], y: int) -> Tensor:
        exponents = [s - scores[y] + size for z, s in enumerate(scores) if z != y]
        return torch.log(1 + total([torch.exp(one) for one in exponents if one >= 0]))

    intrinsic, context = [], []
    for i, y in enumerate(problem.labels.tolist()):
        intrinsic.append(ranked([walk[i, n + z] for z in range(problem.num_classes)], y))
        context.append(ranked([cosine(walk[i], walk[n + z]) for z in range(problem.num_classes)], y))
    expected = mean(intrinsic) + lambda_c * mean(context)
    value = loss(problem.embeddings, problem.labels)
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4 * (1 + lambda_c))  # PML inverts in float32


def test_the_manifolds_meta_classes_are_the_classes_up_to_128() -> None:
    params = {LOSS_LR: 1e-3, "lambda_c": 1.0, "alpha": 0.8, "margin": 5e-4}
    few, many = (rehearsal.module(rehearsal.build(MANIFOLD, params, num_classes=n)) for n in (12, 300))
    assert isinstance(few, Manifold)
    assert isinstance(many, Manifold)
    assert (few.K, many.K) == (12, 128)
    embeddings = torch.randn(6, rehearsal.EMBEDDING_SIZE)
    near, far = torch.tensor([0, 1, 2, 3, 4, 5]), torch.tensor([128, 129, 130, 131, 132, 133])
    assert torch.equal(many(embeddings, near), many(embeddings, far))
    with pytest.raises(ValueError, match="must be given labels"):
        few(embeddings)
