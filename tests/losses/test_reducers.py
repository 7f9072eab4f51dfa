"""Our losses are citizens of pytorch-metric-learning: every reducer, regulariser and error of it works with them."""

import pytest
import torch
from pytorch_metric_learning import reducers
from pytorch_metric_learning.regularizers import LpRegularizer, RegularFaceRegularizer
from torch import Tensor, nn

from mlrc.losses.classwise_multi_similarity import ClasswiseMultiSimilarityLoss
from mlrc.losses.mean_field_classwise_multi_similarity import MeanFieldClasswiseMultiSimilarityLoss
from mlrc.losses.mean_field_contrastive import MeanFieldContrastiveLoss
from mlrc.losses.multi_proxy_anchor import MultiProxyAnchorLoss
from mlrc.losses.proxy_nca_classic import ProxyNCAClassicLoss
from mlrc.losses.proxy_nca_pp import ProxyNCAPlusPlusLoss

CLASSES, SIZE = 40, 6
LABELS = torch.tensor([3, 3, 3, 17, 17, 39])
WITH_PROXIES = [
    MultiProxyAnchorLoss,
    ProxyNCAClassicLoss,
    ProxyNCAPlusPlusLoss,
    MeanFieldContrastiveLoss,
    MeanFieldClasswiseMultiSimilarityLoss,
]
OURS = [*WITH_PROXIES, ClasswiseMultiSimilarityLoss]
REDUCERS = [
    reducers.MeanReducer(),
    reducers.SumReducer(),
    reducers.DivisorReducer(),
    reducers.AvgNonZeroReducer(),
    reducers.ThresholdReducer(low=0.01, high=1e6),
    reducers.ClassWeightedReducer(torch.linspace(0.5, 1.5, CLASSES)),
    reducers.PerAnchorReducer(),
]


def made(kind: type[nn.Module], **named: object) -> nn.Module:
    torch.manual_seed(0)
    shape = () if kind is ClasswiseMultiSimilarityLoss else (CLASSES, SIZE)
    return kind(*shape, **named)


def embeddings() -> Tensor:
    return torch.randn(len(LABELS), SIZE, generator=torch.Generator().manual_seed(1)).requires_grad_()


@pytest.mark.parametrize("reducer", REDUCERS, ids=lambda reducer: type(reducer).__name__)
@pytest.mark.parametrize("kind", OURS)
def test_every_reducer_reduces_the_loss_dictionary(kind: type[nn.Module], reducer: nn.Module) -> None:
    leaf = embeddings()
    value = made(kind, reducer=reducer)(leaf, LABELS)
    value.backward()
    assert value.isfinite()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("kind", OURS)
def test_the_divisors_make_the_papers_mean(kind: type[nn.Module]) -> None:
    leaf = embeddings()
    torch.testing.assert_close(made(kind, reducer=reducers.DivisorReducer())(leaf, LABELS), made(kind)(leaf, LABELS))


@pytest.mark.parametrize("kind", OURS)
def test_a_class_weight_acts_on_the_images_of_its_class(kind: type[nn.Module]) -> None:
    weights = torch.zeros(CLASSES)
    weights[17] = 1
    leaf = embeddings()
    entries = made(kind, reducer=reducers.DoNothingReducer())(leaf, LABELS)
    expected = sum((entry["losses"] * (LABELS[entry["indices"]] == 17)).mean() for entry in entries.values())
    value = made(kind, reducer=reducers.ClassWeightedReducer(weights))(leaf, LABELS)
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("kind", OURS)
def test_an_elements_index_is_an_image_of_the_batch(kind: type[nn.Module]) -> None:
    for entry in made(kind, reducer=reducers.DoNothingReducer())(embeddings(), LABELS).values():
        assert len(entry["losses"]) == len(entry["indices"])
        assert entry["indices"].min() >= 0
        assert entry["indices"].max() < len(LABELS)


def test_an_element_of_a_class_in_the_batch_has_an_image_of_that_class() -> None:
    entries = made(MultiProxyAnchorLoss, reducer=reducers.DoNothingReducer())(embeddings(), LABELS)
    for entry in entries.values():
        for c in (3, 17, 39):
            assert LABELS[entry["indices"][c]] == c


@pytest.mark.parametrize("kind", OURS)
def test_an_embedding_regulariser_is_added(kind: type[nn.Module]) -> None:
    leaf = embeddings()
    plain, regularised = made(kind), made(kind, embedding_regularizer=LpRegularizer(), embedding_reg_weight=0.5)
    expected = plain(leaf, LABELS) + 0.5 * leaf.norm(dim=1).mean()
    torch.testing.assert_close(regularised(leaf, LABELS), expected)


@pytest.mark.parametrize("kind", WITH_PROXIES)
def test_any_weight_regulariser_is_added_over_the_proxies_as_rows(kind: type[nn.Module]) -> None:
    leaf = embeddings()
    plain = made(kind)
    regularised = made(kind, weight_regularizer=RegularFaceRegularizer(), weight_reg_weight=0.5)
    rows = next(plain.parameters()).detach().flatten(0, -2)
    expected = plain(leaf, LABELS) + 0.5 * RegularFaceRegularizer()(rows)
    torch.testing.assert_close(regularised(leaf, LABELS), expected)


@pytest.mark.parametrize("kind", OURS)
def test_labels_are_required_and_references_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="labels are required"):
        made(kind)(embeddings())
    with pytest.raises(ValueError, match="ref_emb is not supported"):
        made(kind)(embeddings(), LABELS, ref_emb=embeddings(), ref_labels=LABELS)


@pytest.mark.parametrize("kind", WITH_PROXIES)
def test_logits_are_one_per_class(kind: type[nn.Module]) -> None:
    assert made(kind).get_logits(embeddings()).shape == (len(LABELS), CLASSES)  # type: ignore[operator]


@pytest.mark.parametrize("kind", WITH_PROXIES)
def test_the_learned_weights_are_one_parameter_named_proxies(kind: type[nn.Module]) -> None:
    (name, parameter), *others = made(kind).named_parameters()
    assert (name, others) == ("proxies", [])
    assert parameter.shape == ((CLASSES, 10, SIZE) if kind is MultiProxyAnchorLoss else (CLASSES, SIZE))


@pytest.mark.parametrize(
    "kind", [MultiProxyAnchorLoss, ProxyNCAClassicLoss, ProxyNCAPlusPlusLoss, MeanFieldContrastiveLoss]
)
def test_a_miner_weighs_the_images(kind: type[nn.Module]) -> None:
    triplets = torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([3, 4])
    loss, leaf = made(kind), embeddings()
    assert not torch.isclose(loss(leaf, LABELS, triplets), loss(leaf, LABELS))
