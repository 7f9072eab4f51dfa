"""The small training problem on which a loss is tried before any image is: batches, precisions, a few steps."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mlrc.losses.spec import LOSS_LR, LossSpec, MinedLoss

NUM_CLASSES = 12
EMBEDDING_SIZE = 16


class Step(NamedTuple):
    """The value of a loss on one batch, and the gradient of the embeddings `(batch, embedding_size)`."""

    value: Tensor
    gradient: Tensor


def build(
    spec: LossSpec,
    params: Mapping[str, Any],
    *,
    seed: int = 0,
    num_classes: int = NUM_CLASSES,
    embedding_size: int = EMBEDDING_SIZE,
) -> nn.Module | MinedLoss:
    """Build the loss as the harness does, seeded, and leave torch's global generator as it was.

    What a paper takes beyond the range of the search is built, too.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return spec.widened_to(params).make(num_classes=num_classes, embedding_size=embedding_size, params=params)


def module(loss: nn.Module | MinedLoss) -> nn.Module:
    """Give the loss without its miner: what has parameters and a state."""
    return loss.loss if isinstance(loss, MinedLoss) else loss


def batch(spec: LossSpec, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Give embeddings and labels of the loss's kind of batch; two of the classes, or six, are absent."""
    labels = torch.arange(10) if spec.batch == "classes" else torch.arange(6).repeat_interleave(4)
    return embeddings_of(labels, seed=seed), labels


def embeddings_of(labels: Tensor, embedding_size: int = EMBEDDING_SIZE, seed: int = 1) -> Tensor:
    """Give unnormalised embeddings `(batch, embedding_size)` whose classes lie apart, and overlap."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(int(labels.max()) + 1, embedding_size, generator=random)
    return centres[labels] + torch.randn(len(labels), embedding_size, generator=random)


def in_float32(loss: nn.Module | MinedLoss, embeddings: Tensor, labels: Tensor) -> Step:
    """Compute value and gradients in single precision."""
    leaf = embeddings.float().requires_grad_()
    return _backward(loss, leaf, leaf, labels)


def in_float64(loss: nn.Module | MinedLoss, embeddings: Tensor, labels: Tensor) -> Step:
    """Compute value and gradients in double precision, the loss's parameters included."""
    leaf = embeddings.double().requires_grad_()
    module(loss).double()
    return _backward(loss, leaf, leaf, labels)


def under_bfloat16(loss: nn.Module | MinedLoss, embeddings: Tensor, labels: Tensor) -> Step:
    """Compute value and gradients of bfloat16 embeddings under autocast."""
    return _autocast(loss, embeddings, labels, torch.bfloat16)


def under_float16(loss: nn.Module | MinedLoss, embeddings: Tensor, labels: Tensor) -> Step:
    """Compute value and gradients of float16 embeddings under autocast."""
    return _autocast(loss, embeddings, labels, torch.float16)


PRECISIONS: tuple[Callable[[nn.Module | MinedLoss, Tensor, Tensor], Step], ...] = (
    in_float32,
    in_float64,
    under_bfloat16,
    under_float16,
)


def train(spec: LossSpec, loss: nn.Module | MinedLoss, params: Mapping[str, Any], *, steps: int) -> list[float]:
    """Train free embeddings and the loss's parameters with RMSprop on one batch; give the value before every step."""
    start, labels = batch(spec)
    leaf = start.requires_grad_()
    rates = [(leaf, 1e-2)]
    if LOSS_LR in params:
        rates += [(parameter, float(params[LOSS_LR])) for parameter in module(loss).parameters()]
    moments = [(torch.zeros_like(one), torch.zeros_like(one)) for one, _ in rates]
    values = []
    for _ in range(steps):
        for one, _ in rates:
            one.grad = None
        values.append(_backward(loss, leaf, leaf, labels).value.item())
        for (one, lr), (squares, momentum) in zip(rates, moments, strict=True):
            _rmsprop(one, lr, squares, momentum)
    return values


@torch.no_grad()
def _rmsprop(parameter: Tensor, lr: float, squares: Tensor, momentum: Tensor) -> None:
    """Step as `torch.optim.RMSprop` with momentum 0.9 does, whose first use imports a compiler for some seconds."""
    if parameter.grad is None:
        return
    squares.mul_(0.99).addcmul_(parameter.grad, parameter.grad, value=0.01)
    momentum.mul_(0.9).addcdiv_(parameter.grad, squares.sqrt().add_(1e-8))
    parameter.add_(momentum, alpha=-lr)


def _autocast(loss: nn.Module | MinedLoss, embeddings: Tensor, labels: Tensor, half: torch.dtype) -> Step:
    leaf = embeddings.float().requires_grad_()
    with torch.autocast(leaf.device.type, dtype=half):
        return _backward(loss, leaf, leaf @ torch.eye(leaf.size(1), device=leaf.device), labels)


def _backward(loss: nn.Module | MinedLoss, leaf: Tensor, embeddings: Tensor, labels: Tensor) -> Step:
    """Give the value, and the gradient of the leaf of which the embeddings were made."""
    pairs = loss.miner(embeddings, labels) if isinstance(loss, MinedLoss) else None
    value = module(loss)(embeddings, labels, pairs)
    if not isinstance(value, Tensor) or value.ndim != 0:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"A loss must give one number as a tensor without axes, but gave {shape}.")
    if not value.requires_grad:
        raise TypeError("The value must depend on the embeddings, but no gradient can flow to them.")
    value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    return Step(value.detach(), gradient)
