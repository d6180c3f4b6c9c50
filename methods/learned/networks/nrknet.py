"""NRKNet as a network: a correction of the picture is made again and again from a bank of small
filters applied one after another, mixed by coefficients that a network predicts for every pixel.

Quan, Wu and Ji, Neumann network with recursive kernels for single image defocus deblurring, CVPR
2023. 3 x 3 convolutions mirror the picture at its edge, have no bias and are rectified.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.blocks import (
    LstmState,
    MirroredEncoder,
    MirroredResidual,
    build_pyramid,
    double_size,
    make_doubling_deconv,
    make_mirrored_conv,
    update_lstm,
)

FILTERS = 21
_MAPS = FILTERS + 1
"""The picture itself, and the picture after each filter."""
_WIDTHS = (64, 128, 256)
_ITERATIONS = (3, 2, 1)
"""From coarse to fine."""


class NrkNet(nn.Module):
    """N x 3 x H x W in [0, 1] -> N x 3 x H x W, not clamped; H and W multiples of 16, and 32 at
    least.

    The result is the input with the sum of what was made at three sizes.

    Attributes:
        unet: features of a picture, the same for the three sizes.
        predictor: coefficients of the bank from features.
        step: from the picture and its coefficients to a better picture.
    """

    def __init__(self, batch_statistics: bool = False) -> None:
        """Make the layers; see `CoefficientPredictor` for `batch_statistics`."""
        super().__init__()
        self.unet = AddingUnet()
        self.predictor = CoefficientPredictor(batch_statistics)
        self.step = NeumannStep()

    def forward(self, x: Tensor) -> Tensor:
        pictures = build_pyramid(x, len(_ITERATIONS), lambda picture: picture[..., ::2, ::2])
        state: LstmState | None = None
        total: Tensor | None = None
        for picture, iterations in zip(pictures, _ITERATIONS, strict=True):
            coefficients, state = self.predictor(self.unet(picture), state)
            state = (double_size(state[0]), double_size(state[1]))
            series = picture
            for _ in range(iterations):
                series = self.step(series, coefficients)
            scale = x.shape[-1] // picture.shape[-1]
            full = F.interpolate(series, scale_factor=scale, mode="bilinear", align_corners=False)
            total = full if total is None else total + full
        assert total is not None
        return x + total


class AddingUnet(MirroredEncoder):
    """N x 3 x H x W -> N x 64 x H x W, at full size, a half and a quarter; skips are added."""

    def __init__(self) -> None:
        super().__init__(3, _WIDTHS, MirroredResidual)
        deep = _WIDTHS[-1]
        self.bottleneck = nn.Sequential(
            make_mirrored_conv(deep, deep), nn.ReLU(), MirroredResidual(deep)
        )
        self.deepest = MirroredResidual(deep)
        self.decoder = nn.ModuleList(
            AddingLevel(below, width) for width, below in itertools.pairwise(_WIDTHS)
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = self.encode(x)
        x = self.deepest(self.bottleneck(skips[-1]) + skips.pop())
        for level in reversed(self.decoder):
            x = level(x, skips.pop())
        return x


class AddingLevel(nn.Module):
    """Features, N x D x H x W, and the encoder's of twice the size, N x C x 2H x 2W -> N x C x 2H x
    2W.
    """

    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.up = make_doubling_deconv(below, width)
        self.block = MirroredResidual(width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        features: Tensor = self.block(F.relu(self.up(x)) + skip)
        return features


class CoefficientPredictor(nn.Module):
    """Features, N x 64 x H x W, and a state of half their size -> coefficients, N x 66 x H x W, and
    the next state.

    Attributes:
        conv, norm: what the features say of every pixel.
        gates: of the memory, a convolutional LSTM.
    """

    def __init__(self, batch_statistics: bool) -> None:
        """Make the layers.

        Args:
            batch_statistics: whether `norm` uses statistics of the very pictures after training
                too, rather than running ones.
        """
        super().__init__()
        self.conv = make_mirrored_conv(_WIDTHS[0], _MAPS)
        self.norm = nn.BatchNorm2d(_MAPS)
        self.gates = nn.Conv2d(_WIDTHS[0] + _MAPS, 4 * _MAPS, 5, padding=2)
        self.batch_statistics = batch_statistics

    def forward(self, features: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState]:
        detail = F.relu(self._normalise(self.conv(features)))
        means = F.avg_pool2d(features, 2)
        if state is None:
            zeros = means.new_zeros((len(means), _MAPS, *means.shape[-2:]))
            state = (zeros, zeros)
        state = update_lstm(self.gates(torch.cat([means, state[0]], 1)), state[1])
        weights = F.interpolate(state[0], scale_factor=2, mode="nearest")
        gate = weights * detail + weights
        return gate.repeat_interleave(3, 1), state

    def _normalise(self, x: Tensor) -> Tensor:
        if not self.batch_statistics:
            normal: Tensor = self.norm(x)
            return normal
        scale, shift = self.norm.weight, self.norm.bias
        return F.batch_norm(x, None, None, scale, shift, training=True, eps=self.norm.eps)


class NeumannStep(nn.Module):
    """A picture, N x 3 x H x W, and coefficients, N x 66 x H x W -> a better picture.

    Attributes:
        bank: the picture after each filter.
        mix: from the weighted bank to a correction.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bank = RecursiveBank()
        self.mix = nn.Conv2d(3 * _MAPS, 3, 1)

    def forward(self, picture: Tensor, coefficients: Tensor) -> Tensor:
        result: Tensor = picture - self.mix(self.bank(picture) * coefficients)
        return result


class RecursiveBank(nn.Module):
    """N x 3 x H x W -> N x 66 x H x W: the picture, then what each filter makes of the result of
    the filter before it.

    Filters are symmetric and separable, of 3 x 3, with positive taps that sum to 1.

    Attributes:
        kernels: two numbers for each colour of each filter (63 x 1 x 1 x 2), the outer and the
            inner tap before a softmax.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(3 * FILTERS, 1, 1, 2))

    def forward(self, x: Tensor) -> Tensor:
        taps = torch.softmax(self.kernels[..., [0, 1, 0]], dim=-1)
        pictures = [x]
        for across in taps.chunk(FILTERS):
            down = across.transpose(-2, -1)
            x = F.pad(x, [1] * 4, mode="reflect")
            x = F.conv2d(F.conv2d(x, down, groups=3), across, groups=3)
            pictures.append(x)
        return torch.cat(pictures, 1)
