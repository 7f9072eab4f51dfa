"""torchvision's classification networks without pooling and classifier, under the keys of their published weights."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

from torch import nn
from torchvision import models

from mlrc.harness.trunks.trunk import IMAGENET, InputConvention, Trunk


def _build(name: str, kept: Callable[[str], bool], options: Mapping[str, bool], channels: int) -> nn.Module:
    if channels != 3:
        raise ValueError(f"The trunk {name} takes 3 channels, but the protocol has {channels}; set channels=RGB.")
    network = models.get_model(name, weights=None, **options)
    return nn.Sequential(OrderedDict((child, module) for child, module in network.named_children() if kept(child)))


def _trunk(
    name: str,
    title: str,
    paper: str,
    *,
    features: int,
    classifier: tuple[str, ...],
    convention: InputConvention = IMAGENET,
    conventions: Mapping[str, InputConvention] | None = None,
    **options: bool,
) -> Trunk:
    dropped = {"avgpool", "dropout", *(prefix.rstrip(".") for prefix in classifier)}
    return Trunk(
        name=name,
        title=title,
        source=f"{paper}; weights published with torchvision",
        build=partial(_build, name, lambda child: child not in dropped, options),
        features=features,
        convention=convention,
        conventions=conventions or {},
        classifier=classifier,
        published={weights.name: weights.url for weights in models.get_model_weights(name)},
    )


RESNET18 = _trunk("resnet18", "ResNet-18", "He et al., CVPR 2016 (arXiv 1512.03385)", features=512, classifier=("fc.",))
RESNET50 = _trunk(
    "resnet50", "ResNet-50", "He et al., CVPR 2016 (arXiv 1512.03385)", features=2048, classifier=("fc.",)
)
SQUEEZENET1_1 = _trunk(
    "squeezenet1_1",
    "SqueezeNet 1.1",
    "Iandola et al. 2016 (arXiv 1602.07360)",
    features=512,
    classifier=("classifier.",),
    conventions={
        # squeezenet1_1_features.pth: the authors' own weights, trained in Caffe's convention
        "d54f741d3dead01db17c517e5ef23961f0e5715b91a146af273753c24bb52d5e": InputConvention(
            channels="BGR", maximum=255.0, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0)
        ),
    },
)
MOBILENET_V2 = _trunk(
    "mobilenet_v2",
    "MobileNetV2",
    "Sandler et al., CVPR 2018 (arXiv 1801.04381)",
    features=1280,
    classifier=("classifier.",),
    conventions={
        # mobilenet_v2_1001.pth: the authors' TensorFlow weights, input from -1 to 1
        "aaa5b3832d811ebe6d52ac99e869b9a5d301bf6cb23ca3f314e4bb7b83c12b0a": InputConvention(
            channels="RGB", maximum=1.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
        ),
    },
)
GOOGLENET = _trunk(
    "googlenet",
    "GoogLeNet",
    "Szegedy et al., CVPR 2015 (arXiv 1409.4842)",
    features=1024,
    classifier=("fc.", "aux1.", "aux2."),
    # torchvision turns its ImageNet normalisation back into this inside the network (transform_input)
    convention=InputConvention(channels="RGB", maximum=1.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    aux_logits=False,
    init_weights=True,
)
