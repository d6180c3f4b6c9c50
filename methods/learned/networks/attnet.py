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

from benchmark.methods.learned.networks.srn import conv, deconv, doubled, pyramid, xavier

_WIDTHS = (32, 64, 128)
_BLOCKS = (6, 4, 5)  # the first two once in the encoder and once in the decoder
_SQUEEZE = 8


class Gate(nn.Module):
    """Attention to each channel of each pixel: factors in (0, 1) from that pixel's
    features alone.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // _SQUEEZE, 1)
        self.expand = nn.Conv2d(channels // _SQUEEZE, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.expand(F.relu(self.squeeze(x), inplace=True))
        return made.sigmoid_()


class AttentiveBlock(nn.Module):
    """x + gate(r) * r with r = conv(ReLU(conv(x)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv(channels, channels), conv(channels, channels)
        self.gate = Gate(channels)

    def forward(self, x: Tensor) -> Tensor:
        made = self.second(F.relu(self.first(x), inplace=True))
        return torch.addcmul(x, self.gate(made), made)


class AttNet(nn.Module):
    """N x 3 x H x W in [0, 1] -> the same, not clamped; H and W multiples of 16.

    Every scale is given the picture and the result of the scale before (at first the picture again)
    and adds a correction to the picture. Weights are the same at all scales.
    """

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _WIDTHS
        many, several, deep = _BLOCKS
        self.enter_fine = nn.Sequential(conv(6, fine), nn.ReLU(inplace=True), *_blocks(fine, many))
        self.enter_middle = nn.Sequential(
            conv(fine, middle, 2), nn.ReLU(inplace=True), *_blocks(middle, several)
        )
        self.deep = nn.Sequential(
            conv(middle, coarse, 2), nn.ReLU(inplace=True), *_blocks(coarse, deep)
        )
        self.up_middle = nn.Sequential(deconv(coarse, middle), nn.ReLU(inplace=True))
        self.gate_middle = Gate(middle)
        self.leave_middle = nn.Sequential(*_blocks(middle, several))
        self.up_fine = nn.Sequential(deconv(middle, fine), nn.ReLU(inplace=True))
        self.gate_fine = Gate(fine)
        self.leave_fine = nn.Sequential(*_blocks(fine, many), conv(fine, 3))
        xavier(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.scales(x)[-1]

    def scales(self, x: Tensor) -> list[Tensor]:
        """Return the results at a quarter, a half and the whole of the size, in [0, 1] and
        differentiable.

        They belong to the pictures of `benchmark.methods.learned.networks.srn.pyramid`. Gradients
        flow from each scale into those before it.
        """
        made: list[Tensor] = []
        for blurred in pyramid(x):
            before = doubled(made[-1]) if made else blurred
            made.append(blurred + self._correction(torch.cat([blurred, before], 1)))
        return made

    def _correction(self, x: Tensor) -> Tensor:
        fine = self.enter_fine(x)
        middle = self.enter_middle(fine)
        middle = self.leave_middle(
            merged(self.gate_middle, middle, self.up_middle(self.deep(middle)))
        )
        made: Tensor = self.leave_fine(merged(self.gate_fine, fine, self.up_fine(middle)))
        return made


def merged(gate: nn.Module, skip: Tensor, up: Tensor) -> Tensor:
    """Return the decoder's features plus what the gate, which sees both, lets through of the
    encoder's.
    """
    return torch.addcmul(up, gate(skip + up), skip)


def _blocks(channels: int, count: int) -> list[AttentiveBlock]:
    return [AttentiveBlock(channels) for _ in range(count)]
