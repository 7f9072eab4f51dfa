"""Losses on pairs and triplets beyond the study's against slow loops of the equations in their files."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.losses import AngularLoss, CircleLoss, TupletMarginLoss
from torch import Tensor, nn

from mlrc.losses import (
    angular,
    circle,
    dynamic_soft_margin,
    generalized_lifted_structure,
    lifted_structure,
    supcon,
)
from mlrc.losses import tuplet_margin as tuplet_margin_module
from mlrc.losses.angular import Angular
from mlrc.losses.contract import rehearsal
from mlrc.losses.dynamic_soft_margin import DynamicSoftMargin
from mlrc.losses.intra_pair_variance import SPEC as INTRA_PAIR_VARIANCE
from mlrc.losses.multi_similarity import MultiSimilarity
from mlrc.losses.n_pairs import SPEC as N_PAIRS
from mlrc.losses.spec import MinedLoss
from mlrc.losses.threshold_consistent_margin import SPEC as THRESHOLD_CONSISTENT_MARGIN
from mlrc.losses.triplet_batch_hard import SPEC as TRIPLET_BATCH_HARD
from mlrc.losses.triplet_semi_hard import SPEC as TRIPLET_SEMI_HARD
from mlrc.losses.tuplet_margin import TupletMargin
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
    positives,
    problems,
    total,
    triplets,
    unit,
)

margins = st.floats(-0.2, 2)


@examples(40)
@given(problem=problems(), degrees=st.floats(20, 70))
def test_angular_of_normalised_embeddings(problem: Problem, degrees: float) -> None:
    square = math.tan(math.radians(degrees)) ** 2

    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        for a, p in positive_pairs(problem.labels) if negative_pairs(problem.labels) else []:
            xa, xp = unit(x[a]), unit(x[p])
            exponents = [
                4 * square * (xa + xp) @ unit(x[n]) - 2 * (1 + square) * xa @ xp for n in negatives(problem.labels, a)
            ]
            terms.append(torch.log(1 + total([torch.exp(one) for one in exponents])))
        return mean(terms)

    assert_equals_its_equation(built(angular.SPEC, problem, alpha=degrees), problem, equation)


def test_angular_is_pmls_of_embeddings_normalised_beforehand() -> None:
    embeddings, labels = torch.randn(6, 4), torch.arange(6) // 2
    ours, theirs = Angular(alpha=40), AngularLoss(alpha=40)
    torch.testing.assert_close(ours(embeddings, labels), theirs(nn.functional.normalize(embeddings), labels))
    assert not torch.isclose(ours(embeddings, labels), theirs(embeddings, labels))


@examples(40)
@given(problem=problems(), m=st.floats(0, 1), gamma=st.floats(1, 20))
def test_circle(problem: Problem, m: float, gamma: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        for i in range(len(x)):
            inner = [cosine(x[i], x[j]) for j in positives(problem.labels, i)]
            outer = [cosine(x[i], x[j]) for j in negatives(problem.labels, i)]
            if inner and outer:
                pull = [torch.exp(-gamma * (1 + m - s.detach()).relu() * (s - 1 + m)) for s in inner]
                push = [torch.exp(gamma * (s.detach() + m).relu() * (s - m)) for s in outer]
                terms.append(torch.log(1 + total(pull) * total(push)))
        return mean(terms)

    assert_equals_its_equation(built(circle.SPEC, problem, m=m, gamma=gamma), problem, equation)


def test_circle_averages_over_the_same_anchors_in_every_precision() -> None:
    # Terms of classes that lie well apart vanish in float32, and PML leaves them out.
    embeddings = torch.eye(4).repeat_interleave(2, dim=0) + 0.05 * torch.randn(8, 4, generator=torch.manual_seed(0))
    embeddings[7] = embeddings[0]  # one image among those of another class, so that not all terms vanish
    labels = torch.arange(8) // 2
    loss = rehearsal.module(circle.SPEC.make(num_classes=4, embedding_size=4, params={"m": 0.4, "gamma": 512.0}))
    single = loss(embeddings, labels)
    assert single == pytest.approx(float(loss(embeddings.double(), labels)), rel=1e-5)
    dropped = CircleLoss(m=0.4, gamma=512)(embeddings, labels)
    assert dropped > 1.3 * single


@examples(40)
@given(problem=problems(), momentum=st.floats(0.01, 1))
def test_dynamic_soft_margin_weighs_by_the_running_distribution(problem: Problem, momentum: float) -> None:
    loss = built(dynamic_soft_margin.SPEC, problem, momentum=momentum).double()
    histogram = torch.zeros(514, dtype=torch.float64)
    for step in range(2):
        x = problem.embeddings.roll(step, dims=1)
        differences = [euclidean(x[a], x[p]) - euclidean(x[a], x[n]) for a, p, n in triplets(problem.labels)]
        fresh = torch.zeros_like(histogram)
        for difference in differences:
            place = (difference + 2) / (4 / 512)
            fresh[int(place)] += 1 - (place - int(place))
            fresh[int(place) + 1] += place - int(place)
        if differences:
            share = momentum if histogram.sum() else 1.0
            histogram = (1 - share) * histogram + share * fresh
            histogram /= histogram.sum()
        weights = [histogram[: int((one + 2) / (4 / 512)) + 1].sum() for one in differences]
        expected = mean([weight * one for weight, one in zip(weights, differences, strict=True)])
        torch.testing.assert_close(loss(x, problem.labels), expected, rtol=1e-9, atol=1e-9)


def test_dynamic_soft_margin_bears_the_greatest_difference_there_is() -> None:
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    loss = DynamicSoftMargin(0.5)
    for _ in range(2):  # PML's own fails at the second step
        loss(x, torch.tensor([0, 0, 1])).backward()
    assert "hist_" in loss.state_dict()


def test_dynamic_soft_margin_bears_distances_that_rounding_takes_beyond_2() -> None:
    beyond = 0
    for _ in range(200):
        one = torch.randn(1, 8)
        images = torch.cat([one, one, -one])
        assert DynamicSoftMargin(0.5)(images, torch.tensor([0, 0, 1])).isfinite()
        rows = nn.functional.normalize(images)
        beyond += bool(torch.cdist(rows, rows)[0, 2] > 2)
    assert beyond


@examples(40)
@given(problem=problems(), pos_margin=margins, neg_margin=margins)
def test_lifted_structure(problem: Problem, pos_margin: float, neg_margin: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        for i, j in positive_pairs(problem.labels) if negative_pairs(problem.labels) else []:
            push = [torch.exp(neg_margin - euclidean(x[k], x[n])) for k in (i, j) for n in negatives(problem.labels, k)]
            terms.append((torch.log(total(push)) + euclidean(x[i], x[j]) - pos_margin).relu() ** 2 / 2)
        return mean(terms)

    loss = built(lifted_structure.SPEC, problem, pos_margin=pos_margin, neg_margin=neg_margin)
    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), pos_margin=margins, neg_margin=margins)
def test_generalized_lifted_structure(problem: Problem, pos_margin: float, neg_margin: float) -> None:
    def log_sum(terms: list[Tensor]) -> Tensor:
        return torch.log(total([torch.exp(one) for one in terms])) if terms else total([])

    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        for i in range(len(x)) if len(x) > 1 else []:
            pull = log_sum([euclidean(x[i], x[j]) - pos_margin for j in positives(problem.labels, i)])
            push = log_sum([neg_margin - euclidean(x[i], x[j]) for j in negatives(problem.labels, i)])
            terms.append((pull + push).relu())
        return mean(terms)

    loss = built(generalized_lifted_structure.SPEC, problem, pos_margin=pos_margin, neg_margin=neg_margin)
    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), weight=st.floats(1e-4, 1))
def test_n_pairs(problem: Problem, weight: float) -> None:
    problem = problem._replace(embeddings=nn.functional.normalize(problem.embeddings) * 2)

    def equation(x: Tensor, _: Tensor) -> Tensor:
        classes = sorted(set(problem.labels.tolist()))
        terms = []
        for a, p in positive_pairs(problem.labels) if len(classes) > 1 else []:
            others = [[n for n in range(len(x)) if problem.labels[n] == c] for c in classes if c != problem.labels[a]]
            push = [mean([torch.exp(x[a] @ x[n] - x[a] @ x[p]) for n in members]) for members in others]
            terms.append(torch.log(1 + total(push)))
        return mean(terms) + weight * mean([one @ one for one in x])

    loss = built(N_PAIRS, problem, l2_weight=weight)
    assert_equals_its_equation(loss, problem, equation)


@examples(40)
@given(problem=problems(), temperature=st.floats(0.05, 10))
def test_supcon(problem: Problem, temperature: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        for i in range(len(x)) if negative_pairs(problem.labels) else []:
            others = total([torch.exp(cosine(x[i], x[j]) / temperature) for j in range(len(x)) if j != i])
            mine = [
                -torch.log(torch.exp(cosine(x[i], x[p]) / temperature) / others) for p in positives(problem.labels, i)
            ]
            terms += [mean(mine)] if mine else []
        return mean_of_active(terms)

    assert_equals_its_equation(built(supcon.SPEC, problem, temperature=temperature), problem, equation)


def tuplet_margin(x: Tensor, labels: Tensor, degrees: float, scale: float) -> Tensor:
    """The tuplet margin loss."""
    terms = []
    for a, p in positive_pairs(labels) if negative_pairs(labels) else []:
        positive = torch.cos(torch.acos(cosine(x[a], x[p])) - math.radians(degrees))
        terms.append(
            torch.log(1 + total([torch.exp(scale * (cosine(x[a], x[n]) - positive)) for n in negatives(labels, a)]))
        )
    return mean(terms)


@examples(40)
@given(problem=problems(), degrees=st.floats(0, 30), scale=st.floats(1, 50))
def test_tuplet_margin(problem: Problem, degrees: float, scale: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        return tuplet_margin(x, problem.labels, degrees, scale)

    loss = built(tuplet_margin_module.SPEC, problem, margin=degrees, scale=scale)
    assert_equals_its_equation(loss, problem, equation)


def test_tuplet_margin_has_a_gradient_where_images_coincide_and_pmls_has_not() -> None:
    labels = torch.tensor([0, 0, 1])
    for loss, finite in ((TupletMargin(), True), (TupletMarginLoss(), False)):
        x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], requires_grad=True)
        loss(x, labels).backward()
        assert x.grad is not None
        assert bool(x.grad.isfinite().all()) is finite


@examples(40)
@given(problem=problems(), eps=st.floats(0, 0.2), weight=st.floats(0, 2))
def test_intra_pair_variance_beside_the_tuplet_margin(problem: Problem, eps: float, weight: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        inner = [cosine(x[i], x[j]) for i, j in positive_pairs(problem.labels)]
        outer = [cosine(x[i], x[j]) for i, j in negative_pairs(problem.labels)]
        pull = [((1 - eps) * mean(inner) - one).relu() ** 2 for one in inner]
        push = [(one - (1 + eps) * mean(outer)).relu() ** 2 for one in outer]
        return tuplet_margin(x, problem.labels, 5.0, 20) + weight * (mean(pull) + mean(push))

    params = {"margin": 5.0, "scale": 20.0, "eps": eps, "weight": weight}
    assert_equals_its_equation(built(INTRA_PAIR_VARIANCE, problem, **params), problem, equation)


@examples(40)
@given(problem=problems(), weight=st.floats(0, 2), plus=st.floats(0.5, 1), minus=st.floats(0, 0.9))
def test_threshold_consistent_margin_beside_multi_similarity(
    problem: Problem, weight: float, plus: float, minus: float
) -> None:
    similarity = MultiSimilarity(alpha=2, beta=50, base=0.5)

    def equation(x: Tensor, _: Tensor) -> Tensor:
        pull = [plus - cosine(x[i], x[j]) for i, j in positive_pairs(problem.labels)]
        push = [cosine(x[i], x[j]) - minus for i, j in negative_pairs(problem.labels)]
        value: Tensor = similarity(x, problem.labels)
        return value + weight * (mean_of_active(pull) + mean_of_active(push))

    params = {"alpha": 2.0, "beta": 50.0, "base": 0.5, "weight": weight, "margin_plus": plus, "margin_minus": minus}
    assert_equals_its_equation(built(THRESHOLD_CONSISTENT_MARGIN, problem, **params), problem, equation)


def mined(made: object, x: Tensor, labels: Tensor) -> Tensor:
    """Give the value of a loss on its miner's triplets."""
    assert isinstance(made, MinedLoss)
    value: Tensor = made.loss(x, labels, made.miner(x, labels))
    return value


@examples(40)
@given(problem=problems(), size=st.floats(0.01, 2))
def test_semi_hard_triplets_have_the_negative_farther_but_within_the_margin(problem: Problem, size: float) -> None:
    x, terms = problem.embeddings, []
    for a, p, n in triplets(problem.labels):
        violation = euclidean(x[a], x[p]) - euclidean(x[a], x[n]) + size
        terms += [violation] if 0 < violation <= size else []
    made = rehearsal.build(TRIPLET_SEMI_HARD, {"margin": size})
    torch.testing.assert_close(mined(made, x, problem.labels), mean(terms), rtol=1e-6, atol=1e-9)


@examples(40)
@given(problem=problems(), size=margins)
def test_batch_hard_takes_the_farthest_positive_and_the_nearest_negative(problem: Problem, size: float) -> None:
    x, terms = problem.embeddings, []
    for i in range(len(x)):
        far = [euclidean(x[i], x[p]) for p in positives(problem.labels, i)]
        near = [euclidean(x[i], x[n]) for n in negatives(problem.labels, i)]
        terms += [(max(far) - min(near) + size).relu()] if far and near else []
    made = rehearsal.build(TRIPLET_BATCH_HARD, {"margin": size})
    torch.testing.assert_close(mined(made, x, problem.labels), mean_of_active(terms), rtol=1e-6, atol=1e-9)
