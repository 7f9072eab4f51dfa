"""Multi Proxy Anchor loss: Proxy-Anchor with several proxies per class, so that a class may have several modes.

    S(x, c) = sum over k of softmax_k(x . w_ck / gamma) x . w_ck                                           (1)
    L = 1/|C+| sum over c in C+ of log(1 + sum over x in X_c+ of e^{-alpha (S(x, c) - margin)})            (6)
      + 1/|C|  sum over c in C  of log(1 + sum over x in X_c- of e^{ alpha (S(x, c) + margin)}) + tau R    (7)

x and w_ck are L2-normalised; C are all classes, C+ those in the batch, X_c+ the batch's images of class c and X_c- the
others; R is `losses.proxy_spread`. arXiv 2110.03997. Its equation (3) is undefined for one proxy per class, which the
paper evaluates: R is 0 there. It states neither alpha (32 is Proxy-Anchor's) nor the proxies' initialisation: here
Proxy-Anchor's, so that one proxy per class and tau 0 is that loss exactly.
"""

from typing import Any

import torch
from optuna.distributions import FloatDistribution, IntDistribution
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.losses.mixins import WeightRegularizerMixin
from pytorch_metric_learning.reducers import DivisorReducer
from pytorch_metric_learning.utils import common_functions as c_f
from pytorch_metric_learning.utils import loss_and_miner_utils as lmu
from torch import Tensor, nn

from losses.full_precision import FullPrecision
from losses.proxy_spread import ProxySpreadRegularizer
from losses.spec import LOSS_LR, LOSS_LR_RANGE, LossSpec


class MultiProxyAnchorLoss(FullPrecision, WeightRegularizerMixin, BaseMetricLossFunction):
    """Multi Proxy Anchor, equation (6); pass `ProxySpreadRegularizer` as `weight_regularizer` for equation (7).

    Sub-losses `pos_loss` and `neg_loss`, one element per class. `proxies` is `(num_classes, proxies_per_class, dim)`
    and needs an optimizer.
    """

    def __init__(
        self,
        num_classes: int,
        embedding_size: int,
        *,
        proxies_per_class: int = 10,
        margin: float = 0.1,
        alpha: float = 32,
        gamma: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        c_f.assert_distance_type(self, is_inverted=True)
        proxies = torch.empty(num_classes * proxies_per_class, embedding_size)
        self.weight_init_func(proxies)
        self.proxies = nn.Parameter(proxies.view(num_classes, proxies_per_class, embedding_size))
        self.num_classes, self.proxies_per_class = num_classes, proxies_per_class
        self.margin, self.alpha, self.gamma = margin, alpha, gamma
        self.add_to_recordable_attributes(
            list_of_names=["num_classes", "proxies_per_class", "margin", "alpha", "gamma"], is_stat=False
        )

    def cast_types(self, dtype: torch.dtype, device: torch.device) -> None:
        """Bring the proxies to the embeddings' type and device, as PML's losses do."""
        self.proxies.data = c_f.to_device(self.proxies.data, device=device, dtype=dtype)

    def get_logits(self, embeddings: Tensor) -> Tensor:
        """Give S `(batch, num_classes)`, equation (1)."""
        to_proxies: Tensor = self.distance(embeddings, self.proxies.flatten(0, 1))
        similarities = to_proxies.view(-1, self.num_classes, self.proxies_per_class)
        return ((similarities / self.gamma).softmax(dim=2) * similarities).sum(dim=2)

    def compute_loss(
        self, embeddings: Tensor, labels: Tensor, indices_tuple: Any, ref_emb: Tensor, ref_labels: Tensor
    ) -> dict[str, Any]:
        """Give PML's loss dictionary; a miner weighs the images as it does in PML's Proxy-Anchor."""
        c_f.labels_required(labels)
        c_f.ref_not_supported(embeddings, labels, ref_emb, ref_labels)
        self.cast_types(embeddings.dtype, embeddings.device)
        weights = lmu.convert_to_weights(indices_tuple, labels, dtype=embeddings.dtype).unsqueeze(1) - 1
        similarities = self.get_logits(embeddings)
        own = nn.functional.one_hot(labels, self.num_classes).bool()  # (batch, num_classes)
        pull = lmu.logsumexp(self.alpha * (self.margin - similarities) + weights, keep_mask=own, add_one=True, dim=0)
        push = lmu.logsumexp(self.alpha * (similarities + self.margin) + weights, keep_mask=~own, add_one=True, dim=0)
        classes = c_f.torch_arange_from_size(self.proxies)
        loss_dict = {
            "pos_loss": {
                "losses": pull.squeeze(0),
                "indices": classes,
                "reduction_type": "element",
                "divisor": int(own.any(dim=0).sum()),
            },
            "neg_loss": {
                "losses": push.squeeze(0),
                "indices": classes,
                "reduction_type": "element",
                "divisor": self.num_classes,
            },
        }
        self.add_weight_regularization_to_loss_dict(loss_dict, self.proxies.flatten(0, 1))
        return loss_dict

    def get_default_distance(self) -> CosineSimilarity:
        """Compare by cosine, as the paper does."""
        return CosineSimilarity()

    def get_default_reducer(self) -> DivisorReducer:
        """Divide the pull by |C+| and the push by |C|."""
        return DivisorReducer()

    def get_default_weight_init_func(self) -> c_f.TorchInitWrapper:
        """Initialise like Proxy-Anchor, over all proxies."""
        return c_f.TorchInitWrapper(nn.init.kaiming_normal_, mode="fan_out")

    def _sub_loss_names(self) -> list[str]:
        return ["pos_loss", "neg_loss"]


def _build(
    num_classes: int,
    embedding_size: int,
    *,
    proxies_per_class: int,
    margin: float,
    alpha: float,
    gamma: float,
    tau: float,
) -> nn.Module:
    return MultiProxyAnchorLoss(
        num_classes,
        embedding_size,
        proxies_per_class=proxies_per_class,
        margin=margin,
        alpha=alpha,
        gamma=gamma,
        weight_regularizer=ProxySpreadRegularizer(proxies_per_class),
        weight_reg_weight=tau,
    )


_PAPER = {"margin": 0.1, "alpha": 32.0, "gamma": 0.1, "tau": 0.2}

SPEC = LossSpec(
    name="multi_proxy_anchor",
    title="MPA",
    source="arXiv 2110.03997, eqs. 1, 6, 7",
    space={
        LOSS_LR: LOSS_LR_RANGE,
        "proxies_per_class": IntDistribution(1, 16),
        "margin": FloatDistribution(0, 1),
        "alpha": FloatDistribution(0.01, 100),
        "gamma": FloatDistribution(0.01, 10, log=True),
        "tau": FloatDistribution(0, 1),
    },
    build=_build,
    batch="classes",
    published={
        "cub200": {LOSS_LR: 1e-2, "proxies_per_class": 10, **_PAPER},
        "cars196": {LOSS_LR: 1e-2, "proxies_per_class": 10, **_PAPER},
        "sop": {LOSS_LR: 5e-2, "proxies_per_class": 2, **_PAPER},
    },
    note="Ranges are ours, around the paper's values; the paper does not state alpha, so 32 is Proxy-Anchor's. The "
    "published values are the paper's under AdamW, not the outcome of a search.",
)
