"""SRN as a network: one recurrent encoder-decoder, run at three scales from coarse to fine.

Tao, Gao, Shen, Wang and Jia, Scale-recurrent network for deep image deblurring, CVPR 2018, in the
form of the PyTorch port `iwtw/SRN-DeblurNet`, whose number of parameters is the one that GKMNet's
paper prints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTHS = (32, 64, 128)
_SCALES = 3
State = tuple[Tensor, Tensor]
"""Hidden state and cell of a ConvLSTM, N x C x H x W each."""


def pyramid(x: Tensor) -> list[Tensor]:
    """Return x at a quarter, a half and the whole of its size, coarse to fine; H and W are
    multiples of 4.

    Each is half of the next by bilinear interpolation with its kernel widened to the step, as
    Pillow resizes.
    """
    sizes = [x]
    while len(sizes) < _SCALES:
        half = F.interpolate(sizes[0], scale_factor=0.5, mode="bilinear", antialias=True)
        sizes.insert(0, half)
    return sizes


def doubled(x: Tensor) -> Tensor:
    """Return x at twice its size, by bilinear interpolation about pixel centres."""
    return F.interpolate(x, scale_factor=2, mode="bilinear")


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 5 x 5 convolution that keeps the size but for its stride."""
    return nn.Conv2d(inputs, outputs, 5, stride, padding=2)


def deconv(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a 5 x 5 transposed convolution that doubles the size."""
    return nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)


def xavier(network: nn.Module) -> None:
    """Draw the weights of all convolutions as Glorot and Bengio do, from normal distributions."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_normal_(module.weight)


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))), nothing after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv(channels, channels), conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.second(F.relu(self.first(x), inplace=True))
        return made.add_(x)


class ConvLstm(nn.Module):
    """Long short-term memory with convolutions, its gates in the order input, forget, output,
    candidate.

    Shi et al., Convolutional LSTM network, NIPS 2015, without peepholes and without a bias of the
    forget gate.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = conv(2 * channels, 4 * channels)

    def forward(self, x: Tensor, state: State) -> State:
        hidden, cell = state
        enter, forget, leave, candidate = self.gates(torch.cat([x, hidden], 1)).chunk(4, 1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
        return leave.sigmoid() * cell.tanh(), cell


class Srn(nn.Module):
    """N x 3 x H x W in [0, 1] -> the same, not clamped; H and W multiples of 16.

    Inside, the picture lies in [-1, 1]. Every scale is given the picture and the result of the
    scale before, at first nought, and hands its result, hidden state and cell on at twice their
    size. Weights are the same at all scales.
    """

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _WIDTHS
        self.enter_fine = self._stage(conv(6, fine), fine)
        self.enter_middle = self._stage(conv(fine, middle, stride=2), middle)
        self.enter_coarse = self._stage(conv(middle, coarse, stride=2), coarse)
        self.memory = ConvLstm(coarse)
        self.leave_coarse = nn.Sequential(
            *self._blocks(coarse), deconv(coarse, middle), nn.ReLU(inplace=True)
        )
        self.leave_middle = nn.Sequential(
            *self._blocks(middle), deconv(middle, fine), nn.ReLU(inplace=True)
        )
        self.leave_fine = nn.Sequential(*self._blocks(fine), conv(fine, 3))
        xavier(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.scales(x)[-1]

    def scales(self, x: Tensor) -> list[Tensor]:
        """Return the results at a quarter, a half and the whole of the size, in [0, 1] and
        differentiable.

        They belong to the pictures of `pyramid`. Gradients flow from each scale into those before
        it.
        """
        made: list[Tensor] = []
        state: State | None = None
        for blurred in pyramid(2 * x - 1):
            before = doubled(made[-1]) if made else torch.zeros_like(blurred)
            result, (hidden, cell) = self._step(torch.cat([blurred, before], 1), state)
            made.append(result)
            state = doubled(hidden), doubled(cell)
        return [(result + 1) / 2 for result in made]

    def _step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        fine = self.enter_fine(x)
        middle = self.enter_middle(fine)
        coarse = self.enter_coarse(middle)
        hidden, cell = self.memory(
            coarse, state or (torch.zeros_like(coarse), torch.zeros_like(coarse))
        )
        middle = self.leave_coarse(hidden) + middle
        fine = self.leave_middle(middle) + fine
        return self.leave_fine(fine), (hidden, cell)

    @classmethod
    def _stage(cls, entrance: nn.Conv2d, channels: int) -> nn.Sequential:
        return nn.Sequential(entrance, nn.ReLU(inplace=True), *cls._blocks(channels))

    @staticmethod
    def _blocks(channels: int) -> list[ResidualBlock]:
        return [ResidualBlock(channels) for _ in range(3)]
