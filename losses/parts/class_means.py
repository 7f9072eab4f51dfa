"""Means of exponentials over the images of a class, in log space: what the class-wise losses are made of."""

from torch import Tensor, inf, nn


def log1p_exp(exponents: Tensor) -> Tensor:
    """Give log(1 + e^x) elementwise, exact to 1e-13; PyTorch's default of its softplus is exact to 2e-9."""
    return nn.functional.softplus(exponents, threshold=30)


def log_class_means(exponents: Tensor, members: Tensor) -> Tensor:
    """Give log(1/|B_c| sum over i in B_c of e^{exponents_ij}), without overflow.

    Args:
        exponents: `(batch, columns)`.
        members: `(batch,)`, the class of each row as 0..classes-1, no class empty.

    Returns:
        `(classes, columns)`.
    """
    membership = nn.functional.one_hot(members).to(exponents.dtype)  # (batch, classes)
    shape = membership.size(1), exponents.size(1)
    rows = members.unsqueeze(1).expand_as(exponents)
    highest = exponents.new_full(shape, -inf).scatter_reduce(0, rows, exponents.detach(), "amax")
    sums = membership.t() @ (exponents - highest[members]).exp()
    return sums.log() + highest - membership.sum(dim=0).log().unsqueeze(1)
