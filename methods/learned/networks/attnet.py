"""A network in the place of AttNet, of which only its size and a few words are known. It is not the
authors' network.

Known, from GKMNet's paper on Xu, Zhu, Quan and Ji, Attentive deep network for blind motion
deblurring on dynamic scenes (Computer Vision and Image Understanding, 2021): 6.91 million
parameters, 3450.4 G operations at 1680 x 1120, several scales. Its title adds attention. All else
is a guess: SRN's 5 x 5 encoder-decoder at three scales without the memory, attention gates in every
residual block and on every skip, the numbers of blocks chosen to meet both figures.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.blocks import (
    double_size,
    draw_xavier_normal,
    make_conv,
    make_deconv,
)
from benchmark.methods.learned.networks.srn import build_srn_pyramid

_WIDTHS = (32, 64, 128)
_BLOCKS = (6, 4, 5)  # the first two once in the encoder and once in the decoder
_SQUEEZE = 8


class PixelGate(nn.Module):
    """Attention to each channel of each pixel: factors in (0, 1) from that pixel's
    features alone.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // _SQUEEZE, 1)
        self.expand = nn.Conv2d(channels // _SQUEEZE, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        factors: Tensor = self.expand(F.relu(self.squeeze(x), inplace=True))
        return factors.sigmoid_()


class AttentiveBlock(nn.Module):
    """x + gate(r) * r with r = conv(ReLU(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = make_conv(channels, channels)
        self.second = make_conv(channels, channels)
        self.gate = PixelGate(channels)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.second(F.relu(self.first(x), inplace=True))
        return torch.addcmul(x, self.gate(residual), residual)


class AttNet(nn.Module):
    """N x 3 x H x W in [0, 1] -> the same, not clamped; H and W multiples of 16.

    Every scale is given the picture and the result of the scale before (at first the picture again)
    and adds a correction to the picture. Weights are the same at all scales.
    """

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _WIDTHS
        fine_count, middle_count, coarse_count = _BLOCKS
        self.enter_fine = nn.Sequential(
            make_conv(6, fine), nn.ReLU(inplace=True), *_make_blocks(fine, fine_count)
        )
        self.enter_middle = nn.Sequential(
            make_conv(fine, middle, 2), nn.ReLU(inplace=True), *_make_blocks(middle, middle_count)
        )
        self.deep = nn.Sequential(
            make_conv(middle, coarse, 2), nn.ReLU(inplace=True), *_make_blocks(coarse, coarse_count)
        )
        self.up_middle = nn.Sequential(make_deconv(coarse, middle), nn.ReLU(inplace=True))
        self.gate_middle = PixelGate(middle)
        self.leave_middle = nn.Sequential(*_make_blocks(middle, middle_count))
        self.up_fine = nn.Sequential(make_deconv(middle, fine), nn.ReLU(inplace=True))
        self.gate_fine = PixelGate(fine)
        self.leave_fine = nn.Sequential(*_make_blocks(fine, fine_count), make_conv(fine, 3))
        draw_xavier_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.scales(x)[-1]

    def scales(self, x: Tensor) -> list[Tensor]:
        """Return the results at a quarter, a half and the whole of the size, in [0, 1] and
        differentiable.

        They belong to the pictures of `benchmark.methods.learned.networks.srn.build_srn_pyramid`.
        Gradients flow from each scale into those before it.
        """
        results: list[Tensor] = []
        for blurred in build_srn_pyramid(x):
            previous = double_size(results[-1]) if results else blurred
            inputs = torch.cat([blurred, previous], 1)
            results.append(blurred + self._correction(inputs))
        return results

    def _correction(self, x: Tensor) -> Tensor:
        fine = self.enter_fine(x)
        middle = self.enter_middle(fine)
        coarse = self.deep(middle)
        middle = merge_skip(self.gate_middle, middle, self.up_middle(coarse))
        middle = self.leave_middle(middle)
        fine = merge_skip(self.gate_fine, fine, self.up_fine(middle))
        correction: Tensor = self.leave_fine(fine)
        return correction


def merge_skip(gate: nn.Module, skip: Tensor, up: Tensor) -> Tensor:
    """Return the decoder's features plus what the gate, which sees both, lets through of the
    encoder's.
    """
    return torch.addcmul(up, gate(skip + up), skip)


def _make_blocks(channels: int, count: int) -> list[AttentiveBlock]:
    return [AttentiveBlock(channels) for _ in range(count)]
