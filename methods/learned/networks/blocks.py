"""What several networks are built of: pictures at several sizes, convolutions of 5 x 5, the step of
a convolutional LSTM.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LstmState = tuple[Tensor, Tensor]
"""Hidden and cell state of a convolutional LSTM, N x C x H x W each."""


def build_pyramid(x: Tensor, scales: int, halve: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Return x at so many sizes, from coarse to fine; `halve` takes each to the next smaller one.

    H and W are multiples of 2^(scales - 1).
    """
    sizes = [x]
    while len(sizes) < scales:
        sizes.insert(0, halve(sizes[0]))
    return sizes


def halve_size(x: Tensor) -> Tensor:
    """Return x at half its size, by bilinear interpolation with its kernel widened to the step, as
    Pillow resizes.
    """
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)


def double_size(x: Tensor) -> Tensor:
    """Return x at twice its size, by bilinear interpolation about pixel centres
    (align_corners=False).
    """
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def make_conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 5 x 5 convolution that keeps the size but for its stride."""
    return nn.Conv2d(inputs, outputs, 5, stride, padding=2)


def make_deconv(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a 5 x 5 transposed convolution that doubles the size."""
    return nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)


def draw_xavier_normal(network: nn.Module) -> None:
    """Draw the weights of all convolutions as Glorot and Bengio do, from normal distributions."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_normal_(module.weight)


def update_lstm(gates: Tensor, cell: Tensor) -> LstmState:
    """Return the next state of a convolutional LSTM.

    Shi et al., Convolutional LSTM network, NIPS 2015, without peepholes and without a bias of the
    forget gate.

    Args:
        gates: N x 4C x H x W, before their nonlinearities, in the order input, forget, output,
            candidate.
        cell: N x C x H x W.
    """
    enter, forget, leave, candidate = gates.chunk(4, 1)
    memory = torch.sigmoid(forget) * cell
    update = torch.sigmoid(enter) * torch.tanh(candidate)
    cell = memory + update
    hidden = torch.sigmoid(leave) * torch.tanh(cell)
    return hidden, cell
