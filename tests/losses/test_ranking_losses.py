"""Losses on whole rankings against slow loops of the equations in their files."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning.losses import SmoothAPLoss
from torch import Tensor

from mlrc.losses import histogram, nca, smooth_ap
from mlrc.losses.contract import rehearsal
from mlrc.losses.pnp import SPEC as PNP
from mlrc.losses.ranked_list import SPEC as RANKED_LIST
from mlrc.losses.smooth_ap import SmoothAP
from tests.examples import examples
from tests.losses.loss_oracle import (
    Problem,
    assert_equals_its_equation,
    built,
    cosine,
    euclidean,
    mean,
    negative_pairs,
    negatives,
    positive_pairs,
    positives,
    problems,
    total,
)


@examples(40)
@given(problem=problems(), bins=st.integers(10, 60))
def test_histogram(problem: Problem, bins: int) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        def shares_of(pairs: list[tuple[int, int]]) -> list[Tensor]:
            nodes = [-1 + 2 * r / bins for r in range(bins + 1)]
            shares = [[(1 - (cosine(x[i], x[j]) - node).abs() * bins / 2).relu() for i, j in pairs] for node in nodes]
            return [total(share) / len(pairs) for share in shares]

        if not (positive_pairs(problem.labels) and negative_pairs(problem.labels)):
            return total([])
        similar = shares_of([(i, j) for i, j in positive_pairs(problem.labels) if i < j])
        different = shares_of([(i, j) for i, j in negative_pairs(problem.labels) if i < j])
        return total([different[r] * total(similar[: r + 1]) for r in range(bins + 1)])

    assert_equals_its_equation(built(histogram.SPEC, problem, n_bins=bins), problem, equation)


@examples(40)
@given(problem=problems(), alpha=st.floats(0.1, 10), anneal=st.floats(0.01, 0.1))
def test_pnp(problem: Problem, alpha: float, anneal: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        for i in range(len(x)):
            mine = [*positives(problem.labels, i), i] if positives(problem.labels, i) else []
            scores = []
            for p in mine:
                before = [
                    torch.sigmoid((cosine(x[i], x[n]) - cosine(x[i], x[p])) / anneal)
                    for n in negatives(problem.labels, i)
                ]
                scores.append(1 - (1 + total(before)) ** -alpha)
            terms += [mean(scores)] if mine else []
        return mean(terms)

    loss = rehearsal.module(rehearsal.build(PNP, {"alpha": alpha, "anneal": anneal}))
    torch.testing.assert_close(
        loss.double()(problem.embeddings, problem.labels),
        equation(problem.embeddings, torch.empty(0)),
        rtol=1e-9,
        atol=1e-9,
    )


@examples(40)
@given(problem=problems(), alpha=st.floats(0.4, 2), size=st.floats(0, 1), hot=st.floats(0, 5), warm=st.floats(0, 5))
def test_ranked_list(problem: Problem, alpha: float, size: float, hot: float, warm: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        def weighted(terms: list[Tensor], weights: list[Tensor]) -> Tensor:
            return total([w * t for w, t in zip(weights, terms, strict=True)]) / (total(weights) + 1e-5 * len(x))

        terms = []
        for i in range(len(x)):
            far = [euclidean(x[i], x[p]) - alpha + size for p in positives(problem.labels, i)]
            near = [alpha - euclidean(x[i], x[n]) for n in negatives(problem.labels, i)]
            far, near = [one for one in far if one > 0], [one for one in near if one > 0]
            pull = weighted(far, [torch.exp(warm * one) for one in far])
            push = weighted(near, [torch.exp(hot * one) for one in near])
            terms.append(pull / 2 + push / 2)
        return mean(terms)

    params = {"alpha": alpha, "margin": size, "negative_temperature": hot, "positive_temperature": warm}
    assert_equals_its_equation(built(RANKED_LIST, problem, **params), problem, equation)


@examples(40)
@given(problem=problems(), temperature=st.floats(0.01, 1))
def test_smooth_ap(problem: Problem, temperature: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        for i in range(len(x)):
            mine = [*positives(problem.labels, i), i]

            def rank(p: int, among: list[int], i: int = i) -> Tensor:
                return 1 + total(
                    [torch.sigmoid((cosine(x[i], x[j]) - cosine(x[i], x[p])) / temperature) for j in among if j != p]
                )

            if len(mine) > 1:
                terms.append(1 - mean([rank(p, mine) / rank(p, list(range(len(x)))) for p in mine]))
        return mean(terms)

    assert_equals_its_equation(built(smooth_ap.SPEC, problem, temperature=temperature), problem, equation)


def test_smooth_ap_is_pmls_where_pml_groups_the_batch_rightly() -> None:
    embeddings, labels = torch.randn(9, 5), torch.arange(3).repeat_interleave(3)
    torch.testing.assert_close(SmoothAP(0.1)(embeddings, labels), SmoothAPLoss(0.1)(embeddings, labels))


def test_smooth_ap_is_not_pmls_where_classes_and_images_of_each_differ_in_number() -> None:
    embeddings, labels = torch.randn(8, 5), torch.arange(4).repeat_interleave(2)
    assert not torch.isclose(SmoothAP(0.1)(embeddings, labels), SmoothAPLoss(0.1)(embeddings, labels))


@examples(40)
@given(problem=problems(), scale=st.floats(0.01, 20))
def test_nca(problem: Problem, scale: float) -> None:
    def equation(x: Tensor, _: Tensor) -> Tensor:
        terms = []
        for i in range(len(x)):
            near = {j: torch.exp(-scale * euclidean(x[i], x[j]) ** 2) for j in range(len(x)) if j != i}
            mine = [near[j] for j in positives(problem.labels, i)]
            terms += [-torch.log(total(mine) / total(list(near.values())))] if mine else []
        return mean(terms)

    assert_equals_its_equation(built(nca.SPEC, problem, softmax_scale=scale), problem, equation)
