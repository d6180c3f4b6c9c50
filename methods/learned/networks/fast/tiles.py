"""Layers applied to one overlapping tile of their inputs at a time.

A whole feature map of a large picture is hundreds of megabytes: it leaves the cache, and on a CPU
merely allocating it takes a good part of a layer's time. A tile of a few megabytes does neither. It
is handed over with so many more pixels on every side that what happens at a cut never reaches the
pixels that are kept; where the picture itself ends, the layers see its end. So the result is that
of the whole picture, up to rounding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from benchmark.methods.learned.networks.fast.threads import map_on_threads

Result = TypeVar("Result")
Layers = Callable[..., Tensor | tuple[Tensor, ...]]
"""Takes inputs, N x C x H x W each, and returns one output or several, all of one height and
width.
"""
MEGABYTES = 6.0
"""Of the widest features of a tile (measured: between 3 and 12 the time hardly changes)."""


@dataclass(frozen=True, slots=True)
class Reach:
    """On which pixels of its inputs an output of layers depends.

    Attributes:
        halo: pixels of the output on every side of a tile, beyond which inputs no longer matter.
        scales: side of each input over that of the output: 2 where the layers halve the size, 1/2
            where they double it.
        multiple: tiles begin at multiples of so many pixels of the output, so that layers which
            change the size see the same grid as in the whole picture.
    """

    halo: int
    scales: tuple[Fraction | int, ...] = (1,)
    multiple: int = 1


class _Span(NamedTuple):
    """Pixels of a tile along one axis of the output.

    Attributes:
        start, end: those that are kept.
        before, after: those that are computed, from `before` to `after`.
    """

    start: int
    end: int
    before: int
    after: int


class InTiles(nn.Module):
    """Layers applied in tiles, with the same result."""

    def __init__(
        self, layers: nn.Module, reach: Reach, width: int, in_parallel: bool = True
    ) -> None:
        """Take layers and their reach.

        Args:
            layers: see `Layers`.
            reach: of the layers.
            width: the number of channels of their widest features, at the size of the output.
            in_parallel: see `map_tiles`; not within other layers that are applied so.
        """
        super().__init__()
        self.layers = layers
        self.reach = reach
        self.width = width
        self.in_parallel = in_parallel

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        tile = choose_tile(self.width)
        return apply_in_tiles(self.layers, inputs, tile, self.reach, self.in_parallel)


def choose_tile(width: int) -> int:
    """Return the side in pixels of a tile with so many channels of float32."""
    return int(math.sqrt(MEGABYTES * 1e6 / (4 * width)))


def apply_in_tiles(
    layers: Layers, inputs: Sequence[Tensor], tile: int, reach: Reach, in_parallel: bool = False
) -> Tensor | tuple[Tensor, ...]:
    """Return what layers make of inputs, computed tile by tile where the output is larger than one.

    Args:
        layers: see `Layers`.
        inputs: N x C x H x W each. Where the size of the first is no multiple of its scale, it is
            not cut.
        tile: largest side of a tile in pixels of the output; 0 for no tiles. Rounded up to a
            multiple.
        reach: of the layers. The result is exact if no output depends on anything further away.
        in_parallel: see `map_tiles`.
    """
    height, width = _measure_output(inputs[0], reach)
    if not tile or max(height, width) <= tile or not _is_divisible(inputs[0], reach):
        return layers(*inputs)
    results: tuple[Tensor, ...] = ()
    for rows, columns, tiles in map_tiles(layers, inputs, tile, reach, tuple, in_parallel):
        results = results or tuple(_make_empty(part, height, width) for part in tiles)
        for result, part in zip(results, tiles, strict=True):
            result[..., rows, columns] = part
    return results if len(results) > 1 else results[0]


def map_tiles(
    layers: Layers,
    inputs: Sequence[Tensor],
    tile: int,
    reach: Reach,
    finish: Callable[[list[Tensor]], Result],
    in_parallel: bool = True,
) -> Iterator[tuple[slice, slice, Result]]:
    """Yield the rows and the columns of each tile, and what `finish` makes of the outputs there.

    Args:
        layers, inputs, tile, reach: see `apply_in_tiles`.
        finish: is given the outputs of layers within the tile.
        in_parallel: as many tiles at a time as torch would use threads, each on one of them. That
            is faster than every layer on all threads, which wait for each other after each.
    """
    height, width = _measure_output(inputs[0], reach)

    def compute(place: tuple[_Span, _Span]) -> tuple[slice, slice, Result]:
        rows, columns = place
        parts = [
            _cut_input(source, scale, rows, columns)
            for source, scale in zip(inputs, reach.scales, strict=True)
        ]
        outputs = layers(*parts)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        result = finish([_keep_tile(output, rows, columns) for output in outputs])
        return slice(rows.start, rows.end), slice(columns.start, columns.end), result

    places = itertools.product(_cut_spans(height, tile, reach), _cut_spans(width, tile, reach))
    if in_parallel:
        yield from map_on_threads(compute, places)
    else:
        yield from map(compute, places)


def apply_one_by_one(layers: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """Return what layers that take one picture make of each of a batch, N x C x H x W."""
    if len(batch) == 1:
        return layers(batch)  # without a copy
    return torch.cat([layers(picture[None]) for picture in batch])


def _measure_output(source: Tensor, reach: Reach) -> tuple[int, int]:
    """Return height and width of the output for the first input."""
    height, width = source.shape[-2:]
    return int(height / reach.scales[0]), int(width / reach.scales[0])


def _is_divisible(source: Tensor, reach: Reach) -> bool:
    """Return whether the output's size follows from that of the first input without rounding."""
    return all((side / Fraction(reach.scales[0])).denominator == 1 for side in source.shape[-2:])


def _cut_spans(side: int, tile: int, reach: Reach) -> list[_Span]:
    """Return the tiles along an axis: as few as possible, about equally large."""
    count = -(-side // _round_up(tile, reach.multiple))
    size = _round_up(-(-side // count), reach.multiple)
    halo = _round_up(reach.halo, reach.multiple)
    spans: list[_Span] = []
    for start in range(0, side, size):
        end = min(start + size, side)
        spans.append(_Span(start, end, max(0, start - halo), min(side, end + halo)))
    return spans


def _cut_input(source: Tensor, scale: Fraction | int, rows: _Span, columns: _Span) -> Tensor:
    """Return the pixels of an input on which a tile depends, in one piece of memory."""
    above, below = int(rows.before * scale), int(rows.after * scale)
    before, after = int(columns.before * scale), int(columns.after * scale)
    part = source[..., above:below, before:after]
    return part.contiguous(memory_format=torch.channels_last)


def _keep_tile(output: Tensor, rows: _Span, columns: _Span) -> Tensor:
    """Return a tile's own pixels of what was computed with those around it."""
    top = rows.start - rows.before
    left = columns.start - columns.before
    height = rows.end - rows.start
    width = columns.end - columns.start
    return output[..., top : top + height, left : left + width]


def _make_empty(part: Tensor, height: int, width: int) -> Tensor:
    """Return memory for the picture of which a part is given."""
    size = (*part.shape[:-2], height, width)
    return torch.empty(
        size, dtype=part.dtype, device=part.device, memory_format=torch.channels_last
    )


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
