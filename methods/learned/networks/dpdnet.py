"""DPDNet as a network: a U-Net without normalisation.

Abuolaim and Brown, Defocus deblurring using dual-pixel data, ECCV 2020; layers as in the authors'
Keras program. All pads with zeros. A convolution of two concatenated tensors is written as the sum
of two convolutions: the same function and parameters, without the copy, and the encoder's half is
applied as soon as its input is there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_COLOURS = 3
_WIDTHS = (64, 128, 256, 512)
_DEEPEST = 1024
_DROPOUT = 0.4


class DpdNet(nn.Module):
    """N x `channels` x H x W in [0, 1] -> N x 3 x H x W in [0, 1], by a sigmoid; H and W multiples
    of 16.

    `channels` is 3 for one picture, 6 for the left and right views in this order. With `adds`,
    which no source has, the last layer has no sigmoid: what it gives is added to the picture, of
    two views to their mean, and the result is not clamped.
    """

    def __init__(self, channels: int, adds: bool = False) -> None:
        super().__init__()
        self.adds = adds
        inputs = (channels, *_WIDTHS[:-1])
        down = [
            _make_conv_pair(before, width) for before, width in zip(inputs, _WIDTHS, strict=True)
        ]
        down[-1].append(nn.Dropout(_DROPOUT))
        self.down = nn.ModuleList(down)
        self.deepest = _make_conv_pair(_WIDTHS[-1], _DEEPEST).append(nn.Dropout(_DROPOUT))
        self.across = nn.ModuleList(_make_conv3x3(width, width) for width in _WIDTHS)
        self.up = nn.ModuleList(UpConv(2 * width, width) for width in _WIDTHS)
        self.merge = nn.ModuleList(_make_conv3x3(width, width, bias=False) for width in _WIDTHS)
        self.last = nn.ModuleList(_make_conv3x3(width, width) for width in _WIDTHS)
        self.out = nn.Sequential(
            _make_conv3x3(_WIDTHS[0], 3), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1)
        )
        halves = {*self.across, *self.merge}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                _draw_he_normal(module, is_half=module in halves)

    def forward(self, x: Tensor) -> Tensor:
        pictures = x.chunk(x.shape[1] // _COLOURS, 1)
        across = []
        for down, skip in zip(self.down, self.across, strict=True):
            x = down(x)
            across.append(skip(x))
            x = F.max_pool2d(x, 2)
        x = self.deepest(x)
        steps_up = list(zip(self.up, self.merge, self.last, strict=True))
        for up, merge, last in reversed(steps_up):
            x = merge(up(x)).add_(across.pop())
            x = F.relu(x, inplace=True)
            x = F.relu(last(x), inplace=True)
        picture: Tensor = self.out(x)
        if self.adds:
            return torch.stack(pictures).mean(0) + picture
        return picture.sigmoid_()


class UpConv(nn.Module):
    """Nearest-neighbour doubling, then a 2 x 2 convolution and ReLU: N x C x H x W -> N x O x 2H x
    2W.

    Keras pads a 2 x 2 convolution of the same size at the bottom and the right.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        large = F.interpolate(x, scale_factor=2, mode="nearest")
        padded = F.pad(large, (0, 1, 0, 1))
        return F.relu(self.conv(padded), inplace=True)


class FastUpConv(nn.Module):
    """The same function as `UpConv` by one transposed 3 x 3 convolution on the small tensor; for
    inference.

    Doubling puts an input at 2i + s, s in {0, 1}; tap t of the convolution takes it to the output
    at 2i + s - t. So entry s - t + 1 of the new filter, in each direction, gathers tap t for both
    s.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, plain: UpConv) -> None:
        super().__init__()
        taps = plain.conv.weight.detach().transpose(0, 1)
        spread = taps.new_tensor([[0, 1], [1, 1], [1, 0]])  # 3 entries from 2 taps
        weight = torch.einsum("at,bu,iotu->ioab", spread, spread, taps)
        self.register_buffer("weight", weight.contiguous())
        assert plain.conv.bias is not None
        self.register_buffer("bias", plain.conv.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        large = F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1, output_padding=1)
        return F.relu(large, inplace=True)


def replace_up_convs(network: DpdNet) -> None:
    """Replace the network's `UpConv`s by `FastUpConv`s."""
    for index, step in enumerate(network.up):
        if isinstance(step, UpConv):
            network.up[index] = FastUpConv(step)


def _make_conv3x3(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def _make_conv_pair(inputs: int, outputs: int) -> nn.Sequential:
    first = _make_conv3x3(inputs, outputs)
    second = _make_conv3x3(outputs, outputs)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))


def _draw_he_normal(conv: nn.Conv2d, is_half: bool) -> None:
    """Draw weights as He et al. (ICCV 2015), and no bias; half of a convolution counts the inputs
    of both halves.
    """
    inputs = conv.weight[0].numel()
    if is_half:
        inputs *= 2
    nn.init.normal_(conv.weight, std=(2 / inputs) ** 0.5)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
