"""A block of NAFNet in two sweeps over the picture: one up to the means by which channels are
weighted, one from there on.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.methods.learned.networks.blocks import to_single_precision
from benchmark.methods.learned.networks.fast.loops import (
    LoopArray,
    compile_loop,
    to_channels_last_array,
)
from benchmark.methods.learned.networks.fast.threads import map_on_threads
from benchmark.methods.learned.networks.fast.tiles import (
    Reach,
    apply_in_tiles,
    apply_one_by_one,
    choose_tile,
)
from benchmark.methods.learned.networks.nafnet import NafBlock, multiply_halves

_CHANNELS = 64
"""Whose sums are computed at a time."""


class SweptNafBlock(nn.Module):
    """The same function as a block, N x C x H x W -> N x C x H x W."""

    def __init__(self, block: NafBlock) -> None:
        """Take over the layers of a block."""
        super().__init__()
        self.block = block
        self._width = block.mixer_project.out_channels

    def forward(self, x: Tensor) -> Tensor:
        return apply_one_by_one(self._sweep, x)

    def _sweep(self, x: Tensor) -> Tensor:
        tile = choose_tile(2 * self._width)
        mixture = apply_in_tiles(self._mix, [x], tile, Reach(1), in_parallel=True)
        assert isinstance(mixture, Tensor)
        height, width = x.shape[-2:]
        window = self.block.window
        if window is None or window >= max(height, width):
            means = mixture.mean((-2, -1), keepdim=True).expand_as(mixture)
        else:
            means = slide_averages(mixture, window)
        parts = [x, mixture, means]
        reach = Reach(0, (1, 1, 1))
        return cast(Tensor, apply_in_tiles(self._finish, parts, tile, reach, in_parallel=True))

    def _mix(self, x: Tensor) -> Tensor:
        block = self.block
        return multiply_halves(block.mixer_local(block.mixer_expand(block.mixer_norm(x))))

    def _finish(self, x: Tensor, mixture: Tensor, means: Tensor) -> Tensor:
        block = self.block
        mixture = mixture * block.mixer_weigh(means)
        x = x + block.mixer_scale * block.mixer_project(mixture)
        feed = multiply_halves(block.feed_expand(block.feed_norm(x)))
        result: Tensor = x + block.feed_scale * block.feed_project(feed)
        return result


def slide_averages(x: Tensor, window: int) -> Tensor:
    """Return what `average_locally` of the plain network does, from sums that slide over the
    picture, in float64.

    Args:
        x: 1 x C x H x W.
        window: side in pixels.
    """
    x = to_single_precision(x)
    result = torch.empty_like(x, memory_format=torch.channels_last)
    pixels = to_channels_last_array(x)[0]
    means = to_channels_last_array(result)[0]
    channels = x.shape[1]

    def fill(first: int) -> None:
        part = slice(first, first + _CHANNELS)
        _fill_means(pixels[..., part], window, means[..., part])

    for _ in map_on_threads(fill, range(0, channels, _CHANNELS)):
        pass
    return result


@compile_loop
def _fill_means(x: LoopArray, window: int, means: LoopArray) -> None:
    """Fill H x W x C with the means over the nearest whole window of each pixel."""
    height, width, channels = x.shape
    rows = min(window, height)
    top = (rows - 1) // 2
    last = height - rows
    column_sums = np.zeros((width, channels))
    for row in range(rows):
        column_sums += x[row]
    for row in range(last + 1):
        _fill_row(column_sums, min(window, width), rows, means[row + top])
        if row < last:
            _move_down(column_sums, x[row], x[row + rows])
    for row in range(top):
        means[row] = means[top]
    for row in range(last + top + 1, height):
        means[row] = means[last + top]


@compile_loop
def _fill_row(column_sums: LoopArray, window: int, rows: int, means: LoopArray) -> None:
    """Fill W x C with the means over so many columns and rows, from the sums of the rows."""
    width, channels = column_sums.shape
    left = (window - 1) // 2
    last = width - window
    share = 1.0 / (rows * window)
    total = np.zeros(channels)
    for column in range(window):
        total += column_sums[column]
    for column in range(last + 1):
        entering = column_sums[min(column + window, width - 1)]
        _move_right(total, column_sums[column], entering, share, means[column + left])
    for column in range(left):
        means[column] = means[left]
    for column in range(last + left + 1, width):
        means[column] = means[last + left]


@compile_loop
def _move_right(
    total: LoopArray, first: LoopArray, entering: LoopArray, share: float, means: LoopArray
) -> None:
    """Fill the means of a pixel from its total, then take a column from that and add another."""
    for c in range(total.size):
        means[c] = total[c] * share
        total[c] += entering[c] - first[c]


@compile_loop
def _move_down(column_sums: LoopArray, first: LoopArray, entering: LoopArray) -> None:
    """Take a row from sums over rows, and add another; all W x C."""
    width, channels = column_sums.shape
    for column in range(width):
        for c in range(channels):
            column_sums[column, c] += entering[column, c] - first[column, c]
