"""Random problems for the losses, and the comparison of a loss with a slow loop written from its equation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor, nn


class Problem(NamedTuple):
    """A batch: unnormalised embeddings `(batch, dim)` in float64, labels `(batch,)`, and the number of classes."""

    embeddings: Tensor
    labels: Tensor
    num_classes: int
    seed: int


@st.composite
def problems(draw: st.DrawFn, min_classes: int = 1, min_present: int = 1) -> Problem:
    """Draw a batch in which classes may be absent, alone or uneven, and embeddings have any length."""
    num_classes = draw(st.integers(min_classes, 6))
    size = draw(st.integers(min_present, 9))
    labels = draw(
        st.lists(st.integers(0, num_classes - 1), min_size=size, max_size=size).filter(
            lambda drawn: len(set(drawn)) >= min_present
        )
    )
    seed = draw(st.integers(0, 2**31))
    random = torch.Generator().manual_seed(seed)
    lengths = 10 ** draw(st.floats(-2, 2))
    embeddings = lengths * torch.randn(size, draw(st.integers(2, 5)), generator=random, dtype=torch.float64)
    return Problem(embeddings, torch.tensor(labels), num_classes, seed)


def unit(vector: Tensor) -> Tensor:
    """Give the vector at length one."""
    return vector / vector.square().sum().sqrt()


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Give the cosine of two vectors, `(dim,)` each."""
    return (unit(first) * unit(second)).sum()


def total(terms: list[Tensor]) -> Tensor:
    """Give the sum of scalars, 0 of none."""
    return torch.stack(terms).sum() if terms else torch.zeros((), dtype=torch.float64)


def assert_equals_its_equation(loss: nn.Module, problem: Problem, equation: Callable[[Tensor, Tensor], Any]) -> None:
    """Compare value and all gradients of a loss with those of a slow loop, to 1e-9.

    Args:
        loss: a module of ours, in any precision.
        problem: the batch.
        equation: from embeddings `(batch, dim)` and proxies (an empty tensor where the loss has none) to the value.
    """
    loss = loss.double()
    proxies = getattr(loss, "proxies", None)
    leaf, slow_leaf = (problem.embeddings.clone().requires_grad_() for _ in range(2))
    slow_proxies = (torch.empty(0) if proxies is None else proxies.detach().clone()).requires_grad_()
    value, slow_value = loss(leaf, problem.labels), equation(slow_leaf, slow_proxies)
    torch.testing.assert_close(value, slow_value, rtol=1e-9, atol=1e-9)
    value.backward()
    slow_value.backward()
    _assert_same_gradient(leaf, slow_leaf)
    if proxies is not None:
        _assert_same_gradient(proxies, slow_proxies)


def _assert_same_gradient(tensor: Tensor, slow: Tensor) -> None:
    gradient, expected = (torch.zeros_like(t) if t.grad is None else t.grad for t in (tensor, slow))
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(gradient / scale, expected / scale, rtol=1e-9, atol=1e-9)
