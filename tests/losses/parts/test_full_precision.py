"""A loss computes in float32 or wider whatever it is given, and leaves its parameters what the optimizer holds."""

import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss, ProxyAnchorLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner

from mlrc.harness.plugins import LOSSES
from mlrc.losses.contract import rehearsal
from mlrc.losses.contract.space import centre
from mlrc.losses.contrastive import Contrastive
from mlrc.losses.multi_similarity_miner import HardPairs
from mlrc.losses.proxy_anchor import ProxyAnchor
from mlrc.losses.spec import MinedLoss

LABELS = torch.tensor([0, 0, 1, 1, 2])


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES.names())
def test_half_precision_embeddings_give_the_float32_value_of_the_same_numbers(name: str, half: torch.dtype) -> None:
    spec = LOSSES.find(name)
    embeddings = torch.randn(5, rehearsal.EMBEDDING_SIZE).to(half)
    values = []
    for given in (embeddings, embeddings.float()):
        made = rehearsal.build(spec, centre(spec.space))
        loss = rehearsal.module(made)
        with torch.autocast("cpu", dtype=half, enabled=given.dtype == half):
            pairs = made.miner(given, LABELS) if isinstance(made, MinedLoss) else None
            values.append(loss(given, LABELS, pairs))
        assert {parameter.dtype for parameter in loss.parameters()} <= {torch.float32}
    assert values[0].dtype == torch.float32
    assert torch.equal(*values)


def test_pmls_own_class_would_cast_its_proxies_to_half() -> None:
    ours, theirs = ProxyAnchor(3, 4), ProxyAnchorLoss(3, 4)
    for loss, expected in ((ours, torch.float32), (theirs, torch.float16)):
        loss(torch.randn(5, 4).half(), LABELS)
        assert loss.proxies.dtype == expected


def test_float64_stays_float64() -> None:
    assert ProxyAnchor(3, 4).double()(torch.randn(5, 4, dtype=torch.float64), LABELS).dtype == torch.float64


def test_named_arguments_and_reference_embeddings_reach_the_loss_in_full_precision() -> None:
    embeddings, references = torch.randn(5, 4).bfloat16(), torch.randn(7, 4).bfloat16()
    of_references = torch.arange(7) % 3
    expected = ContrastiveLoss(pos_margin=0, neg_margin=1.5)(
        embeddings.float(), LABELS, ref_emb=references.float(), ref_labels=of_references
    )
    named = Contrastive(pos_margin=0, neg_margin=1.5)(
        embeddings, labels=LABELS.int(), ref_emb=references, ref_labels=of_references.int()
    )
    assert torch.equal(named, expected)
    assert named.dtype == torch.float32


def test_a_miner_looks_at_full_precision_too_which_pmls_own_does_not() -> None:
    random = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(60, 64, generator=random)).bfloat16()
    labels = torch.arange(60) // 5
    expected = HardPairs(epsilon=0.1)(embeddings.float(), labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, theirs = (kind(epsilon=0.1)(embeddings, labels) for kind in (HardPairs, MultiSimilarityMiner))
    assert [one.tolist() for one in ours] == [one.tolist() for one in expected]
    assert [one.tolist() for one in theirs] != [one.tolist() for one in expected]
