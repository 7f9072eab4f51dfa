"""Random problems for the losses, and the comparison of a loss with a slow loop written from its equation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from mlrc.losses.contract import rehearsal
from mlrc.losses.spec import LOSS_LR, LossSpec


class Problem(NamedTuple):
    """A batch: unnormalised embeddings `(batch, dim)` in float64, labels `(batch,)`, and the number of classes."""

    embeddings: Tensor
    labels: Tensor
    num_classes: int
    seed: int


@st.composite
def problems(draw: st.DrawFn, min_classes: int = 1, min_present: int = 1) -> Problem:
    """Draw a batch in which classes may be absent, alone or uneven, and embeddings have any length.

    Four dimensions at least: in fewer, two random directions now and then nearly coincide, where 1e-9 cannot be had.
    """
    num_classes = draw(st.integers(min_classes, 6))
    size = draw(st.integers(min_present, 9))
    labels = draw(
        st.lists(st.integers(0, num_classes - 1), min_size=size, max_size=size).filter(
            lambda drawn: len(set(drawn)) >= min_present
        )
    )
    seed = draw(st.integers(0, 2**31))
    random = torch.Generator().manual_seed(seed + 1)  # proxies drawn from the seed must not be the embeddings
    lengths = 10 ** draw(st.floats(-2, 2))
    embeddings = lengths * torch.randn(size, draw(st.integers(4, 6)), generator=random, dtype=torch.float64)
    return Problem(embeddings, torch.tensor(labels), num_classes, seed)


def built(spec: LossSpec, problem: Problem, **params: Any) -> nn.Module:
    """Build the loss of a spec for the problem, its parameters drawn from the problem's seed."""
    everything = params | ({LOSS_LR: 1e-3} if LOSS_LR in spec.space else {})
    size = problem.embeddings.size(1)
    loss = rehearsal.build(spec, everything, seed=problem.seed, num_classes=problem.num_classes, embedding_size=size)
    return rehearsal.module(loss)


def unit(vector: Tensor) -> Tensor:
    """Give the vector at length one."""
    return vector / vector.square().sum().sqrt()


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Give the cosine of two vectors, `(dim,)` each."""
    return (unit(first) * unit(second)).sum()


def euclidean(first: Tensor, second: Tensor) -> Tensor:
    """Give the distance of two vectors at length one."""
    return (unit(first) - unit(second)).square().sum().sqrt()


def mean(terms: list[Tensor]) -> Tensor:
    """Give the mean of scalars, 0 of none."""
    return total(terms) / max(1, len(terms))


def mean_of_active(terms: list[Tensor]) -> Tensor:
    """Give the mean of those above 0, 0 of none."""
    return mean([term for term in terms if term > 0])


def positive_pairs(labels: Tensor) -> list[tuple[int, int]]:
    """Give the ordered pairs of two images of a class."""
    return [(i, j) for i in range(len(labels)) for j in range(len(labels)) if i != j and labels[i] == labels[j]]


def positives(labels: Tensor, i: int) -> list[int]:
    """Give the other images of image i's class."""
    return [j for k, j in positive_pairs(labels) if k == i]


def negatives(labels: Tensor, i: int) -> list[int]:
    """Give the images of other classes than image i's."""
    return [j for j in range(len(labels)) if labels[i] != labels[j]]


def negative_pairs(labels: Tensor) -> list[tuple[int, int]]:
    """Give the ordered pairs of images of two classes."""
    return [(i, j) for i in range(len(labels)) for j in negatives(labels, i)]


def triplets(labels: Tensor) -> list[tuple[int, int, int]]:
    """Give the triplets of anchor, positive, negative."""
    return [(a, p, n) for a, p in positive_pairs(labels) for n in negatives(labels, a)]


def total(terms: list[Tensor]) -> Tensor:
    """Give the sum of scalars, 0 of none."""
    return torch.stack(terms).sum() if terms else torch.zeros((), dtype=torch.float64)


def assert_equals_its_equation(loss: nn.Module, problem: Problem, equation: Callable[[Tensor, Tensor], Any]) -> None:
    """Compare value and all gradients of a loss with those of a slow loop, to 1e-9.

    Args:
        loss: a module of ours, in any precision.
        problem: the batch.
        equation: from embeddings `(batch, dim)` and the loss's parameter (an empty tensor where it has none) to the
            value.
    """
    parameters = list(loss.double().parameters())
    assert len(parameters) <= 1
    leaf, slow_leaf = (problem.embeddings.clone().requires_grad_() for _ in range(2))
    slow_parameter = (parameters[0].detach().clone() if parameters else torch.empty(0)).requires_grad_()
    value, slow_value = loss(leaf, problem.labels), equation(slow_leaf, slow_parameter)
    torch.testing.assert_close(value, slow_value, rtol=1e-9, atol=1e-9)
    value.backward()
    if slow_value.requires_grad:
        slow_value.backward()
    _assert_same_gradient(leaf, slow_leaf)
    for parameter in parameters:
        _assert_same_gradient(parameter, slow_parameter)


def _assert_same_gradient(tensor: Tensor, slow: Tensor) -> None:
    gradient, expected = (torch.zeros_like(t) if t.grad is None else t.grad for t in (tensor, slow))
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(gradient / scale, expected / scale, rtol=1e-9, atol=1e-9)
