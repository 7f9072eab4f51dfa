"""BN-Inception, the trunk of the Reality Check: a table and one loop, with the published file's flat key names.

No maintained package carries it. Architecture: Ioffe and Szegedy 2015 (arXiv 1502.03167) as converted from Caffe; every
convolution has a bias and is followed by batch norm and ReLU.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

from mlrc.harness.trunks.trunk import InputConvention, Trunk


class _Block(NamedTuple):
    """Output channels of an inception block's convolutions; 0 where there is none."""

    name: str
    one: int
    three_reduce: int
    three: int
    double_reduce: int
    double: int
    projection: int

    @property
    def halves(self) -> bool:
        """Blocks without a 1x1 branch pass the pooled input through and halve height and width."""
        return self.one == 0


BLOCKS = (
    _Block("3a", 64, 64, 64, 64, 96, 32),
    _Block("3b", 64, 64, 96, 64, 96, 64),
    _Block("3c", 0, 128, 160, 64, 96, 0),
    _Block("4a", 224, 64, 96, 96, 128, 128),
    _Block("4b", 192, 96, 128, 96, 128, 128),
    _Block("4c", 160, 128, 160, 128, 160, 128),
    _Block("4d", 96, 128, 192, 160, 192, 128),
    _Block("4e", 0, 128, 192, 192, 256, 0),
    _Block("5a", 352, 192, 320, 160, 224, 128),
    _Block("5b", 352, 192, 320, 192, 224, 128),
)


class BNInception(nn.Module):
    """Images `(n, 3, height, width)` to feature maps `(n, 1024, rows, columns)`, 7 x 7 for 224 and 227 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self._add("conv1_7x7_s2", 3, 64, kernel=7, stride=2)
        self._add("conv2_3x3_reduce", 64, 64)
        self._add("conv2_3x3", 64, 192, kernel=3)
        channels = 192
        for block in BLOCKS:
            name, stride = f"inception_{block.name}", 2 if block.halves else 1
            if not block.halves:
                self._add(f"{name}_1x1", channels, block.one)
            self._add(f"{name}_3x3_reduce", channels, block.three_reduce)
            self._add(f"{name}_3x3", block.three_reduce, block.three, kernel=3, stride=stride)
            self._add(f"{name}_double_3x3_reduce", channels, block.double_reduce)
            self._add(f"{name}_double_3x3_1", block.double_reduce, block.double, kernel=3)
            self._add(f"{name}_double_3x3_2", block.double, block.double, kernel=3, stride=stride)
            if not block.halves:
                self._add(f"{name}_pool_proj", channels, block.projection)
            channels = block.one + block.three + block.double + (block.projection or channels)

    def _add(self, name: str, before: int, after: int, *, kernel: int = 1, stride: int = 1) -> None:
        self.add_module(name, nn.Conv2d(before, after, kernel, stride, padding=kernel // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(after))

    def _unit(self, name: str, maps: Tensor) -> Tensor:
        return relu(self.get_submodule(f"{name}_bn")(self.get_submodule(name)(maps)), inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        """Give the maps of block 5b."""
        maps = max_pool2d(self._unit("conv1_7x7_s2", images), 3, 2, ceil_mode=True)
        maps = self._unit("conv2_3x3", self._unit("conv2_3x3_reduce", maps))
        maps = max_pool2d(maps, 3, 2, ceil_mode=True)
        for block in BLOCKS:
            maps = self._inception(block, maps)
        return maps

    def _inception(self, block: _Block, maps: Tensor) -> Tensor:
        name = f"inception_{block.name}"
        three = self._unit(f"{name}_3x3", self._unit(f"{name}_3x3_reduce", maps))
        double = self._unit(f"{name}_double_3x3_1", self._unit(f"{name}_double_3x3_reduce", maps))
        double = self._unit(f"{name}_double_3x3_2", double)
        if block.halves:
            return torch.cat([three, double, max_pool2d(maps, 3, 2, ceil_mode=True)], dim=1)
        pool = max_pool2d if block.name == "5b" else avg_pool2d
        pooled = self._unit(f"{name}_pool_proj", pool(maps, 3, 1, padding=1))
        return torch.cat([self._unit(f"{name}_1x1", maps), three, double, pooled], dim=1)


def build(channels: int) -> nn.Module:
    """Build the trunk with PyTorch's random weights; raises `ValueError` unless `channels` is 3."""
    if channels != 3:
        raise ValueError(f"The trunk bn_inception takes 3 channels, but the protocol has {channels}; set channels=BGR.")
    return BNInception()


TRUNK = Trunk(
    name="bn_inception",
    title="BN-Inception",
    source="Ioffe and Szegedy, ICML 2015 (arXiv 1502.03167); bn_inception-52deb4733.pth, sha256 "
    "52deb473314542a5c2f87e9e6f26f4ca42fe863d15f986414dbae8c2dfdd2353, published with "
    "github.com/Cadene/pretrained-models.pytorch",
    build=build,
    features=1024,
    # Caffe's convention, in which the published weights were trained
    convention=InputConvention(channels="BGR", maximum=255.0, mean=(104.0, 117.0, 128.0), std=(1.0, 1.0, 1.0)),
    classifier=("last_linear.",),
)
