"""The proxies' regulariser is its equation and PML's, and finite where PML's is not."""

import pytest
import torch
from pytorch_metric_learning.regularizers import SparseCentersRegularizer

from mlrc.losses.parts.proxy_spread import ProxySpreadRegularizer


@pytest.mark.parametrize("proxies_per_class", [2, 3, 10])
def test_it_equals_pml_where_no_proxies_coincide(proxies_per_class: int) -> None:
    weights = torch.randn(4 * proxies_per_class, 6, dtype=torch.float64)
    ours, theirs = ProxySpreadRegularizer(proxies_per_class), SparseCentersRegularizer(4, proxies_per_class)
    torch.testing.assert_close(ours(weights), theirs(weights), rtol=1e-12, atol=1e-12)


def test_the_epsilon_stands_under_the_root() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    value = ProxySpreadRegularizer(2, epsilon=0.25)(weights)
    torch.testing.assert_close(value, torch.tensor(2.25, dtype=torch.float64).sqrt() / 2)


def test_one_proxy_per_class_gives_0() -> None:
    assert ProxySpreadRegularizer(1)(torch.randn(5, 3)) == 0


@pytest.mark.parametrize("epsilon", [0.0, 1e-5])
def test_the_gradient_is_finite_where_proxies_coincide(epsilon: float) -> None:
    weights = torch.ones(4, 4, requires_grad=True)  # of length 2, so that the cosine is 1 exactly
    ProxySpreadRegularizer(2, epsilon)(weights).backward()
    assert weights.grad is not None
    assert weights.grad.isfinite().all()
