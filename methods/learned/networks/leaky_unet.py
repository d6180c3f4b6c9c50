"""What IFAN and DRBNet share: convolutions with leaky rectification, an encoder of four sizes,
residual blocks, and steps back to larger sizes.

Lee et al., Iterative filter adaptive network, CVPR 2021; Ruan et al., Learning to deblur using
light field generated and real defocus images, CVPR 2022. All pads with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1
"""Of negative values."""


class Encoder(nn.ModuleList):
    """N x `channels` x H x W -> features at full size, a half, a quarter and an eighth; H and W are
    multiples of 8.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        """Make the layers, so wide from full size to an eighth."""
        inputs = (channels, *widths[:-1])
        super().__init__(
            nn.Sequential(
                make_leaky_conv(before, width, stride=2 if level else 1),
                make_leaky_conv(width, width),
                make_leaky_conv(width, width),
            )
            for level, (before, width) in enumerate(zip(inputs, widths, strict=True))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        for stage in self:
            x = stage(x)
            features.append(x)
        return features


class ResidualStack(nn.Module):
    """Residual blocks in a row, N x C x H x W -> N x C x H x W.

    Attributes:
        blocks: the branch of each, added to its input.
        rectifies: whether each sum is rectified; the stack's input is then added as well if there
            are several blocks.
    """

    def __init__(self, width: int, count: int = 1, rectifies: bool = True) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(*make_leaky_conv(width, width), nn.Conv2d(width, width, 3, padding=1))
            for _ in range(count)
        )
        self.rectifies = rectifies

    def forward(self, x: Tensor) -> Tensor:
        features = x
        for block in self.blocks:
            features = features + block(features)
            if self.rectifies:
                features = F.leaky_relu(features, SLOPE)
        return features + x if self.rectifies and len(self.blocks) > 1 else features


class StepUp(nn.Module):
    """Features, N x C x H x W, and the encoder's of twice the size, N x D x 2H x 2W -> N x D x 2H x
    2W.
    """

    def __init__(self, inputs: int, outputs: int, rectifies: bool) -> None:
        """Make the layers; see `ResidualStack` for `rectifies`."""
        super().__init__()
        self.enlarge = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)
        )
        self.refine = nn.Sequential(
            *(ResidualStack(outputs, rectifies=rectifies) for _ in range(2))
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        features: Tensor = self.refine(self.enlarge(x) + skip)
        return features


def make_leaky_conv(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    """Return a convolution that keeps the size but for its stride, and the rectification."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2), nn.LeakyReLU(SLOPE)
    )
