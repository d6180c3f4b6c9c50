"""NAFNet as a network: a U-Net without activation functions.

Chen et al., Simple baselines for image restoration, ECCV 2022. The local form of its statistics is
that of Chu et al., Improving image restoration by revisiting global information aggregation, ECCV
2022 (TLC).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.blocks import ChannelNorm

_ENCODER_COUNTS = (1, 1, 1, 28)
_WINDOW = 384
"""Side in pixels at full size of what local statistics are of: 1.5 times the training crops."""
_NORM_EPSILON = 1e-6


class NafNet(nn.Module):
    """N x 3 x H x W in [0, 1] -> N x 3 x H x W, a correction of the input, not clamped; H and W
    multiples of 16.

    Attributes:
        encoder: blocks at full size, a half, a quarter and an eighth.
        down: from each of these sizes to the next smaller one.
        middle: the block at a sixteenth.
        up: to each of the four sizes from the next smaller one.
        decoder: a block at each of the four sizes.
    """

    def __init__(self, width: int = 64, local_statistics: bool = False) -> None:
        """Make the network.

        Args:
            width: features at full size; twice as many at each smaller size.
            local_statistics: whether channels are weighted by means around each pixel rather than
                of the whole picture.
        """
        super().__init__()
        levels = range(len(_ENCODER_COUNTS))
        widths = [width << level for level in levels]
        deepest = width << len(levels)

        def make_block(level: int, width: int) -> NafBlock:
            return NafBlock(width, _WINDOW >> level if local_statistics else None)

        self.embed = nn.Conv2d(3, width, 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.Sequential(*(make_block(level, widths[level]) for _ in range(count)))
            for level, count in enumerate(_ENCODER_COUNTS)
        )
        self.down = nn.ModuleList(nn.Conv2d(width, 2 * width, 2, stride=2) for width in widths)
        self.middle = make_block(len(levels), deepest)
        self.up = nn.ModuleList(nn.Conv2d(2 * width, 4 * width, 1, bias=False) for width in widths)
        self.decoder = nn.ModuleList(make_block(level, widths[level]) for level in levels)
        self.out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        features = self.embed(x)
        skips: list[Tensor] = []
        for encoder, down in zip(self.encoder, self.down, strict=True):
            features = encoder(features)
            skips.append(features)
            features = down(features)
        features = self.middle(features)
        for up, decoder in reversed(list(zip(self.up, self.decoder, strict=True))):
            features = decoder(F.pixel_shuffle(up(features), 2) + skips.pop())
        picture: Tensor = self.out(features) + x
        return picture


class NafBlock(nn.Module):
    """N x C x H x W -> N x C x H x W.

    Attributes:
        mixer_*: the first half: a local filter, a gate, and weights of channels by their means.
        feed_*: the second half: a gate at each pixel.
        mixer_scale, feed_scale: by which each half is multiplied before it is added to its input.
    """

    def __init__(self, width: int, window: int | None) -> None:
        """Make the block; `window` is the side of what means are of, None for the whole picture."""
        super().__init__()
        self.window = window
        self.mixer_norm = ChannelNorm(width, _NORM_EPSILON)
        self.mixer_expand = nn.Conv2d(width, 2 * width, 1)
        self.mixer_local = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.mixer_weigh = nn.Conv2d(width, width, 1)
        self.mixer_project = nn.Conv2d(width, width, 1)
        self.mixer_scale = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.feed_norm = ChannelNorm(width, _NORM_EPSILON)
        self.feed_expand = nn.Conv2d(width, 2 * width, 1)
        self.feed_project = nn.Conv2d(width, width, 1)
        self.feed_scale = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        mixture = multiply_halves(self.mixer_local(self.mixer_expand(self.mixer_norm(x))))
        mixture = mixture * self.mixer_weigh(self.average(mixture))
        x = x + self.mixer_scale * self.mixer_project(mixture)
        feed = multiply_halves(self.feed_expand(self.feed_norm(x)))
        result: Tensor = x + self.feed_scale * self.feed_project(feed)
        return result

    def average(self, x: Tensor) -> Tensor:
        """Return the means of x by which channels are weighted, N x C x 1 x 1 or x H x W."""
        height, width = x.shape[-2:]
        if self.window is None or self.window >= max(height, width):
            return x.mean((-2, -1), keepdim=True)
        return average_locally(x, self.window)


def multiply_halves(x: Tensor) -> Tensor:
    """Return the first half of the channels times the second."""
    first, second = x.chunk(2, 1)
    return first * second


def average_locally(x: Tensor, window: int) -> Tensor:
    """Return the mean of x over a square window around each pixel, N x C x H x W.

    The window is as large as the picture where that is smaller. At borders it is moved inside, so
    that means there are those of the nearest whole window. Sums are in float64.
    """
    means = x.double()
    for axis in (-2, -1):
        means = _average_along(means, axis, window)
    return means.to(x.dtype)


def _average_along(x: Tensor, axis: int, window: int) -> Tensor:
    size = x.shape[axis]
    window = min(window, size)
    sums = F.pad(x.cumsum(axis), (1, 0) if axis == -1 else (0, 0, 1, 0))
    count = size - window + 1
    means = (sums.narrow(axis, window, count) - sums.narrow(axis, 0, count)) / window
    before = (size - count) // 2
    positions = (torch.arange(size, device=x.device) - before).clamp(0, count - 1)
    return means.index_select(axis, positions)
