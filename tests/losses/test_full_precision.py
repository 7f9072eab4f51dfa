"""A loss computes in float32 or wider whatever it is given, and leaves its parameters what the optimizer holds."""

import pytest
import torch
from pytorch_metric_learning.losses import ProxyAnchorLoss

from harness.plugins import LOSSES
from losses import rehearsal
from losses.multi_similarity_miner import HardPairs
from losses.proxy_anchor import ProxyAnchor
from losses.space import centre
from losses.spec import MinedLoss

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


def test_named_arguments_and_reference_embeddings_reach_the_loss() -> None:
    embeddings = torch.randn(5, 4)
    spec = LOSSES.find("contrastive")
    loss = rehearsal.module(rehearsal.build(spec, centre(spec.space)))
    expected = loss(embeddings, LABELS, None, embeddings.flip(0), LABELS.flip(0))
    named = loss(
        embeddings.bfloat16().float(), labels=LABELS.int(), ref_emb=embeddings.flip(0), ref_labels=LABELS.flip(0)
    )
    torch.testing.assert_close(named, expected, rtol=0.05, atol=0.05)


def test_a_miner_looks_at_full_precision_too() -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(5, 64)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = HardPairs(epsilon=0.1)(embeddings, LABELS)
    for one, expected in zip(found, HardPairs(epsilon=0.1)(embeddings.float(), LABELS), strict=True):
        assert torch.equal(one, expected)
