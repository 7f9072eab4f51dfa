"""The mean-field losses and their constraint are their equations, the light form the full one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mlrc.losses import (
    classwise_multi_similarity,
    mean_field_classwise_multi_similarity,
    mean_field_contrastive,
)
from mlrc.losses.classwise_multi_similarity import ClasswiseMultiSimilarityLoss
from mlrc.losses.mean_field_classwise_multi_similarity import MeanFieldClasswiseMultiSimilarityLoss
from mlrc.losses.parts import mean_field_constraint
from mlrc.losses.parts.mean_field_constraint import MeanFieldConstraint
from tests.examples import examples
from tests.losses.loss_oracle import Problem, assert_equals_its_equation, built, cosine, problems, total

alphas = st.floats(0.01, 20)
betas = st.floats(0.1, 60)
bases = st.floats(0, 1)


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Cosine distance."""
    return 1 - cosine(first, second)


def images(embeddings: Tensor, labels: Tensor, c: int) -> list[Tensor]:
    """Give the batch's images of class c."""
    return [embedding for embedding, label in zip(embeddings, labels, strict=True) if label == c]


@examples(40)
@given(
    problem=problems(),
    pos_margin=st.floats(-0.2, 2),
    neg_margin=st.floats(-0.2, 2),
    lambda_mf=st.sampled_from([0.0, 0.1, 10.0]),
)
def test_mean_field_contrastive_is_equation_8(
    problem: Problem, pos_margin: float, neg_margin: float, lambda_mf: float
) -> None:
    params = {"pos_margin": pos_margin, "neg_margin": neg_margin, "lambda_mf": lambda_mf}
    loss = built(mean_field_contrastive.SPEC, problem, **params)

    def equation(embeddings: Tensor, fields: Tensor) -> Tensor:
        terms = []
        for embedding, label in zip(embeddings, problem.labels, strict=True):
            terms.append((distance(embedding, fields[label]) - pos_margin).relu())
            terms += [(neg_margin - distance(embedding, m)).relu() for c, m in enumerate(fields) if c != label]
        constraint = [
            (neg_margin - distance(fields[c], fields[d])).relu() ** 2
            for c in range(len(fields))
            for d in range(len(fields))
            if d != c
        ]
        return total(terms) / len(embeddings) + lambda_mf / len(fields) * total(constraint)

    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), alpha=alphas, beta=betas, base=bases)
def test_classwise_multi_similarity_is_equation_9(problem: Problem, alpha: float, beta: float, base: float) -> None:
    loss = built(classwise_multi_similarity.SPEC, problem, alpha=alpha, beta=beta, base=base)
    present = sorted(set(problem.labels.tolist()))

    def equation(embeddings: Tensor, _: Tensor) -> Tensor:
        pulls, pushes = [], []
        for c in present:
            mine = images(embeddings, problem.labels, c)
            inner = [torch.exp(-alpha * (cosine(i, j) - base)) for i in mine for j in mine]
            pulls.append(torch.log(1 + total(inner) / (2 * len(mine) ** 2)))
            for d in present:
                if d != c:
                    others = images(embeddings, problem.labels, d)
                    outer = [torch.exp(beta * (cosine(i, j) - base)) for i in mine for j in others]
                    pushes.append(torch.log(1 + total(outer) / (len(mine) * len(others))))
        return total(pulls) / (alpha * len(present)) + total(pushes) / (2 * beta * len(present))

    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), alpha=alphas, beta=betas, base=bases, lambda_mf=st.sampled_from([0.0, 0.1, 10.0]))
def test_mean_field_classwise_multi_similarity_is_equation_10_over_all_classes(
    problem: Problem, alpha: float, beta: float, base: float, lambda_mf: float
) -> None:
    params = {"alpha": alpha, "beta": beta, "base": base, "lambda_mf": lambda_mf}
    loss = built(mean_field_classwise_multi_similarity.SPEC, problem, **params)
    delta = 1 - base
    present = sorted(set(problem.labels.tolist()))

    def equation(embeddings: Tensor, fields: Tensor) -> Tensor:
        zero = torch.zeros((), dtype=torch.float64)

        def pull(c: int) -> Tensor:
            mine = images(embeddings, problem.labels, c)
            return total([torch.exp(alpha * (distance(e, fields[c]) - delta)) for e in mine]) / len(mine)

        def push(c: int, d: int) -> Tensor:
            mine = images(embeddings, problem.labels, c)
            terms = [torch.exp(-beta * (distance(e, fields[d]) - delta)) for e in mine]
            return total(terms) / len(mine) if mine else zero

        pairs = [(c, d) for c in range(len(fields)) for d in range(len(fields)) if c != d]
        pulls = [torch.log(1 + pull(c)) for c in present]
        pushes = [torch.log(1 + push(c, d) + push(d, c)) for c, d in pairs]
        constraint = [
            (torch.log1p(torch.exp(beta * (delta - distance(fields[c], fields[d])))) / beta) ** 2 for c, d in pairs
        ]
        return (
            total(pulls) / (alpha * len(present))
            + total(pushes) / (2 * beta * len(present))
            + lambda_mf / len(fields) * total(constraint)
        )

    assert_equals_its_equation(loss, problem, equation)


@pytest.mark.parametrize("beta", [None, 40.0])
def test_the_constraint_by_blocks_is_the_constraint_at_once(
    beta: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = torch.randn(11, 3, dtype=torch.float64)
    results = []
    for rows_at_once in (4, 256):
        monkeypatch.setattr(mean_field_constraint, "ROWS_AT_ONCE", rows_at_once)
        leaf = fields.clone().requires_grad_()
        value = MeanFieldConstraint(0.7, beta)(leaf)
        value.backward()
        results.append((value, leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


def test_at_the_papers_alpha_the_class_wise_value_is_near_log_2_over_alpha() -> None:
    value = MeanFieldClasswiseMultiSimilarityLoss(10, 8)(torch.randn(20, 8), torch.arange(20) % 10)
    assert value.item() == pytest.approx(math.log(2) / 0.01, abs=1)


@pytest.mark.parametrize("loss", [ClasswiseMultiSimilarityLoss(), MeanFieldClasswiseMultiSimilarityLoss(3, 4)])
def test_a_class_wise_loss_refuses_a_miners_pairs(loss: torch.nn.Module) -> None:
    triplets = tuple(torch.tensor([i]) for i in range(3))
    with pytest.raises(ValueError, match="indices_tuple is not supported"):
        loss(torch.randn(4, 4), torch.tensor([0, 0, 1, 2]), triplets)
