"""LaKDNet as a network: large depthwise convolutions in the place of attention.

Ruan et al., Revisiting image deblurring with an efficient ConvNet, arXiv 2302.01902, 2023.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.blocks import ChannelNorm
from benchmark.methods.learned.networks.pixel_unet import (
    GatedFeed,
    PixelUnet,
    make_conv3x3,
    make_depthwise,
    make_pointwise,
)

Size = Literal["s", "l"]

_WIDTHS = MappingProxyType({"s": 32, "l": 48})
_BLOCK_COUNTS = (8, 12, 12, 16)
_KERNEL = 9
_EXPANSION = 2.3
_NORM_EPSILON = 1e-5


class LaKDNet(PixelUnet):
    """N x `channels` x H x W in [0, 1] -> N x 3 x H x W, a correction of the last three channels;
    H and W multiples of 8.

    `channels` is 3 for one picture; 9 for the left view, the right view and the combined picture in
    this order. Results are clipped to [0, 1], but not in training, where clipped pixels would teach
    nothing.
    """

    def __init__(self, size: Size = "s", channels: int = 3) -> None:
        width = _WIDTHS[size]
        super().__init__(channels, width, _BLOCK_COUNTS, lambda _, width: LargeKernelBlock(width))
        self.out = make_conv3x3(2 * width, 3)

    def forward(self, x: Tensor) -> Tensor:
        picture: Tensor = self.out(self.transform(self.embed(x))) + x[:, -3:]
        return picture if self.training else picture.clamp(0, 1)


class LargeKernelBlock(nn.Module):
    """N x C x H x W -> N x C x H x W; a correction of the block's input, not of the mixer's sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mixer_norm = ChannelNorm(width, _NORM_EPSILON)
        self.mixer = Mixer(width)
        self.feed_norm = ChannelNorm(width, _NORM_EPSILON)
        self.feed = GatedFeed(width, _EXPANSION)

    def forward(self, x: Tensor) -> Tensor:
        mixture = x + self.mixer(self.mixer_norm(x))
        result: Tensor = x + self.feed(self.feed_norm(mixture))
        return result


class Mixer(nn.Module):
    """N x C x H x W -> N x C x H x W: two filters of every channel and two layers of every pixel by
    turns; the mixer's input is added after each.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            layer
            for _ in range(2)
            for layer in (make_depthwise(width, _KERNEL), make_pointwise(width, width, bias=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        mixture = x
        for layer in self.layers:
            mixture = F.gelu(layer(mixture)) + x
        return mixture
