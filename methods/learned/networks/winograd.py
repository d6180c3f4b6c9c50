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

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

TILE = 4
_POINTS = {
    3: (0, 0.75, -0.75, 1.5, -1.5),
    5: (0, 0.5, -0.5, 1, -1, 2, -2),
}  # those of least rounding error
_LEAST = {
    3: 128,
    5: 64,
}  # side of the filter -> channels, in and out, from which it is the faster way
_BATCH = 96  # tiles at once: enough for efficient products, few enough to stay in the cache


class WinogradConv2d(nn.Module):
    """The same function as a convolution of stride 1 that keeps the size, N x C x H x W -> N x O x
    H x W.

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
        weight = conv.weight.detach()
        inward, filters, outward = (torch.from_numpy(matrix) for matrix in transforms(self._side))
        transformed = torch.einsum("kt,oct->kco", filters, weight.double().cpu().flatten(2))
        bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach()
        for name, value in {
            "inward": inward,
            "filters": transformed,
            "outward": outward,
            "bias": bias,
        }.items():
            self.register_buffer(name, value.to(weight).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return self.rows(x, above=self._side // 2, below=self._side // 2)

    def rows(self, x: Tensor, above: int, below: int) -> Tensor:
        """Return the convolution with so many rows of zeros above and below; r // 2 columns of them
        on either side.
        """
        rim = self._side // 2
        height, width = x.shape[-2] + above + below - 2 * rim, x.shape[-1]
        rows, columns = (-(-side // TILE) for side in (height, width))
        right, bottom = columns * TILE - width + rim, rows * TILE - height + below
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, rim, right, above, bottom))
        result = x.new_empty((len(x), rows * TILE, columns * TILE, len(self.bias)))
        step = -(-_BATCH // columns)
        for picture, made in zip(padded, result, strict=True):
            for start in range(0, rows, step):
                band = slice(start * TILE, (start + step) * TILE)
                self._band(picture[band.start : band.stop + 2 * rim], made[band])
        return result[:, :height, :width].permute(0, 3, 1, 2)

    def _band(self, x: Tensor, made: Tensor) -> None:
        """Write the outputs of some rows of tiles to `made`, H x W x O, from x, (H + r - 1) x (W +
        r - 1) x C.
        """
        side, channels = self._side + TILE - 1, x.shape[-1]
        rows, columns = (size // TILE for size in made.shape[:2])
        patches = x.unfold(0, side, TILE).unfold(1, side, TILE).permute(3, 4, 0, 1, 2)
        values = self.inward @ patches.reshape(side * side, -1)
        products = torch.bmm(values.view(side * side, -1, channels), self.filters)
        tiles = (self.outward @ products.view(side * side, -1)).view(TILE, TILE, rows, columns, -1)
        torch.add(
            tiles.permute(2, 0, 3, 1, 4), self.bias, out=made.view(rows, TILE, columns, TILE, -1)
        )


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
        self.weight, self.bias = conv.weight, conv.bias
        for name, matrix in zip(("inward", "filters", "outward"), transforms(side), strict=True):
            self.register_buffer(name, torch.from_numpy(matrix).to(conv.weight), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        height, width = x.shape[-2:]
        rows, columns = (-(-side // TILE) for side in (height, width))
        values = (self.inward @ self._patches(x, rows, columns)).view(
            len(self.inward), -1, self.in_channels
        )
        weights = self.weight.permute(2, 3, 1, 0).flatten(0, 1)
        filters = (self.filters @ weights.flatten(1)).view(-1, *weights.shape[1:])
        products = torch.bmm(values, filters).flatten(1)
        tiles = (self.outward @ products).view(TILE, TILE, len(x), rows, columns, self.out_channels)
        made = tiles.permute(2, 3, 0, 4, 1, 5).reshape(len(x), rows * TILE, columns * TILE, -1)[
            :, :height, :width
        ]
        return (made if self.bias is None else made + self.bias).permute(0, 3, 1, 2)

    def _patches(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Return the overlapping tiles, n^2 x all tiles' channels.

        They are put together of blocks of half a tile: the gradient of that is a few sums, that of
        `unfold` is slow.
        """
        rim, (height, width) = self.kernel_size[0] // 2, x.shape[-2:]
        pads = (0, 0, rim, columns * TILE - width + rim, rim, rows * TILE - height + rim)
        padded = F.pad(x.permute(0, 2, 3, 1), pads)
        blocks = padded.view(len(x), rows + 1, TILE, columns + 1, TILE, -1).permute(
            2, 4, 0, 1, 3, 5
        )
        high = torch.cat([blocks[:, :, :, :-1], blocks[:, :, :, 1:]], 0)
        return torch.cat([high[:, :, :, :, :-1], high[:, :, :, :, 1:]], 1).flatten(0, 1).flatten(1)


def transforms(side: int) -> tuple[NDArray[np.floating], ...]:
    """Return the matrices for inputs (n^2 x n^2), filters (n^2 x side^2) and outputs (16 x n^2), n
    = side + 3, float64.

    In one dimension they follow from the product of polynomials, evaluated at n - 1 points and
    infinity, by transposition. Both dimensions at once are the Kronecker product.
    """
    size = side + TILE - 1
    inward = np.linalg.inv(_vandermonde(side, size)).T
    filters, outward = _vandermonde(side, side), _vandermonde(side, TILE).T
    balance = np.sqrt(np.abs(inward).max(1) / np.abs(filters).max(1))[
        :, None
    ]  # keeps rounding errors small
    inward, filters = inward / balance, filters * balance
    return np.kron(inward, inward), np.kron(filters, filters), np.kron(outward, outward)


def _vandermonde(side: int, terms: int) -> NDArray[np.float64]:
    """Return the powers 0 ... terms - 1 of the points for filters of a side, and of infinity: only
    the last counts.
    """
    finite = np.vander(np.array(_POINTS[side], np.float64), terms, increasing=True)
    return np.vstack([finite, np.eye(terms)[-1:]])


def fast(network: nn.Module, device: str) -> nn.Module:
    """Return the network with channels last and, on a CPU, its wide convolutions replaced in place;
    for inference.
    """
    if torch.device(device).type == "cpu":
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Conv2d) and gains(child):
                    setattr(module, name, WinogradConv2d(child))
    return network.to(memory_format=torch.channels_last)


def trainable(network: nn.Module) -> nn.Module:
    """Return the network with its wide convolutions of side 5 replaced in place, for training on a
    CPU.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d) and child.kernel_size == (5, 5) and gains(child):
                setattr(module, name, TrainableWinograd(child))
    return network


def gains(conv: nn.Conv2d) -> bool:
    """Return whether a convolution is of the kind that this way computes, and wide enough to be
    faster by it.
    """
    side = conv.kernel_size[0]
    keeps_size = (
        conv.stride == (1, 1)
        and conv.padding == (side // 2, side // 2)
        and conv.padding_mode == "zeros"
    )
    plain = conv.kernel_size == (side, side) and conv.dilation == (1, 1) and conv.groups == 1
    return (
        keeps_size
        and plain
        and min(conv.in_channels, conv.out_channels) >= _LEAST.get(side, 1 << 30)
    )
