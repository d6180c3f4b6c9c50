"""INIKNet as a network: the picture is filtered by kernels of seven sizes that small networks make
from coordinates, and the results are mixed by weights predicted for every pixel.

Quan, Yao and Ji, Single image defocus deblurring via implicit neural inverse kernels, ICCV 2023.
3 x 3 convolutions mirror the picture at its edge, have no bias and are rectified.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.methods.learned.networks.blocks import (
    ChannelNorm,
    LstmState,
    MirroredEncoder,
    MirroredResidual,
    double_size,
    make_doubling_deconv,
    make_mirrored_conv,
    to_single_precision,
    update_lstm,
)

KERNEL_SIZES = (3, 5, 7, 9, 11, 13, 15)
BASES = 10
_WIDTHS = (32, 64, 128)
_HIDDEN = 64
_SCALES = (1.0, 0.5, 0.25)
"""Of the picture; from fine to coarse."""
_NORM_EPSILON = 1e-5


class InikNet(nn.Module):
    """N x 3 x H x W in [0, 1] -> N x 3 x H x W, not clamped, a correction of the input; H and W
    multiples of 32.

    Attributes:
        unet: features of the picture, the same for its three sizes.
        basis_memory, scale_memory: compare the features of the three sizes.
        basis_head: weight of each basis at every pixel.
        scale_head: share of each kernel size at every pixel; the first share is that of no kernel.
        filters: the correction, from the picture, weights and shares.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unet = JoiningUnet()
        self.basis_memory = ScaleMemory()
        self.scale_memory = ScaleMemory()
        self.basis_head = nn.Conv2d(_WIDTHS[0], BASES, 1)
        self.scale_head = nn.Conv2d(_WIDTHS[0], len(KERNEL_SIZES) + 1, 1)
        self.filters = ImplicitFilters()

    def forward(self, x: Tensor) -> Tensor:
        features = [self.unet(_resize(x, scale)) for scale in _SCALES]
        basis_weights = self.basis_head(self.basis_memory(features))
        logits = to_single_precision(self.scale_head(self.scale_memory(features)))
        shares = torch.softmax(logits, dim=1)
        correction: Tensor = self.filters(x, basis_weights, shares)
        return x + correction


class ImplicitFilters(nn.Module):
    """A picture, N x 3 x H x W, the weight of each basis, N x 10 x H x W, and the share of each
    kernel size, N x 8 x H x W -> a correction, N x 3 x H x W.

    Attributes:
        bases: kernels of any size each.
        mix: from the results of all kernels to a picture. Its first 3 * `BASES` inputs are zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bases = nn.ModuleList(ImplicitKernel() for _ in range(BASES))
        self.mix = nn.Conv2d(3 * BASES * (len(KERNEL_SIZES) + 1), 3, 1)

    def forward(self, x: Tensor, basis_weights: Tensor, shares: Tensor) -> Tensor:
        _, *layers = self.mix.weight.chunk(len(KERNEL_SIZES) + 1, 1)
        weights = basis_weights.repeat(1, 3, 1, 1)
        assert self.mix.bias is not None
        total = self.mix.bias[:, None, None].expand_as(x)
        for index, (size, layer) in enumerate(zip(KERNEL_SIZES, layers, strict=True), start=1):
            kernels = self.make_kernels(size)
            results = F.conv2d(x, kernels[:, None].repeat(3, 1, 1, 1), padding=size // 2, groups=3)
            share = shares[:, index : index + 1]
            mixture = torch.einsum("oc,nchw->nohw", layer[..., 0, 0], results * weights)
            total = total + share * mixture
        return total

    def make_kernels(self, size: int) -> Tensor:
        """Return the kernel of each basis, 10 x size x size."""
        return torch.stack([basis(size) for basis in self.bases])


class JoiningUnet(MirroredEncoder):
    """N x 3 x H x W -> N x 32 x H x W, at full size, a half and a quarter; skips are joined."""

    def __init__(self) -> None:
        super().__init__(3, _WIDTHS, _make_residuals)
        self.decoder = nn.ModuleList(JoiningLevel(width) for width in _WIDTHS[:-1])

    def forward(self, x: Tensor) -> Tensor:
        *skips, x = self.encode(x)
        for level in reversed(self.decoder):
            x = level(x, skips.pop())
        return x


class JoiningLevel(nn.Module):
    """Features, N x 2C x H x W, and the encoder's of twice the size, N x C x 2H x 2W -> N x C x 2H
    x 2W.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = make_doubling_deconv(2 * width, width)
        self.reduce = make_mirrored_conv(2 * width, width)
        self.block = _make_residuals(width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = torch.cat([F.relu(self.up(x)), skip], 1)
        features: Tensor = self.block(F.relu(self.reduce(x)))
        return features


class ScaleMemory(nn.Module):
    """Features at three sizes, from fine to coarse, N x 32 x H x W the first -> those of the first
    size, with what the other sizes say.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = ChannelNorm(_WIDTHS[0], _NORM_EPSILON)
        self.to_coarse = ResidualLstm()
        self.to_fine = ResidualLstm()

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        norms = [self.norm(feature) for feature in features]
        coarse = self.to_coarse(norms, lambda state: _resize(state, 0.5))
        finest: Tensor = self.to_fine(coarse[::-1], double_size)[-1]
        return features[0] + finest


class ResidualLstm(nn.Module):
    """Features of several sizes in a row, N x 32 x H x W each -> hidden states, N x 32 x H x W."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = ResidualLstmCell()

    def forward(
        self, features: Sequence[Tensor], resize: Callable[[Tensor], Tensor]
    ) -> list[Tensor]:
        """Return the hidden state at each size; `resize` takes a state to the next size."""
        zeros = torch.zeros_like(features[0])
        state: LstmState = (zeros, zeros)
        hidden: list[Tensor] = []
        for feature in features:
            if hidden:
                state = (resize(state[0]), resize(state[1]))
            state = self.cell(feature, *state)
            hidden.append(state[0])
        return hidden


class ResidualLstmCell(nn.Module):
    """Features and a state, hidden and cell, N x 32 x H x W each -> the next state."""

    def __init__(self) -> None:
        super().__init__()
        width = 2 * _WIDTHS[0]
        self.residuals = _make_residuals(width)
        self.gates = nn.Conv2d(width, 4 * _WIDTHS[0], 1)

    def forward(self, feature: Tensor, hidden: Tensor, cell: Tensor) -> LstmState:
        gates = self.gates(self.residuals(torch.cat([feature, hidden], 1)))
        return update_lstm(gates, cell)


class ImplicitKernel(nn.Module):
    """A kernel of any odd size n, n x n, as a function of polar coordinates, by layers of sines.

    Attributes:
        frequency: of the sines, learned; one number for both layers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(3, _HIDDEN), nn.Linear(_HIDDEN, _HIDDEN), nn.Linear(_HIDDEN, 1, bias=False)]
        )
        self.frequency = nn.Parameter(torch.empty(()).uniform_(2, 12))

    def forward(self, size: int) -> Tensor:
        first, second, last = self.layers
        values = torch.sin(self.frequency * first(make_coordinates(size).to(self.frequency)))
        values = torch.sin(self.frequency * second(values))
        kernel: Tensor = last(values)[..., 0]
        return kernel * 9 / size**2


def make_coordinates(size: int) -> Tensor:
    """Return the polar coordinates of a kernel's taps, size x size x 3 in [0, 1]: radius over that
    of the corner, cosine and sine of the angle from the first axis (rows), mapped to [0, 1].
    """
    # Not torch.linspace, which misses 0 in the middle and so gives another angle there.
    line = torch.arange(size) / (size - 1) * 2 - 1
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    radius = torch.sqrt(rows**2 + columns**2) / math.sqrt(2)
    angle = torch.atan2(columns, rows)
    return torch.stack([radius, (torch.cos(angle) + 1) / 2, (torch.sin(angle) + 1) / 2], dim=-1)


def _resize(x: Tensor, scale: float) -> Tensor:
    """Return x by so much smaller, by bilinear interpolation between the nearest pixels."""
    if scale == 1:
        return x
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def _make_residuals(width: int) -> nn.Sequential:
    return nn.Sequential(MirroredResidual(width), MirroredResidual(width))
