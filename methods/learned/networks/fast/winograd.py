"""Convolutions with a quarter of the multiplications: Winograd's minimal filtering, as a few matrix
products.

A 'same' convolution is computed in tiles of 4 x 4 outputs. Each tile of inputs and each filter is
evaluated at a few points; there the convolution is a product, and a last matrix takes the products
back to outputs. With m = 4 and a filter of side r that is (m + r - 1)^2 / m^2 products per output
and channel in place of r^2: 4 for 25, or 2.25 for 9. The transforms themselves cost the same
whatever the channels, so narrow layers gain nothing and stay as they are.

Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016; Winograd, Arithmetic
complexity of computations, 1980.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

TILE = 4
# Side of the filter -> points of least rounding error.
_POINTS = {3: (0, 0.75, -0.75, 1.5, -1.5), 5: (0, 0.5, -0.5, 1, -1, 2, -2)}
# Side of the filter -> channels, in and out, from which it is the faster way.
_LEAST_CHANNELS = {3: 128, 5: 64}
_BATCH = 96  # tiles at once: enough for efficient products, few enough to stay in the cache


class WinogradConv2d(nn.Module):
    """The same function as a convolution of stride 1 that keeps the size, N x C x H x W -> N x O x
    H x W.

    Zeros or the mirrored picture lie beyond its border, as for the convolution it stands for.
    For inference: it holds the filters transformed, not the weights they came from. Rounding errors
    are some five times those of a direct convolution (about 1e-5 of the largest output).
    """

    outward: Tensor
    filters: Tensor
    inward: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self._side = conv.kernel_size[0]
        self._mirrors = conv.padding_mode == "reflect"
        weight = conv.weight.detach()
        matrices = make_transforms(self._side)
        transform = torch.from_numpy(matrices.filters)
        taps = weight.double().cpu().flatten(2)
        filters = torch.einsum("kt,oct->kco", transform, taps)
        bias = weight.new_zeros(len(weight))
        if conv.bias is not None:
            bias = conv.bias.detach()
        buffers = {
            "inward": torch.from_numpy(matrices.inward),
            "filters": filters,
            "outward": torch.from_numpy(matrices.outward),
            "bias": bias,
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.to(weight).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        rim = self._side // 2
        if self._mirrors:
            mirrored = F.pad(x, [rim] * 4, mode="reflect")
            return self.convolve_rows(mirrored, 0, 0)[..., rim:-rim]
        return self.convolve_rows(x, above=rim, below=rim)

    def convolve_rows(self, x: Tensor, above: int, below: int) -> Tensor:
        """Return the convolution with so many rows of zeros above and below; r // 2 columns of them
        on either side.
        """
        rim = self._side // 2
        height = x.shape[-2] + above + below - 2 * rim
        width = x.shape[-1]
        rows = _count_tiles(height)
        columns = _count_tiles(width)
        right = columns * TILE - width + rim
        bottom = rows * TILE - height + below
        pixels = x.permute(0, 2, 3, 1)
        padded = F.pad(pixels, (0, 0, rim, right, above, bottom))
        outputs = x.new_empty((len(x), rows * TILE, columns * TILE, len(self.bias)))
        step = -(-_BATCH // columns)
        for picture, output in zip(padded, outputs, strict=True):
            for first in range(0, rows, step):
                top = first * TILE
                end = (first + step) * TILE
                rows_below = end + 2 * rim
                self._fill_band(output[top:end], picture[top:rows_below])
        return outputs[:, :height, :width].permute(0, 3, 1, 2)

    def _fill_band(self, output: Tensor, x: Tensor) -> None:
        """Write some rows of tiles to `output`, H x W x O, from x, (H + r - 1) x (W + r - 1) x
        C.
        """
        side = self._side + TILE - 1
        rows = output.shape[0] // TILE
        columns = output.shape[1] // TILE
        points = side * side
        patches = x.unfold(0, side, TILE).unfold(1, side, TILE)
        patches = patches.permute(3, 4, 0, 1, 2)
        values = self.inward @ patches.reshape(points, -1)
        values = values.view(points, -1, x.shape[-1])
        products = torch.bmm(values, self.filters)
        tiles = self.outward @ products.view(points, -1)
        tiles = tiles.view(TILE, TILE, rows, columns, -1)
        tiles = tiles.permute(2, 0, 3, 1, 4)
        tiled_output = output.view(rows, TILE, columns, TILE, -1)
        torch.add(tiles, self.bias, out=tiled_output)


class TrainableWinograd(nn.Conv2d):
    """A convolution of side 5 that keeps the size, with the gradients of any; entries and draws are
    those of `Conv2d`.

    All tiles at once, for crops. On a GPU it is torch's own, and under autocast too: the transforms
    would multiply the rounding errors.
    """

    outward: Tensor
    filters: Tensor
    inward: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        """Take over the parameters of a convolution, not copies of them."""
        side = conv.kernel_size[0]
        super().__init__(
            conv.in_channels, conv.out_channels, side, padding=side // 2, device="meta"
        )
        self.weight = conv.weight
        self.bias = conv.bias
        for name, matrix in make_transforms(side)._asdict().items():
            self.register_buffer(name, torch.from_numpy(matrix).to(conv.weight), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        height, width = x.shape[-2:]
        rows = _count_tiles(height)
        columns = _count_tiles(width)
        values = self.inward @ self._cut_patches(x, rows, columns)
        values = values.view(len(self.inward), -1, self.in_channels)
        weights = self.weight.permute(2, 3, 1, 0).flatten(0, 1)
        filters = self.filters @ weights.flatten(1)
        filters = filters.view(-1, *weights.shape[1:])
        products = torch.bmm(values, filters).flatten(1)
        tiles = self.outward @ products
        tiles = tiles.view(TILE, TILE, len(x), rows, columns, self.out_channels)
        tiles = tiles.permute(2, 3, 0, 4, 1, 5)
        output = tiles.reshape(len(x), rows * TILE, columns * TILE, -1)
        output = output[:, :height, :width]
        if self.bias is not None:
            output = output + self.bias
        return output.permute(0, 3, 1, 2)

    def _cut_patches(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Return the overlapping tiles, n^2 x all tiles' channels.

        They are put together of blocks of half a tile: the gradient of that is a few sums, that of
        `unfold` is slow.
        """
        rim = self.kernel_size[0] // 2
        height, width = x.shape[-2:]
        after = columns * TILE - width + rim
        below = rows * TILE - height + rim
        pixels = x.permute(0, 2, 3, 1)
        padded = F.pad(pixels, (0, 0, rim, after, rim, below))
        blocks = padded.view(len(x), rows + 1, TILE, columns + 1, TILE, -1)
        blocks = blocks.permute(2, 4, 0, 1, 3, 5)
        upper = blocks[:, :, :, :-1]
        lower = blocks[:, :, :, 1:]
        high = torch.cat([upper, lower], 0)
        left = high[:, :, :, :, :-1]
        right = high[:, :, :, :, 1:]
        patches = torch.cat([left, right], 1)
        return patches.flatten(0, 1).flatten(1)


def _count_tiles(side: int) -> int:
    """Return how many tiles cover so many pixels."""
    return -(-side // TILE)


class Transforms(NamedTuple):
    """The three matrices of Winograd's filtering, float64; n = side of the filter + 3.

    Attributes:
        inward: of inputs, n^2 x n^2.
        filters: of filters, n^2 x side^2.
        outward: of outputs, 16 x n^2.
    """

    inward: NDArray[np.floating]
    filters: NDArray[np.floating]
    outward: NDArray[np.floating]


def make_transforms(side: int) -> Transforms:
    """Return the matrices for filters of a side.

    In one dimension they follow from the product of polynomials, evaluated at n - 1 points and
    infinity, by transposition. Both dimensions at once are the Kronecker product.
    """
    size = side + TILE - 1
    inward = np.linalg.inv(_make_vandermonde_matrix(side, size)).T
    filters = _make_vandermonde_matrix(side, side)
    outward = _make_vandermonde_matrix(side, TILE).T
    # Rows of the same size on both sides keep rounding errors small.
    inward_size = np.abs(inward).max(1)
    filters_size = np.abs(filters).max(1)
    balance = np.sqrt(inward_size / filters_size)[:, None]
    inward = inward / balance
    filters = filters * balance
    return Transforms(np.kron(inward, inward), np.kron(filters, filters), np.kron(outward, outward))


def _make_vandermonde_matrix(side: int, terms: int) -> NDArray[np.float64]:
    """Return the powers 0 ... terms - 1 of the points for filters of a side, and of infinity: only
    the last counts.
    """
    points = np.array(_POINTS[side], np.float64)
    finite = np.vander(points, terms, increasing=True)
    infinity = np.eye(terms)[-1:]
    return np.vstack([finite, infinity])


def use_winograd_for_inference(network: nn.Module) -> None:
    """Replace the wide convolutions of a network in place; for a CPU."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d) and is_faster_by_winograd(child):
                setattr(module, name, WinogradConv2d(child))


def use_winograd_for_training(network: nn.Module) -> nn.Module:
    """Return the network with its wide convolutions of side 5 replaced in place; for a CPU."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if not isinstance(child, nn.Conv2d) or child.kernel_size != (5, 5):
                continue
            if is_faster_by_winograd(child):
                setattr(module, name, TrainableWinograd(child))
    return network


def is_faster_by_winograd(conv: nn.Conv2d) -> bool:
    """Return whether a convolution is of the kind that this way computes, and wide enough to be
    faster by it.
    """
    side = conv.kernel_size[0]
    rim = side // 2
    is_square = conv.kernel_size == (side, side)
    is_dense = conv.dilation == (1, 1) and conv.groups == 1
    keeps_size = conv.stride == (1, 1) and conv.padding == (rim, rim)
    if not (is_square and is_dense and keeps_size and conv.padding_mode in ("zeros", "reflect")):
        return False
    least = _LEAST_CHANNELS.get(side)
    if least is None:
        return False
    return min(conv.in_channels, conv.out_channels) >= least
