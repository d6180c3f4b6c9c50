"""KPAC as a network: in the middle, one bank of filters is applied at five dilations, and what each
finds is weighted for every pixel (by size) and for every channel (by shape).

Son et al., Single image defocus deblurring using kernel-sharing parallel atrous convolutions, ICCV
2021. All pads with zeros; convolutions that halve the size pad at bottom and right alone.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SLOPE = 0.2
_WIDTH = 48
_DEEP = 96
_DILATIONS = (1, 2, 3, 4, 5)
_BLOCKS = 2


class Kpac(nn.Module):
    """N x `channels` x H x W in [0, 1] -> N x 3 x H x W, not clamped; H and W multiples of
    2^`levels`.

    `channels` is 3 for one picture; 9 for the left view, the right view and the combined picture in
    this order. The result is a correction of the last three channels. Layers see values in [-1, 1],
    to which [0, 1] is mapped and back here.

    Attributes:
        encoder: features at full size, a half, a quarter and (three levels) an eighth.
        blocks: at the smallest size, each on what the one before gives.
        merge: of the blocks' input with what each gives.
        levels: to each larger size, from full size on; the first gives the correction.
    """

    def __init__(self, levels: int = 3, channels: int = 3) -> None:
        """Make the layers; `levels` is 3 or 2, how many times the size is halved."""
        super().__init__()
        widths = (_WIDTH, _WIDTH, _DEEP, _DEEP)[: levels + 1]
        inputs = 6 if channels == 9 else 3
        self.encoder = nn.ModuleList(
            _make_stage(level, before, width)
            for level, (before, width) in enumerate(
                zip((inputs, *widths[:-1]), widths, strict=True)
            )
        )
        self.blocks = nn.ModuleList(KernelSharingBlock() for _ in range(_BLOCKS))
        self.merge = nn.Sequential(
            _make_conv((1 + _BLOCKS) * _DEEP, _DEEP), _make_conv(_DEEP, _DEEP)
        )
        self.levels = nn.ModuleList(
            SkipLevel(below, width, corrects=level == 0)
            for level, (width, below) in enumerate(itertools.pairwise(widths))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = 2 * x - 1
        picture = x[:, -3:]
        x = picture if x.shape[1] == 3 else x[:, :6]
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        features = [skips.pop()]
        for block in self.blocks:
            features.append(block(features[-1]))
        x = self.merge(torch.cat(features, 1))
        for level, skip in zip(reversed(self.levels), reversed(skips), strict=True):
            x = level(x, skip)
        return (x + picture + 1) / 2


class SkipLevel(nn.Module):
    """Features, N x D x H x W, and the encoder's of twice the size, N x C x 2H x 2W -> N x C x 2H x
    2W, or the correction, N x 3 x 2H x 2W.
    """

    def __init__(self, below: int, width: int, corrects: bool) -> None:
        """Make the layers, from `below` channels to `width`, or to the correction."""
        super().__init__()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(below, width, 4, stride=2, padding=1), nn.LeakyReLU(_SLOPE)
        )
        self.join = (
            nn.Conv2d(2 * width, 3, 5, padding=2) if corrects else _make_conv(2 * width, width)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        features: Tensor = self.join(torch.cat([self.up(x), skip], 1))
        return features


class KernelSharingBlock(nn.Module):
    """N x 96 x H x W -> N x 96 x H x W.

    Attributes:
        shared: one bank of filters for all dilations.
        scale_attention: the weight of each dilation at every pixel, in (0, 1).
        shape_attention: the weight of each filter for the whole picture, in (0, 1).
        merge: of the results of all dilations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(_DEEP, _WIDTH, 5, bias=False)
        self.scale_attention = nn.Sequential(
            _make_conv(_DEEP, 32, size=5, dilation=2),
            _make_conv(32, 32, size=5, dilation=2),
            _make_conv(32, 16, size=5, dilation=2),
            _make_conv(16, 16, size=5, dilation=2),
            nn.Conv2d(16, len(_DILATIONS), 5, padding=2),
        )
        self.shape_attention = nn.Sequential(
            _make_conv(_DEEP, _DEEP // 8, size=1), nn.Conv2d(_DEEP // 8, _WIDTH, 1)
        )
        self.merge = _make_conv(len(_DILATIONS) * _WIDTH, _DEEP)

    def forward(self, x: Tensor) -> Tensor:
        scales = torch.sigmoid(self.scale_attention(x))
        shape = torch.sigmoid(self.shape_attention(x.mean((-2, -1), keepdim=True)))
        weight = self.shared.weight
        results = [
            F.leaky_relu(F.conv2d(x, weight, padding=2 * dilation, dilation=dilation), _SLOPE)
            * scales[:, index : index + 1]
            * shape
            for index, dilation in enumerate(_DILATIONS)
        ]
        features: Tensor = self.merge(torch.cat(results, 1))
        return features


def _make_stage(level: int, inputs: int, width: int) -> nn.Sequential:
    """Return two convolutions of the encoder; the first halves the size, but not at level 0."""
    if not level:
        return nn.Sequential(_make_conv(inputs, width, size=5), _make_conv(width, width))
    halve = nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(inputs, width, 3, stride=2), nn.LeakyReLU(_SLOPE)
    )
    return nn.Sequential(halve, _make_conv(width, width))


def _make_conv(inputs: int, outputs: int, size: int = 3, dilation: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the size, and the rectification."""
    padding = size // 2 * dilation
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=padding, dilation=dilation), nn.LeakyReLU(_SLOPE)
    )
