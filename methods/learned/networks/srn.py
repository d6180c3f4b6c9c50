"""SRN as a network: one recurrent encoder-decoder, run at three scales from coarse to fine.

Tao, Gao, Shen, Wang and Jia, Scale-recurrent network for deep image deblurring, CVPR 2018, in the
form of the PyTorch port `iwtw/SRN-DeblurNet`, whose number of parameters is the one that GKMNet's
paper prints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.blocks import (
    LstmState,
    build_pyramid,
    double_size,
    draw_xavier_normal,
    halve_size,
    make_conv,
    make_deconv,
    update_lstm,
)

_WIDTHS = (32, 64, 128)
_SCALES = 3


def build_srn_pyramid(x: Tensor) -> list[Tensor]:
    """Return x at a quarter, a half and the whole of its size, coarse to fine; H and W are
    multiples of 4.
    """
    return build_pyramid(x, _SCALES, halve_size)


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))), nothing after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = make_conv(channels, channels)
        self.second = make_conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return residual.add_(x)


class BottleneckMemory(nn.Module):
    """A convolutional LSTM, see `blocks.update_lstm`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = make_conv(2 * channels, 4 * channels)

    def forward(self, x: Tensor, state: LstmState) -> LstmState:
        hidden, cell = state
        gates = self.gates(torch.cat([x, hidden], 1))
        return update_lstm(gates, cell)


class Srn(nn.Module):
    """N x 3 x H x W in [0, 1] -> the same, not clamped; H and W multiples of 16.

    Inside, the picture lies in [-1, 1]. Every scale is given the picture and the result of the
    scale before, at first nought, and hands its result, hidden state and cell on at twice their
    size. Weights are the same at all scales.
    """

    def __init__(self, adds: bool = False) -> None:
        """Make the network; with `adds`, which no source has, every scale adds what its last layer
        gives to the picture of that scale.
        """
        super().__init__()
        self.adds = adds
        fine, middle, coarse = _WIDTHS
        self.enter_fine = self._stage(make_conv(6, fine), fine)
        self.enter_middle = self._stage(make_conv(fine, middle, stride=2), middle)
        self.enter_coarse = self._stage(make_conv(middle, coarse, stride=2), coarse)
        self.memory = BottleneckMemory(coarse)
        self.leave_coarse = nn.Sequential(
            *self._blocks(coarse), make_deconv(coarse, middle), nn.ReLU(inplace=True)
        )
        self.leave_middle = nn.Sequential(
            *self._blocks(middle), make_deconv(middle, fine), nn.ReLU(inplace=True)
        )
        self.leave_fine = nn.Sequential(*self._blocks(fine), make_conv(fine, 3))
        draw_xavier_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.scales(x)[-1]

    def scales(self, x: Tensor) -> list[Tensor]:
        """Return the results at a quarter, a half and the whole of the size, in [0, 1] and
        differentiable.

        They belong to the pictures of `build_srn_pyramid`. Gradients flow from each scale into
        those before it.
        """
        layers: list[Tensor] = []  # what the last layer gives
        result: Tensor | None = None
        state: LstmState | None = None
        for blurred in build_srn_pyramid(2 * x - 1):
            previous = torch.zeros_like(blurred) if result is None else double_size(result)
            inputs = torch.cat([blurred, previous], 1)
            layer, (hidden, cell) = self._step(inputs, state)
            layers.append(layer)
            result = blurred + layer if self.adds else layer
            state = (double_size(hidden), double_size(cell))
        if not self.adds:
            return [(layer + 1) / 2 for layer in layers]
        # To x itself, so that a last layer of zeros gives exactly that.
        pictures = build_srn_pyramid(x)
        return [picture + layer / 2 for picture, layer in zip(pictures, layers, strict=True)]

    def _step(self, x: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState]:
        fine = self.enter_fine(x)
        middle = self.enter_middle(fine)
        coarse = self.enter_coarse(middle)
        if state is None:
            state = (torch.zeros_like(coarse), torch.zeros_like(coarse))
        hidden, cell = self.memory(coarse, state)
        middle = self.leave_coarse(hidden) + middle
        fine = self.leave_middle(middle) + fine
        return self.leave_fine(fine), (hidden, cell)

    @classmethod
    def _stage(cls, entrance: nn.Conv2d, channels: int) -> nn.Sequential:
        return nn.Sequential(entrance, nn.ReLU(inplace=True), *cls._blocks(channels))

    @staticmethod
    def _blocks(channels: int) -> list[ResidualBlock]:
        return [ResidualBlock(channels) for _ in range(3)]
