"""The stranger's own tests: its equation, and the public contract."""

from collections.abc import Callable

import pytest
import torch
from prototypical import SPEC, PrototypicalLoss
from torch.nn.functional import normalize

from mlrc.losses.contract import promises as contract
from mlrc.losses.spec import LossSpec


def test_it_is_its_equation() -> None:
    embeddings, labels = torch.randn(7, 4), torch.tensor([0, 0, 0, 1, 1, 4, 4])
    rows, terms = normalize(embeddings), []
    for i, row in enumerate(rows):
        exponentials = {}
        for c in (0, 1, 4):
            mean = torch.stack([rows[j] for j in range(7) if labels[j] == c and j != i]).mean(dim=0)
            exponentials[c] = torch.exp(-(row - mean).square().sum() / 0.5)
        terms.append(-torch.log(exponentials[int(labels[i])] / torch.stack(list(exponentials.values())).sum()))
    torch.testing.assert_close(PrototypicalLoss(0.5)(embeddings, labels), torch.stack(terms).mean())


@pytest.mark.parametrize("promise", contract.PROMISES, ids=contract.title)
def test_it_keeps_the_contract(promise: Callable[[LossSpec], None]) -> None:
    promise(SPEC)
