"""How the weights are moved: the optimizers of a training, their learning rates in every epoch, and clipping."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from mlrc.harness.plan.schedule import factor
from mlrc.harness.training.model import Embedder
from mlrc.losses.spec import LOSS_LR, LossSpec, Value
from mlrc.protocols.protocol import Protocol, of


class Optimization:
    """The optimizers of one training: one of trunk and head, one of the loss's own parameters where it has any.

    Attributes:
        optimizers: the first has two groups, trunk and head.

    Args:
        protocol: whose rules are followed.
        dataset: of the training.
        model: to train.
        loss: its parameters are trained, too.
        spec: of the loss.
        params: of the loss; a `loss_lr` among them goes before the protocol's.
    """

    def __init__(
        self,
        *,
        protocol: Protocol,
        dataset: str,
        model: Embedder,
        loss: nn.Module,
        spec: LossSpec,
        params: Mapping[str, Value],
    ) -> None:
        self._protocol, self._dataset, self._model = protocol, dataset, model
        self._lr = of(protocol.lr, dataset)
        self._loss_lr = float(params.get(LOSS_LR, protocol.loss_lr.of(dataset)))
        trunk = list(model.trunk.parameters())
        head = [parameter for name, parameter in model.named_parameters() if not name.startswith("trunk.")]
        self.optimizers = [
            _optimizer(
                protocol.optimizer,
                [trunk, head],
                lr=self._lr,
                momentum=protocol.momentum,
                weight_decay=protocol.weight_decay,
                eps=protocol.optimizer_eps,
            )
        ]
        if LOSS_LR in spec.space:
            self.optimizers.append(
                _optimizer(
                    protocol.loss_optimizer,
                    [list(loss.parameters())],
                    lr=self._loss_lr,
                    momentum=protocol.loss_momentum,
                    weight_decay=protocol.loss_weight_decay if spec.weight_decay is None else spec.weight_decay,
                    eps=protocol.optimizer_eps,
                )
            )

    def begin_epoch(self, done: int, steps: Sequence[int]) -> None:
        """Set the learning rates of the epoch that follows `done` epochs; see `mlrc.harness.plan.schedule.factor`.

        The trunk's is 0 in the warm-up, which has optimizers of its own: after it their memory of gradients is empty.
        """
        warm_up = self._protocol.warm_up
        if warm_up and done == warm_up:
            for optimizer in self.optimizers:
                optimizer.state.clear()
        scale = factor(done, steps, self._protocol, self._dataset)
        trunk, head = self.optimizers[0].param_groups
        trunk["lr"] = 0.0 if done < warm_up else self._lr * scale
        head["lr"] = self._lr * scale
        for optimizer in self.optimizers[1:]:
            optimizer.param_groups[0]["lr"] = self._loss_lr * scale

    def step(self, value: torch.Tensor) -> None:
        """Move all weights along the gradients of the loss `value`, those of trunk and head clipped."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call] # torch leaves it so
        if self._protocol.clip_gradients:
            torch.nn.utils.clip_grad_value_(self._model.parameters(), self._protocol.clip_gradients)
        for optimizer in self.optimizers:
            optimizer.step()


def _optimizer(
    name: str,
    groups: Sequence[Sequence[nn.Parameter]],
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    eps: float,
) -> torch.optim.Optimizer:
    named = [{"params": list(group)} for group in groups]
    if name == "rmsprop":
        return torch.optim.RMSprop(named, lr=lr, momentum=momentum, weight_decay=weight_decay, eps=eps)
    betas = (momentum, _SECOND_BETA)
    if name == "adam":
        return torch.optim.Adam(named, lr=lr, betas=betas, weight_decay=weight_decay, eps=eps)
    return torch.optim.AdamW(named, lr=lr, betas=betas, weight_decay=weight_decay, eps=eps)


_SECOND_BETA = 0.999  # PyTorch's default; no paper here says otherwise
