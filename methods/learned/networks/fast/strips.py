"""Convolutional layers over pictures that are given a strip of rows at a time.

A whole feature map of a large picture is hundreds of megabytes: it leaves the cache, and on a CPU
merely allocating it takes a good part of a layer's time. A strip of a few megabytes does neither.
Here a strip knows where it lies, so that a convolution pads it with zeros where the picture ends
and shortens it where it was merely cut: whatever chain of layers a strip passes through, the rows
that come out are those of the whole picture. Under autocast layers multiply bfloat16; what lies
between them is float32. Tensors are 1 x C x rows x W in channels_last, for inference only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmark.methods.learned.networks.blocks import double_size, to_single_precision
from benchmark.methods.learned.networks.fast.threads import map_on_threads
from benchmark.methods.learned.networks.fast.winograd import (
    WinogradConv2d,
    is_faster_by_winograd,
)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """Rows of a picture.

    Attributes:
        rows: 1 x C x n x W; nobody writes into it.
        first: index of the first row in the picture.
        height: rows of the whole picture.
    """

    rows: Tensor
    first: int
    height: int

    @property
    def end(self) -> int:
        """Index after the last row."""
        return self.first + self.rows.shape[-2]

    def part(self, first: int, end: int) -> Tensor:
        """Return rows `first` to `end` of the picture as they lie in memory."""
        return self.rows[..., first - self.first : end - self.first, :]


class RowSource(Protocol):
    """A picture that gives its rows on demand.

    Attributes:
        height, width: of the whole picture.
    """

    height: int
    width: int

    def strip(self, first: int, end: int) -> Strip:
        """Return the rows from `first` to `end`, as far as the picture has them."""
        ...


class WholePicture:
    """A source that is all in memory."""

    def __init__(self, picture: Tensor) -> None:
        """Take a 1 x C x H x W picture; it is not copied."""
        self.picture = picture
        self.height, self.width = picture.shape[-2:]

    def strip(self, first: int, end: int) -> Strip:
        first = max(0, first)
        end = min(self.height, end)
        return Strip(self.picture[..., first:end, :], first, self.height)


class DoublePicture:
    """A source that enlarges a picture to twice its size as its rows are asked for; bilinear
    (align_corners=False).
    """

    def __init__(self, picture: Tensor) -> None:
        """Take the 1 x C x H x W picture to enlarge."""
        self._picture = picture
        self.height = 2 * picture.shape[-2]
        self.width = 2 * picture.shape[-1]

    def strip(self, first: int, end: int) -> Strip:
        first = max(0, first)
        end = min(self.height, end)
        # One row more on each side, so that no cut passes for the picture's border.
        above = max(0, first // 2 - 1)
        below = (end + 1) // 2 + 1
        large = double_size(self._picture[..., above:below, :])
        rows = large[..., first - 2 * above : end - 2 * above, :]
        return Strip(rows, first, self.height)


class SumPicture:
    """A source that adds two as its rows are asked for."""

    def __init__(self, first: RowSource, second: RowSource) -> None:
        """Take two sources of one size."""
        self._terms = (first, second)
        self.height = first.height
        self.width = first.width

    def strip(self, first: int, end: int) -> Strip:
        one, other = (term.strip(first, end) for term in self._terms)
        return Strip(one.rows + other.rows, one.first, self.height)


class StripConvolution:
    """A convolution with its normalisation worked in: size k, zero padding k // 2, stride 1 or 2
    for odd k.
    """

    def __init__(
        self, conv: nn.Conv2d, bn: nn.BatchNorm2d | None = None, relu: bool = False
    ) -> None:
        """Take the weights of a convolution and of the normalisation after it.

        Raises:
            ValueError: if it is padded otherwise.
        """
        size = conv.kernel_size[0]
        if conv.padding != (size // 2, size // 2) or conv.groups != 1 or conv.dilation != (1, 1):
            raise ValueError(f"strips take convolutions padded by half their size, got {conv}")
        if bn is not None:
            conv = fuse_conv_bn_eval(conv, bn)
        self._winograd = WinogradConv2d(conv) if is_faster_by_winograd(conv) else None
        self._weight = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._pad = size // 2
        self._stride = conv.stride[0]
        self._relu = relu

    def __call__(self, x: Strip) -> Strip:
        """Return all rows that can be had from a strip. A cut before a strided layer must fall on
        an odd row.
        """
        above = self._pad if x.first == 0 else 0
        below = self._pad if x.end == x.height else 0
        rows = self._convolve(x.rows, above, below)
        if self._relu:
            rows.relu_()
        first = (x.first + self._pad - above) // self._stride
        return Strip(rows, first, x.height // self._stride)

    def _convolve(self, rows: Tensor, above: int, below: int) -> Tensor:
        # Winograd's transforms would multiply the rounding errors of bfloat16.
        if self._winograd is not None and not torch.is_autocast_enabled("cpu"):
            return self._winograd.convolve_rows(rows, above, below)
        if above or below:
            rows = F.pad(rows, (0, 0, above, below))
        rows = F.conv2d(rows, self._weight, self._bias, self._stride, (0, self._pad))
        return to_single_precision(rows)


class StripDeconvolution:
    """A transposed convolution of size and stride 2, with its normalisation and rectifier."""

    def __init__(self, conv: nn.ConvTranspose2d, bn: nn.BatchNorm2d) -> None:
        """Take the weights."""
        conv = fuse_conv_bn_eval(conv, bn, transpose=True)
        self._weight = conv.weight.detach()
        self._bias = None if conv.bias is None else conv.bias.detach()

    def __call__(self, x: Strip) -> Strip:
        """Return twice as many rows."""
        rows = F.conv_transpose2d(x.rows, self._weight, self._bias, stride=2)
        return Strip(to_single_precision(rows).relu_(), 2 * x.first, 2 * x.height)


class StripEnlargement:
    """A 1 x 1 convolution with its normalisation, then bilinear enlargement by two and the
    rectifier.
    """

    def __init__(self, conv: nn.Conv2d, bn: nn.BatchNorm2d) -> None:
        """Take the weights. Normalisation acts before the enlargement, which keeps means."""
        self._conv = StripConvolution(conv, bn)

    def __call__(self, x: Strip) -> Strip:
        """Return all rows that can be had from a strip: twice as many, but for one at each cut."""
        small = self._conv(x)
        large = Strip(double_size(small.rows), 2 * small.first, 2 * small.height)
        first = large.first if small.first == 0 else large.first + 1
        end = large.end if small.end == small.height else large.end - 1
        return Strip(large.part(first, end).relu_(), first, large.height)


def iterate_strips(height: int, rows: int) -> Iterator[tuple[int, int]]:
    """Yield (first, end) of consecutive strips that cover a picture."""
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def map_strips(
    function: Callable[[int, int], Result], height: int, rows: int, large: bool = False
) -> Iterator[Result]:
    """Yield `function(first, end)` of consecutive strips of a picture, from top to bottom.

    As many strips at a time as torch would use threads (see `map_on_threads`). Large pictures have
    a strip at a time, as several take too much memory.
    """
    strips = iterate_strips(height, rows)
    if large:
        yield from itertools.starmap(function, strips)
    else:
        yield from map_on_threads(lambda strip: function(*strip), strips)


def count_strip_rows(megabytes: float, least: int, channels: int, width: int) -> int:
    """Return how many rows of float32 features make a strip of about so many megabytes: an even
    number.

    Args:
        megabytes: of a strip.
        least: rows, however wide the picture; in lower strips the rows computed twice outweigh all
            else.
        channels, width: of the features.
    """
    rows = max(least, int(megabytes * 1e6 / (4 * channels * width)))
    return max(2, rows // 2 * 2)
