"""What several networks are built of: pictures at several sizes, convolutions of 5 x 5 and mirrored
ones of 3 x 3, the step of a convolutional LSTM, normalisation over channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LstmState = tuple[Tensor, Tensor]
"""Hidden and cell state of a convolutional LSTM, N x C x H x W each."""


class ChannelNorm(nn.Module):
    """N x C x H x W -> N x C x H x W; each pixel is normalised over its channels.

    Ba et al., Layer normalization, 2016, with the variance divided by C.
    """

    def __init__(self, width: int, epsilon: float) -> None:
        """Make the layer; `epsilon` is added to variances."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        by_pixel = x.permute(0, 2, 3, 1)
        norm = F.layer_norm(by_pixel, self.weight.shape, self.weight, self.bias, self.epsilon)
        return norm.permute(0, 3, 1, 2)


class MirroredResidual(nn.Module):
    """Two mirrored convolutions of 3 x 3, the first rectified, added to their input: N x C x H x W
    -> N x C x H x W.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = make_mirrored_conv(width, width)
        self.conv2 = make_mirrored_conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.conv2(F.relu(self.conv1(x)))
        return result


class MirroredEncoder(nn.Module):
    """The way down of a U-Net: at each level a mirrored convolution, which halves the size from the
    second level on, rectified, then a block that keeps size and channels.
    """

    def __init__(
        self, channels: int, widths: Sequence[int], make_block: Callable[[int], nn.Module]
    ) -> None:
        """Make the network for pictures of so many channels, with the features of each level."""
        super().__init__()
        inputs = (channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            EncoderLevel(
                make_mirrored_conv(before, width, stride=2 if level else 1), make_block(width)
            )
            for level, (before, width) in enumerate(zip(inputs, widths, strict=True))
        )

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the features of each level, from full size down."""
        features: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            features.append(x)
        return features


class EncoderLevel(nn.Module):
    """One level of `MirroredEncoder`: features of the level before it -> its own."""

    def __init__(self, down: nn.Conv2d, block: nn.Module) -> None:
        """Take the convolution that is rectified, and what comes after it."""
        super().__init__()
        self.down = down
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.block(F.relu(self.down(x)))
        return features


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


def make_mirrored_conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3 x 3 convolution without a bias that keeps the size but for its stride; pictures
    are mirrored at the edge, which takes two pixels at least.
    """
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False, padding_mode="reflect")


def make_doubling_deconv(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a 4 x 4 transposed convolution without a bias that doubles the size."""
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)


def to_single_precision(x: Tensor) -> Tensor:
    """Return a tensor of half the precision in single precision, others as they are."""
    if x.dtype in (torch.bfloat16, torch.float16):
        return x.float()
    return x


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
