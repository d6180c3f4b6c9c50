"""Restormer as a network: a transformer whose attention is between channels.

Zamir et al., Restormer: efficient transformer for high-resolution image restoration, CVPR 2022.
No convolution has a bias; all pad with zeros.
"""

from __future__ import annotations

import torch
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

WIDTH = 48
_BLOCK_COUNTS = (4, 6, 6, 8)
_HEADS = (1, 2, 4, 8)
_REFINEMENTS = 4
_EXPANSION = 2.66
NORM_EPSILON = 1e-5
SMALLEST_LENGTH = 1e-12
"""By which a channel's length is replaced where it is smaller, so that nothing divides by zero."""


class Restormer(PixelUnet):
    """N x `channels` x H x W in [0, 1] -> N x 3 x H x W, not clamped; H and W multiples of 8.

    `channels` is 3 for one picture, to which a correction is added; 6 for the left and right views
    in this order, of which the picture is made from the embedding.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__(channels, WIDTH, _BLOCK_COUNTS, _make_block)
        self.refinement = nn.Sequential(*(_make_block(0, 2 * WIDTH) for _ in range(_REFINEMENTS)))
        self.skip = make_pointwise(WIDTH, 2 * WIDTH) if channels == 6 else None
        self.out = make_conv3x3(2 * WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        embedding = self.embed(x)
        features = self.refinement(self.transform(embedding))
        picture: Tensor
        if self.skip is None:
            picture = self.out(features) + x
        else:
            picture = self.out(features + self.skip(embedding))
        return picture


class TransformerBlock(nn.Module):
    """N x C x H x W -> N x C x H x W: attention, then the feed-forward layer, each added to its
    input.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = ChannelNorm(width, NORM_EPSILON)
        self.attention = ChannelAttention(width, heads)
        self.feed_norm = ChannelNorm(width, NORM_EPSILON)
        self.feed = GatedFeed(width, _EXPANSION)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        result: Tensor = x + self.feed(self.feed_norm(x))
        return result


class ChannelAttention(nn.Module):
    """N x C x H x W -> N x C x H x W; channels attend to each other by their correlation over the
    whole picture, within each of `heads` groups (the paper's MDTA, equation 1).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.expand = make_pointwise(width, 3 * width)
        self.local = make_depthwise(3 * width, 3)
        self.project = make_pointwise(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (self._split_heads(part) for part in self._expand(x).chunk(3, 1))
        query = F.normalize(query, dim=-1, eps=SMALLEST_LENGTH)
        key = F.normalize(key, dim=-1, eps=SMALLEST_LENGTH)
        weights = torch.softmax(query @ key.transpose(-2, -1) * self.temperature, dim=-1)
        projection: Tensor = self.project((weights @ value).reshape(x.shape))
        return projection

    def _expand(self, x: Tensor) -> Tensor:
        expansion: Tensor = self.local(self.expand(x))
        return expansion

    def _split_heads(self, x: Tensor) -> Tensor:
        """Return N x heads x C / heads x HW."""
        return x.reshape(len(x), len(self.temperature), -1, x.shape[-2] * x.shape[-1])


def _make_block(level: int, width: int) -> TransformerBlock:
    return TransformerBlock(width, _HEADS[level])
