"""Cross-batch memory: images against those of earlier batches, too, whose embeddings are remembered in a queue.

    L = loss(batch, queue),   the queue: the last `size` images, those of this batch included, none against itself

No gradient flows into the queue. X. Wang, H. Zhang, W. Huang, M. R. Scott: Cross-Batch Memory for Embedding Learning,
CVPR 2020. Embeddings, labels and the place of the next ones are buffers, so that a training that was interrupted goes
on with what it remembered; PML's `CrossBatchMemory` keeps them out of the saved state.
"""

from typing import Any

import torch
from torch import Tensor, nn


class CrossBatchMemory(nn.Module):
    """Wraps any PML loss of pairs or triplets that takes reference embeddings.

    Args:
        loss: without a miner of its own.
        embedding_size: of the embeddings that are remembered.
        size: how many are; a batch must not be larger.
    """

    remembered: Tensor
    remembered_labels: Tensor
    seen: Tensor

    def __init__(self, loss: nn.Module, embedding_size: int, size: int) -> None:
        super().__init__()
        self.loss, self.size = loss, size
        self.register_buffer("remembered", torch.zeros(size, embedding_size))
        self.register_buffer("remembered_labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Tensor, labels: Tensor, indices_tuple: None = None) -> Any:
        """Remember a batch, `(batch, dim)` with labels `(batch,)`, and compare it with all that is remembered.

        Raises:
            ValueError: the batch is larger than the memory, or a miner's pairs are given.
        """
        if indices_tuple is not None:
            raise ValueError("A cross-batch memory must be given no miner's pairs, which are of one batch alone.")
        if len(labels) > self.size:
            raise ValueError(
                f"A batch must not exceed the memory of {self.size} images, but has {len(labels)}; give a larger size."
            )
        labels = labels.to(embeddings.device)
        slots = (self.seen + torch.arange(len(labels), device=self.seen.device)) % self.size
        self.remembered = self.remembered.index_copy(0, slots, embeddings.detach().to(self.remembered.dtype))
        self.remembered_labels = self.remembered_labels.index_copy(0, slots, labels.to(self.remembered_labels.dtype))
        self.seen = self.seen + len(labels)
        filled = min(int(self.seen), self.size)
        queue, of_queue = self.remembered[:filled].to(embeddings.dtype), self.remembered_labels[:filled]
        same = labels.unsqueeze(1) == of_queue.unsqueeze(0)
        others = ~same
        same[torch.arange(len(labels), device=same.device), slots] = False
        pairs = (*same.nonzero(as_tuple=True), *others.nonzero(as_tuple=True))
        return self.loss(embeddings, labels, pairs, queue, of_queue)
