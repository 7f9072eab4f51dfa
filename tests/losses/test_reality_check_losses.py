"""The Reality Check's losses against slow loops of what the study ran (pytorch-metric-learning 0.9.88)."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from mlrc.losses import (
    arcface,
    contrastive,
    cosface,
    fast_ap,
    margin,
    margin_per_class,
    multi_similarity,
    normalized_softmax,
    ntxent,
    snr_contrastive,
    soft_triple,
    triplet,
)
from mlrc.losses.contract import rehearsal
from mlrc.losses.spec import LossSpec
from tests.examples import examples
from tests.losses.loss_oracle import (
    Problem,
    assert_equals_its_equation,
    built,
    cosine,
    euclidean,
    mean,
    mean_of_active,
    negative_pairs,
    negatives,
    positive_pairs,
    problems,
    total,
    triplets,
    unit,
)

margins = st.floats(-0.2, 2)


@examples(40)
@given(problem=problems(), pos_margin=margins, neg_margin=margins)
def test_contrastive(problem: Problem, pos_margin: float, neg_margin: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        pull = [(euclidean(x[i], x[j]) - pos_margin).relu() for i, j in positive_pairs(problem.labels)]
        push = [(neg_margin - euclidean(x[i], x[j])).relu() for i, j in negative_pairs(problem.labels)]
        return mean_of_active(pull) + mean_of_active(push)

    loss = built(contrastive.SPEC, problem, pos_margin=pos_margin, neg_margin=neg_margin)
    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), size=margins)
def test_triplet(problem: Problem, size: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        every = triplets(problem.labels)
        return mean_of_active([(euclidean(x[a], x[p]) - euclidean(x[a], x[n]) + size).relu() for a, p, n in every])

    assert_equals_its_equation(built(triplet.SPEC, problem, margin=size), problem, equation)


@pytest.mark.parametrize("spec", [margin.SPEC, margin_per_class.SPEC], ids=lambda spec: spec.name)
@examples(40)
@given(problem=problems(), size=margins, beta=margins)
def test_margin_with_one_boundary_and_with_one_per_class(
    spec: LossSpec, problem: Problem, size: float, beta: float
) -> None:
    def equation(x: Tensor, boundaries: Tensor) -> Tensor:
        terms = []
        for a, p, n in triplets(problem.labels):
            boundary = boundaries[problem.labels[a] if len(boundaries) > 1 else 0]
            terms.append((euclidean(x[a], x[p]) - boundary + size).relu())
            terms.append((boundary - euclidean(x[a], x[n]) + size).relu())
        return mean_of_active(terms)

    loss = built(spec, problem, margin=size, beta=beta)
    assert next(loss.parameters()).numel() == (problem.num_classes if spec is margin_per_class.SPEC else 1)
    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), alpha=st.floats(0.001, 20), beta=st.floats(0.01, 20), base=st.floats(0, 1))
def test_multi_similarity(problem: Problem, alpha: float, beta: float, base: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        if len(x) == 1:
            return total([])
        terms = []
        for i in range(len(x)):
            pull = [
                torch.exp(-alpha * (cosine(x[i], x[j]) - base)) for k, j in positive_pairs(problem.labels) if k == i
            ]
            push = [torch.exp(beta * (cosine(x[i], x[j]) - base)) for j in negatives(problem.labels, i)]
            terms.append(torch.log(1 + total(pull)) / alpha + torch.log(1 + total(push)) / beta)
        return mean(terms)

    assert_equals_its_equation(
        built(multi_similarity.SPEC, problem, alpha=alpha, beta=beta, base=base), problem, equation
    )


@examples(40)
@given(problem=problems(), temperature=st.floats(0.003, 10))
def test_ntxent_with_the_studys_floor_under_the_probability(problem: Problem, temperature: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        for a, p in positive_pairs(problem.labels) if negative_pairs(problem.labels) else []:
            positive = cosine(x[a], x[p]) / temperature
            others = [torch.exp(cosine(x[a], x[n]) / temperature - positive) for n in negatives(problem.labels, a)]
            terms.append(-torch.log(1 / (1 + total(others)) + 1e-20))
        return mean(terms)

    assert_equals_its_equation(built(ntxent.SPEC, problem, temperature=temperature), problem, equation)


def test_ntxent_gives_a_pair_below_the_floor_its_logarithm_and_no_gradient() -> None:
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.02], [-1.0, 0.02]], requires_grad=True)
    value = ntxent.NTXent(temperature=1e-3)(x, torch.tensor([0, 0, 1, 1]))
    value.backward()
    assert value.item() == pytest.approx(20 * math.log(10))
    assert x.grad is not None
    assert x.grad.abs().max() == 0


@examples(40)
@given(problem=problems(), temperature=st.floats(0.01, 100))
def test_normalized_softmax(problem: Problem, temperature: float) -> None:
    def equation(x: Tensor, weights: Tensor) -> Tensor:
        logits = [torch.stack([cosine(one, w) for w in weights.t()]) / temperature for one in x]
        return mean([cross_entropy(one, y) for one, y in zip(logits, problem.labels, strict=True)])

    assert_equals_its_equation(built(normalized_softmax.SPEC, problem, temperature=temperature), problem, equation)


@examples(40)
@given(problem=problems(), size=st.floats(0, 1), scale=st.floats(0.01, 200))
def test_cosface(problem: Problem, size: float, scale: float) -> None:
    def equation(x: Tensor, weights: Tensor) -> Tensor:
        terms = []
        for one, y in zip(x, problem.labels, strict=True):
            cosines = [cosine(one, w) - size * (c == int(y)) for c, w in enumerate(weights.t())]
            terms.append(cross_entropy(scale * torch.stack(cosines), y))
        return mean(terms)

    assert_equals_its_equation(built(cosface.SPEC, problem, margin=size, scale=scale), problem, equation)


@examples(40)
@given(problem=problems(), degrees=st.floats(0, 90), scale=st.floats(0.01, 100))
def test_arcface_with_the_margin_at_every_angle(problem: Problem, degrees: float, scale: float) -> None:
    def equation(x: Tensor, weights: Tensor) -> Tensor:
        terms = []
        for one, y in zip(x, problem.labels, strict=True):
            angles = [
                torch.acos(cosine(one, w)) + math.radians(degrees) * (c == int(y)) for c, w in enumerate(weights.t())
            ]
            terms.append(cross_entropy(scale * torch.cos(torch.stack(angles)), y))
        return mean(terms)

    assert_equals_its_equation(built(arcface.SPEC, problem, margin=degrees, scale=scale), problem, equation)


def test_arcface_has_a_gradient_where_an_image_is_its_classs_weight() -> None:
    loss = arcface.ArcFace(2, 2, margin=30, scale=10)
    with torch.no_grad():
        loss.W[:] = torch.eye(2)
    x = torch.tensor([[1.0, 0.0], [0.0, -1.0]], requires_grad=True)
    loss(x, torch.tensor([0, 1])).backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@examples(15)
@given(problem=problems(), bins=st.integers(2, 32))
def test_fast_ap(problem: Problem, bins: int) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        width = 4 / bins
        for i in range(len(x)):
            mine = [j for k, j in positive_pairs(problem.labels) if k == i]
            if not mine:
                continue
            precision, above, all_above = [], total([]), total([])
            for b in range(bins + 1):
                here = {
                    j: (1 - (euclidean(x[i], x[j]) ** 2 - b * width).abs() / width).relu()
                    for j in range(len(x))
                    if j != i
                }
                positive = total([here[j] for j in mine])
                above, all_above = above + positive, all_above + total(list(here.values()))
                if positive > 0:
                    precision.append(positive * above / all_above)
            terms.append(1 - total(precision) / len(mine))
        return mean(terms)

    assert_equals_its_equation(built(fast_ap.SPEC, problem, num_bins=bins), problem, equation)


@examples(40)
@given(problem=problems(), pos_margin=st.floats(0, 2), neg_margin=st.floats(0, 2), weight=st.floats(0, 1))
def test_snr_contrastive_regularises_the_normalised_embeddings(
    problem: Problem, pos_margin: float, neg_margin: float, weight: float
) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        def distance(i: int, j: int) -> Tensor:
            return (unit(x[i]) - unit(x[j])).var() / unit(x[i]).var()

        pull = [(distance(i, j) - pos_margin).relu() for i, j in positive_pairs(problem.labels)]
        push = [(neg_margin - distance(i, j)).relu() for i, j in negative_pairs(problem.labels)]
        level = mean([unit(one).sum().abs() for one in x])
        return mean_of_active(pull) + mean_of_active(push) + weight * level

    loss = built(snr_contrastive.SPEC, problem, pos_margin=pos_margin, neg_margin=neg_margin, regularizer_weight=weight)
    assert_equals_its_equation(loss, problem, equation)


@examples(10)
@given(
    problem=problems(), la=st.floats(0.01, 50), gamma=st.floats(0.05, 100), weight=st.floats(0, 1), size=st.floats(0, 1)
)
def test_soft_triple_with_ten_centres_and_the_studys_regulariser(
    problem: Problem, la: float, gamma: float, weight: float, size: float
) -> None:
    def equation(x: Tensor, centers: Tensor) -> Tensor:
        groups = centers.t().view(problem.num_classes, 10, -1)
        terms = []
        for one, y in zip(x, problem.labels, strict=True):
            to_classes = []
            for c, group in enumerate(groups):
                cosines = torch.stack([cosine(one, w) for w in group])
                to_classes.append((torch.softmax(cosines / gamma, 0) * cosines).sum() - size * (c == int(y)))
            terms.append(cross_entropy(la * torch.stack(to_classes), y))
        distances = [
            torch.sqrt(2 + 1e-5 - 2 * cosine(group[s], group[t]))
            for group in groups
            for s in range(10)
            for t in range(s)
        ]
        return mean(terms) + weight * total(distances) / (problem.num_classes * 10 * 9)

    loss = built(soft_triple.SPEC, problem, la=la, gamma=gamma, reg_weight=weight, margin=size)
    assert_equals_its_equation(loss, problem, equation)


def test_soft_triple_takes_two_centres_where_classes_are_many() -> None:
    loss = rehearsal.build(soft_triple.SPEC, soft_triple.SPEC.published["sop"], num_classes=1001, embedding_size=4)
    assert [parameter.shape for parameter in rehearsal.module(loss).parameters()] == [(4, 2002)]
