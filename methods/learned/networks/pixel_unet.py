"""What Restormer and LaKDNet share: an encoder and decoder of four sizes that changes size by
shuffling pixels, and a gated feed-forward layer.

Zamir et al., Restormer: efficient transformer for high-resolution image restoration, CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BlockMaker = Callable[[int, int], nn.Module]
"""Level (0 for full size, 3 for an eighth) and width -> a block that keeps size and width."""


class GatedFeed(nn.Module):
    """Feed-forward layer: N x C x H x W -> N x C x H x W.

    Two halves of a wider layer, each with a 3 x 3 filter of every channel; the GELU of one gates
    the other.
    """

    def __init__(self, width: int, expansion: float) -> None:
        """Make the layer, each half `expansion` times as wide as its input, rounded down."""
        super().__init__()
        hidden = int(expansion * width)
        self.expand = make_pointwise(width, 2 * hidden)
        self.local = make_depthwise(2 * hidden, 3)
        self.project = make_pointwise(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.local(self.expand(x)).chunk(2, 1)
        projection: Tensor = self.project(F.gelu(gate) * value)
        return projection


class PixelUnet(nn.Module):
    """Embedding, encoder and decoder: N x C x H x W -> features; H and W are multiples of 8.

    Attributes:
        embed: the picture's first features.
        encoder: blocks at full size, a half and a quarter.
        down: from each of these sizes to the next smaller one.
        latent: blocks at an eighth.
        up: to each of the three sizes from the next smaller one.
        reduce: of the features from below joined with the encoder's; at full size both are kept.
        decoder: blocks at full size, a half and a quarter.
    """

    def __init__(
        self, channels: int, width: int, block_counts: Sequence[int], make_block: BlockMaker
    ) -> None:
        """Make the layers.

        Args:
            channels: of the input.
            width: features at full size; twice as many at each smaller size.
            block_counts: at full size, a half, a quarter and an eighth.
            make_block: makes the blocks.
        """
        super().__init__()
        widths = [width << level for level in range(4)]

        def stack(level: int, width: int) -> nn.Sequential:
            return nn.Sequential(*(make_block(level, width) for _ in range(block_counts[level])))

        self.embed = make_conv3x3(channels, width)
        self.encoder = nn.ModuleList(stack(level, widths[level]) for level in range(3))
        self.down = nn.ModuleList(make_conv3x3(width, width // 2) for width in widths[:3])
        self.latent = stack(3, widths[3])
        self.up = nn.ModuleList(make_conv3x3(width, 2 * width) for width in widths[1:])
        self.reduce = nn.ModuleList(
            make_pointwise(2 * width, width) if level else nn.Identity()
            for level, width in enumerate(widths[:3])
        )
        decoder_widths = (2 * width, *widths[1:3])
        self.decoder = nn.ModuleList(
            stack(level, width) for level, width in enumerate(decoder_widths)
        )

    def transform(self, embedding: Tensor) -> Tensor:
        """Return the decoder's features, N x 2W x H x W, from the embedding, N x W x H x W."""
        x = embedding
        skips: list[Tensor] = []
        for encoder, down in zip(self.encoder, self.down, strict=True):
            x = encoder(x)
            skips.append(x)
            x = F.pixel_unshuffle(down(x), 2)
        x = self.latent(x)
        for level in (2, 1, 0):
            x = self._decode(level, x, skips.pop())
        return x

    def _decode(self, level: int, x: Tensor, skip: Tensor) -> Tensor:
        """Return the decoder's features of a level from those of the next smaller size."""
        large = F.pixel_shuffle(self.up[level](x), 2)
        features: Tensor = self.decoder[level](self.reduce[level](torch.cat([large, skip], 1)))
        return features


def make_conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution that keeps the size, without a bias."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


def make_pointwise(inputs: int, outputs: int, bias: bool = False) -> nn.Conv2d:
    """Return a 1 x 1 convolution."""
    return nn.Conv2d(inputs, outputs, 1, bias=bias)


def make_depthwise(width: int, size: int) -> nn.Conv2d:
    """Return a filter of odd size for every channel that keeps the picture's size, without a
    bias.
    """
    return nn.Conv2d(width, width, size, padding=size // 2, groups=width, bias=False)
