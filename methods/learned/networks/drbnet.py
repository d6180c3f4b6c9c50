"""DRBNet as a network: from an eighth of the size to full size, each estimate of the picture is the
one before it, corrected by filters of 7 x 7 that differ from pixel to pixel and by a residual.

Ruan et al., Learning to deblur using light field generated and real defocus images, CVPR 2022.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.leaky_unet import (
    Encoder,
    ResidualStack,
    StepUp,
    make_leaky_conv,
)

WIDTHS = (32, 64, 128, 256)
KERNEL = 7
_PICTURE_WIDTHS = ((64, 64), (64, 64), (64, 128), (64, 128))
_KERNEL_WIDTHS = ((64, 64), (64, 64), (128, 128), (256, 128))
_RESIDUAL_WIDTHS = ((64, 64), (64, 64), (128, 64), (256, 64))
"""Of the hidden layers of `Correction`, from full size to an eighth."""


class DrbNet(nn.Module):
    """N x `channels` x H x W in [0, 1] -> N x 3 x H x W; H and W multiples of 8.

    `channels` is 3 for one picture; 9 for the right view, the left view and the combined picture in
    this order. Layers see values in [-1, 1], to which [0, 1] is mapped and back here. The result is
    clipped to [0, 1], but not in training, where clipped pixels would teach nothing.

    Attributes:
        encoder: features of the views, or of the picture if there are none.
        middle: at an eighth of the size.
        up: to full size, a half and a quarter from the next smaller one.
        corrections: of the estimate at full size, a half, a quarter and an eighth.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        deep = WIDTHS[-1]
        self.encoder = Encoder(6 if channels == 9 else 3, WIDTHS)
        self.middle = nn.Sequential(
            make_leaky_conv(deep, deep),
            ResidualStack(deep, rectifies=False),
            ResidualStack(deep, rectifies=False),
            make_leaky_conv(deep, deep),
        )
        self.up = nn.ModuleList(
            StepUp(below, width, rectifies=False) for width, below in itertools.pairwise(WIDTHS)
        )
        self.corrections = nn.ModuleList(Correction(level) for level in range(len(WIDTHS)))

    def forward(self, x: Tensor) -> Tensor:
        x = 2 * x - 1
        picture = x[:, -3:]
        skips = self.encoder(picture if x.shape[1] == 3 else x[:, :6])
        features = self.middle(skips.pop())
        estimate = self.corrections[-1](F.avg_pool2d(picture, 8), features)
        for level in (2, 1, 0):
            features = self.up[level](features, skips.pop())
            estimate = F.interpolate(estimate, scale_factor=2, mode="nearest")
            estimate = self.corrections[level](estimate, features)
        result: Tensor = (estimate + 1) / 2
        return result if self.training else result.clamp(0, 1)


class Correction(nn.Module):
    """An estimate, N x 3 x H x W, and features, N x C x H x W -> a better estimate.

    Attributes:
        picture_features: of the estimate.
        kernels: a filter of 7 x 7 for every pixel.
        residual: a colour for every pixel.
    """

    def __init__(self, level: int) -> None:
        """Make the layers for a size: 0 is full size, 3 an eighth."""
        super().__init__()
        width = WIDTHS[level]
        first, second = _PICTURE_WIDTHS[level]
        self.picture_features = nn.Sequential(
            make_leaky_conv(3, first),
            make_leaky_conv(first, second),
            make_leaky_conv(second, width),
        )
        first, second = _KERNEL_WIDTHS[level]
        self.kernels = nn.Sequential(
            make_leaky_conv(2 * width, first),
            make_leaky_conv(first, second),
            nn.Conv2d(second, KERNEL**2, 1),
        )
        first, second = _RESIDUAL_WIDTHS[level]
        self.residual = nn.Sequential(
            make_leaky_conv(2 * width, first),
            make_leaky_conv(first, second),
            make_leaky_conv(second, 3, size=1),
        )

    def forward(self, estimate: Tensor, features: Tensor) -> Tensor:
        features = torch.cat([features, self.picture_features(estimate)], 1)
        correction = filter_by_pixel(estimate, self.kernels(features))
        result: Tensor = estimate + correction + self.residual(features)
        return result


def filter_by_pixel(x: Tensor, kernels: Tensor) -> Tensor:
    """Return pictures filtered by a kernel for every pixel, the same for all channels; edges are
    repeated.

    Args:
        x: N x C x H x W.
        kernels: N x K^2 x H x W with K odd, row after row.
    """
    height, width = x.shape[-2:]
    size = round(kernels.shape[1] ** 0.5)
    padding = F.pad(x, [size // 2] * 4, mode="replicate")
    total = torch.zeros_like(x)
    for index in range(size * size):
        row, column = divmod(index, size)
        neighbours = padding[..., row : row + height, column : column + width]
        total = total + kernels[:, index : index + 1] * neighbours
    return total
