"""The losses of No Fuss and what was reviewed beside it: proxy triplet, fewer proxies than classes, centre loss."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from mlrc.losses import center, proxy_nca_classic, proxy_nca_few, proxy_triplet
from mlrc.losses.contract import rehearsal
from tests.examples import examples
from tests.losses.loss_oracle import Problem, assert_equals_its_equation, built, mean, problems, total, unit


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Squared Euclidean distance of two vectors at length one."""
    return (unit(first) - unit(second)).square().sum()


@examples(30)
@given(problem=problems(min_classes=2), margin=st.floats(-0.2, 2))
def test_a_proxy_triplet_is_an_image_its_proxy_and_another(problem: Problem, margin: float) -> None:
    def equation(x: Tensor, proxies: Tensor) -> Tensor:
        return mean(
            [
                (distance(one, proxies[y]) - distance(one, proxies[c]) + margin).relu()
                for one, y in zip(x, problem.labels.tolist(), strict=True)
                for c in range(problem.num_classes)
                if c != y
            ]
        )

    assert_equals_its_equation(built(proxy_triplet.SPEC, problem, margin=margin), problem, equation)


@examples(40)
@given(
    problem=problems(min_classes=3),
    share=st.sampled_from([0.3, 0.6, 1.0]),
    assignment=st.sampled_from(["static", "dynamic"]),
    scale=st.floats(0.1, 10),
)
def test_few_proxies_are_those_of_the_other_images_of_a_class(
    problem: Problem, share: float, assignment: str, scale: float
) -> None:
    def proxy_of(j: int, x: Tensor, proxies: Tensor) -> int:
        if assignment == "static":
            return int(problem.labels[j]) % len(proxies)
        return int(torch.stack([distance(x[j], proxy) for proxy in proxies]).argmin())

    def equation(x: Tensor, proxies: Tensor) -> Tensor:
        terms = []
        for i in range(len(x)):
            exponentials = [torch.exp(-scale * distance(x[i], proxy)) for proxy in proxies]
            others = [j for j in range(len(x)) if j != i and problem.labels[j] == problem.labels[i]] or [i]
            of_i = []
            for j in others:
                q = proxy_of(j, x, proxies)
                rest = total([one for z, one in enumerate(exponentials) if z != q])
                of_i.append(-torch.log(exponentials[q] / rest))
            terms.append(mean(of_i))
        return mean(terms)

    loss = built(proxy_nca_few.SPEC, problem, scale=scale, share_of_classes=share, assignment=assignment)
    assert_equals_its_equation(loss, problem, equation)


def test_as_many_proxies_as_classes_given_beforehand_are_the_original() -> None:
    params = {"loss_lr": 0.1, "scale": 3.0}
    few = rehearsal.module(rehearsal.build(proxy_nca_few.SPEC, {**params, "share_of_classes": 1.0}, num_classes=6))
    classic = rehearsal.module(rehearsal.build(proxy_nca_classic.SPEC, params, num_classes=6))
    embeddings, labels = torch.randn(12, rehearsal.EMBEDDING_SIZE), torch.arange(12) % 6
    torch.testing.assert_close(few(embeddings, labels), classic(embeddings, labels))


@examples(20)
@given(problem=problems(), lambda_c=st.floats(1e-4, 1))
def test_centre_loss_pulls_images_to_the_centre_of_their_class(problem: Problem, lambda_c: float) -> None:
    def equation(x: Tensor, proxies: Tensor) -> Tensor:
        return mean(
            [
                cross_entropy(proxies[:, 0] @ one, y) + lambda_c / 2 * (one - proxies[y, 1]).square().sum()
                for one, y in zip(x, problem.labels, strict=True)
            ]
        )

    assert_equals_its_equation(built(center.SPEC, problem, lambda_c=lambda_c), problem, equation)


@pytest.mark.parametrize("spec", [proxy_triplet.SPEC, proxy_nca_few.SPEC], ids=lambda spec: spec.name)
def test_one_class_is_none_to_be_told_from(spec: object) -> None:
    params = {"loss_lr": 0.1, "margin": 0.1} if spec is proxy_triplet.SPEC else {"loss_lr": 0.1, "scale": 1.0}
    with pytest.raises(ValueError, match="at least"):
        (proxy_triplet.SPEC if spec is proxy_triplet.SPEC else proxy_nca_few.SPEC).make(
            num_classes=1, embedding_size=3, params=params
        )
