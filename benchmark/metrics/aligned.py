"""PSNR of pictures that do not quite lie over each other.

The two exposures of a real pair differ by more than blur: the camera moves by a fraction of a
pixel, and a lens breathes as it is stopped down. PSNR then measures displacement too, and favours
what is smooth. Here each tile of the output is moved by up to two pixels to where it fits the
target best, and only then compared; by how much is a measure of its own. It forgives a method that
displaces its output, so it stands beside PSNR and not in its place.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.api import Metric, MetricCard
from benchmark.arrays import Float64Array
from benchmark.metrics.inputs import as_pair
from benchmark.metrics.psnr import PSNR_CAP

TILE = 512
"""Longest side of a tile in pixels."""
REACH = 2.0
"""Largest displacement on either axis in pixels; a tile that seems to lie further off stays."""
BORDER = 3
"""Pixels at the border of the picture that are not compared: what moves in from beyond is not
known.
"""
SMALLEST_SIDE = 32
STEPS_PER_PIXEL = 20

_CONTEXT = 12
"""Pixels around a tile that are moved with it, so that its own border is known."""
_LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601, on code values."""
_FLAT = 1e-6
"""Standard deviation of the luma below which a tile has nothing to be aligned by."""


class AlignedTile(NamedTuple):
    """A tile after it was moved.

    Attributes:
        shift: how far it was moved, (down, right) in pixels.
        squared_error: sum over its pixels and channels.
        size: number of pixels times channels.
    """

    shift: tuple[float, float]
    squared_error: float
    size: int


class AlignedPsnr(Metric):
    """PSNR after each tile of the output was moved to where it fits the target best."""

    card = MetricCard(
        title="PSNR aligned",
        unit="dB",
        paper="PSNR after the best shift of each 512 px tile within 2 px, capped at 100 dB",
        digits=2,
        limits=(0, PSNR_CAP),
    )

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the PSNR in dB; raises ValueError as `align_tiles` does."""
        tiles = align_tiles(output, target)
        mse = math.fsum(tile.squared_error for tile in tiles) / sum(tile.size for tile in tiles)
        if mse == 0:
            return PSNR_CAP
        return min(PSNR_CAP, -10 * math.log10(mse))


class Misalignment(Metric):
    """How far the tiles of the output were moved to fit the target, in pixels, the mean over
    tiles.
    """

    card = MetricCard(
        title="shift",
        unit="px",
        higher_is_better=False,
        paper="mean length of the best shifts of 512 px tiles within 2 px",
        digits=2,
        limits=(0, math.hypot(REACH, REACH)),
        warning="it says how output and target lie, which a data set decides as much as a method.",
    )

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the mean length; raises ValueError as `align_tiles` does."""
        lengths = [math.hypot(*tile.shift) for tile in align_tiles(output, target)]
        return math.fsum(lengths) / len(lengths)


def align_tiles(
    output: NDArray[np.floating], target: NDArray[np.floating]
) -> tuple[AlignedTile, ...]:
    """Return the tiles of a picture, each moved to where it fits the target best.

    Tiles are as equal as can be, and no side is longer than 512 pixels. The displacement is the
    peak of the cross-correlation of luma under a Hann window (Guizar-Sicairos, Thurman and Fienup,
    Optics Letters 33, 2008, in scikit-image), to 1/20 pixel, found twice: a window holds only a
    part of what moved, which draws the first estimate towards 0. A tile stays where it is if the
    peak lies beyond two pixels, or if moving it makes the squared error no less. Tiles are moved by
    splines of order 5, which pass nearly the whole band.

    Args:
        output, target: H x W x 3 on the [0, 1] scale, at least 32 x 32.

    Raises:
        ValueError: shapes that differ, or smaller pictures.
    """
    output_pixels, target_pixels = as_pair(output, target, SMALLEST_SIDE, "aligned PSNR")
    return tuple(
        _align_tile(output_pixels, target_pixels, rows, columns)
        for rows in _split_axis(target.shape[0])
        for columns in _split_axis(target.shape[1])
    )


def _split_axis(length: int) -> Iterator[tuple[int, int]]:
    """Yield where tiles begin and end along an axis, without the border of the picture."""
    inner = length - 2 * BORDER
    count = -(-inner // TILE)
    edges = [BORDER + round(inner * number / count) for number in range(count + 1)]
    yield from itertools.pairwise(edges)


def _align_tile(
    output: Float64Array, target: Float64Array, rows: tuple[int, int], columns: tuple[int, int]
) -> AlignedTile:
    tile = (slice(*rows), slice(*columns))
    wide_tile = (_widen(rows), _widen(columns))
    inner = tuple(
        slice(part.start - wide.start, part.stop - wide.start)
        for part, wide in zip(tile, wide_tile, strict=True)
    )
    surroundings = output[wide_tile]
    target_tile = target[tile]
    error = _sum_squares(surroundings[inner], target_tile)
    shift = _find_shift(surroundings @ _LUMA, target[wide_tile] @ _LUMA)
    if max(map(abs, shift)) <= REACH and shift != (0.0, 0.0):
        channels = np.moveaxis(surroundings, 2, 0)
        planes = [ndimage.shift(plane, shift, order=5, mode="nearest") for plane in channels]
        error_after = _sum_squares(np.dstack(planes)[inner], target_tile)
        if error_after < error:
            return AlignedTile(shift, error_after, target_tile.size)
    return AlignedTile((0.0, 0.0), error, target_tile.size)


def _widen(ends: tuple[int, int]) -> slice:
    """Return a stretch with its context, as far as the picture has it."""
    return slice(max(0, ends[0] - _CONTEXT), ends[1] + _CONTEXT)


def _sum_squares(output: Float64Array, target: Float64Array) -> float:
    return float(np.sum(np.square(output - target)))


def _find_shift(moving: Float64Array, fixed: Float64Array) -> tuple[float, float]:
    """Return the displacement (down, right) that brings `moving` onto `fixed`; 0 where a plane is
    flat.
    """
    if min(moving.std(), fixed.std()) < _FLAT:
        return 0.0, 0.0
    first = _correlate(moving, fixed)
    if max(map(abs, first)) > REACH + 1:
        return first
    rest = _correlate(ndimage.shift(moving, first, order=3, mode="nearest"), fixed)
    return first[0] + rest[0], first[1] + rest[1]


def _correlate(moving: Float64Array, fixed: Float64Array) -> tuple[float, float]:
    # Half a second, which a listing of metrics need not pay.
    from skimage.registration import phase_cross_correlation

    window = np.outer(np.hanning(moving.shape[0]), np.hanning(moving.shape[1]))
    # Not normalised: where the output is blurred, the phases of fine detail are noise.
    (down, right), _, _ = phase_cross_correlation(  # type: ignore[no-untyped-call]
        (fixed - fixed.mean()) * window,
        (moving - moving.mean()) * window,
        upsample_factor=STEPS_PER_PIXEL,
        normalization=None,
    )
    return float(down), float(right)
