"""Blur whose PSF changes from pixel to pixel, for any PSF family, and its adjoint.

A ladder of kernels h_k of one family, ordered by their variance, stands for the continuum. Each
pixel mixes the two rungs that enclose its own sigma^2, linearly in variance (as
`benchmark.optics.gkm.mixing_coefficients` does), so that the mixed kernel has its second moment
exactly:

    B x = sum_k w_k * (h_k conv x)        B^T z = sum_k h_k conv (w_k * z)

The border is continued by half-sample reflection, under which a kernel that is its own mirror image
in both axes is a symmetric matrix, so B^T is the exact transpose, border included, and B keeps a
constant picture.

It works tile by tile, in each with the rungs that occur there. A Gaussian is applied as two passes,
a disk directly or, where that is dearer, through one Fourier transform of the tile for all of its
rungs. The transform's rounding is relative to the largest value in the tile (some 2e-7 of it), so a
result that should be 0 may fall below by as much.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import cv2
import numpy as np
from scipy import fft

from benchmark.api import Map, Picture
from benchmark.arrays import Box, Complex64Array, Float32Array, Float64Array, weigh_channels
from benchmark.optics import gkm
from benchmark.optics._tiles import (
    BORDER,
    crop_with_halo,
    for_each_in_threads,
    grow_box,
    inner_box,
    nonzero_box,
    tile_boxes,
)
from benchmark.optics.kernel_shape import KernelShape, sized_kernel
from benchmark.optics.psf import PsfFamily

BlurFamily = Literal["gaussian", "disk", "gkm"] | KernelShape
"""A shape from a file is applied as a disk is."""

STEP = 0.125
"""Distance of the rungs in sigma, pixels; `gkm` has the rungs of the paper's bank."""

_TILE = (128, 128)

# Nanoseconds per pixel and channel, roughly, as timed on one core; they decide between the two ways
# to apply a disk.
_PER_TAP = 0.043
# OpenCV turns to a transform of its own, which costs the same from this size on.
_SLOW_FROM = 13
_SLOW_COST = 14.0
_TRANSFORM = 3.6
_PER_CALL = 2000  # pixels: what the calls themselves cost, as that many more


class _RungPart(NamedTuple):
    """One rung in one tile, with the box of its weights in the coordinates of the tile grown by the
    job's halo.
    """

    rung: int
    box: Box


class _TileJob(NamedTuple):
    """What to do in one tile: `halo` is how far its rungs look, `shape` the size of the
    transform.
    """

    tile: Box
    halo: int
    shape: tuple[int, int]
    direct: list[_RungPart]
    by_transform: list[_RungPart]


class VaryingBlur:
    """The operator B of one blur map, and its adjoint.

    Both run on as many threads as OpenCV may use (`cv2.getNumThreads()`), and no result depends on
    their number.
    """

    def __init__(self, blur_map: Map, family: BlurFamily) -> None:
        """Prepare the operator.

        Args:
            blur_map: H x W, sigma in pixels, >= 0. The `gkm` family ends at the paper's largest
                kernel.
            family: `gaussian` or `disk` (area-sampled), `gkm`: the mixture that the paper's bank
                makes of a sigma, or the shape of a kernel from a file.

        Raises:
            ValueError: for a map that is negative, not finite or above `LARGEST`, or an unknown
                family.
        """
        gkm.check_blur_map(blur_map)
        kernels, variances = kernel_ladder(family, float(blur_map.max()))
        position = np.interp(
            np.square(blur_map, dtype=np.float64),
            variances,
            np.arange(len(variances), dtype=np.float64),
        )
        self._position = position.astype(np.float32)
        self._family = family
        self._kernels = kernels
        is_separable = family in ("gaussian", "gkm")
        self._taps = [psf.sum(axis=0) for psf in kernels] if is_separable else None
        boxes = tile_boxes((blur_map.shape[0], blur_map.shape[1]), _TILE)
        self._gather = [self._plan_job(box, spread=False) for box in boxes]
        self._scatter = [self._plan_job(box, spread=True) for box in boxes]

    def forward(self, x: Picture) -> Picture:
        """Return B x (H x W x 3)."""
        x = np.ascontiguousarray(x, np.float32)
        result = np.empty_like(x)

        def work(job: _TileJob) -> None:
            neighbourhood = crop_with_halo(x, job.tile, job.halo)
            position = crop_with_halo(self._position, job.tile, job.halo)
            result[job.tile] = self._gather_tile(neighbourhood, position, job)

        for_each_in_threads(work, self._gather)
        return result

    def adjoint(self, z: Picture) -> Picture:
        """Return B^T z (H x W x 3)."""
        z = np.ascontiguousarray(z, np.float32)
        result = np.empty_like(z)

        def work(job: _TileJob) -> None:
            neighbourhood = crop_with_halo(z, job.tile, job.halo)
            position = crop_with_halo(self._position, job.tile, job.halo)
            result[job.tile] = self._scatter_tile(neighbourhood, position, job)

        for_each_in_threads(work, self._scatter)
        return result

    def _plan_job(self, tile: Box, *, spread: bool) -> _TileJob:
        """Plan a tile: B gathers with the weights inside it, B^T spreads from those within a
        kernel's reach of it.
        """
        if spread:  # farther rungs may reach in; look as far as the ladder's largest kernel does
            largest_halo = len(self._kernels[-1]) // 2
        else:
            largest_halo = max(self._halo(rung) for rung in _mixing_rungs(self._position[tile]))
        position = crop_with_halo(self._position, tile, largest_halo)
        rungs = _mixing_rungs(position if spread else self._position[tile])
        boxes: list[tuple[int, Box]] = []  # rungs, and where they lie in `position`
        for rung in rungs:
            margin = largest_halo - self._halo(rung) if spread else largest_halo
            box = nonzero_box(_rung_weight(position[inner_box(position, margin)], rung))
            if box is not None:
                boxes.append((rung, _move_box(box, margin)))
        halo = max(self._halo(rung) for rung, _ in boxes)
        parts = [_RungPart(rung, _move_box(box, halo - largest_halo)) for rung, box in boxes]
        shape = (_fast_length(tile[0], halo), _fast_length(tile[1], halo))
        pixels = shape[0] * shape[1]
        direct = [part for part in parts if self._is_direct(part, pixels)]
        by_transform = [part for part in parts if not self._is_direct(part, pixels)]
        return _TileJob(tile, halo, shape, direct, by_transform)

    def _halo(self, rung: int) -> int:
        return len(self._kernels[rung]) // 2

    def _is_direct(self, part: _RungPart, pixels: int) -> bool:
        """Whether the rung costs less when applied to its box than by a transform of that many
        pixels.
        """
        size = len(self._kernels[part.rung])
        if self._taps is not None or size == 1:
            return True
        rows, columns = part.box
        area = (rows.stop - rows.start + size - 1) * (columns.stop - columns.start + size - 1)
        cost = _PER_TAP * size**2 if size < _SLOW_FROM else _SLOW_COST
        return bool(cost * (area + _PER_CALL) < _TRANSFORM * pixels)

    def _gather_tile(self, x: Picture, position: Map, job: _TileJob) -> Picture:
        """Return a tile of B x, from x and the rungs' places around it."""
        total = np.zeros((x.shape[0] - 2 * job.halo, x.shape[1] - 2 * job.halo, 3), np.float32)
        for part in job.direct:
            margin = self._halo(part.rung)
            neighbourhood = x[grow_box(_move_box(part.box, -margin), margin)]
            blurred = self._filter(neighbourhood, part.rung, BORDER)
            weight = _rung_weight(position[part.box], part.rung)
            total[_move_box(part.box, -job.halo)] += weigh_channels(
                blurred[inner_box(blurred, margin)], weight
            )
        if job.by_transform:
            planes = np.ascontiguousarray(x.transpose(2, 0, 1))
            spectrum = fft.rfft2(planes, job.shape)
            for part in job.by_transform:
                product = spectrum * self._response(part.rung, job.shape)
                columns = fft.ifft(product, axis=-2, overwrite_x=True)
                rows = fft.irfft(columns[:, part.box[0]], job.shape[1], axis=-1)[..., part.box[1]]
                rows *= _rung_weight(position[part.box], part.rung)
                total[_move_box(part.box, -job.halo)] += rows.transpose(1, 2, 0)
        return total

    def _scatter_tile(self, z: Picture, position: Map, job: _TileJob) -> Picture:
        """Return a tile of B^T z, from z and the rungs' places around it."""
        shape = z.shape[0] - 2 * job.halo, z.shape[1] - 2 * job.halo
        total = np.zeros((*shape, 3), np.float32)
        for part in job.direct:
            margin = self._halo(part.rung)
            product = weigh_channels(z[part.box], _rung_weight(position[part.box], part.rung))
            padded = cv2.copyMakeBorder(
                product, margin, margin, margin, margin, cv2.BORDER_CONSTANT
            )
            blurred = self._filter(padded, part.rung, cv2.BORDER_CONSTANT)  # type: ignore[arg-type]
            source_box, tile_box = _overlap_boxes(
                _move_box(part.box, -margin - job.halo), blurred.shape, shape
            )
            total[tile_box] += blurred[source_box]
        if job.by_transform:
            planes = np.ascontiguousarray(z.transpose(2, 0, 1))
            spectrum = np.zeros((3, job.shape[0], job.shape[1] // 2 + 1), np.complex64)
            for part in job.by_transform:
                weight = _rung_weight(position[part.box], part.rung)
                rows = np.zeros((3, weight.shape[0], job.shape[1]), np.float32)
                rows[..., part.box[1]] = planes[:, *part.box] * weight
                columns = np.zeros_like(spectrum)
                columns[:, part.box[0]] = fft.rfft(rows, axis=-1)
                response = self._response(part.rung, job.shape)
                columns = fft.fft(columns, axis=-2, overwrite_x=True)
                columns *= response
                spectrum += columns
            blurred_planes = fft.irfft2(spectrum, job.shape, overwrite_x=True)
            inside = blurred_planes[
                :, job.halo : job.halo + shape[0], job.halo : job.halo + shape[1]
            ]
            total += inside.transpose(1, 2, 0)
        return total

    def _response(self, rung: int, shape: tuple[int, int]) -> Complex64Array:
        assert self._family != "gkm", "its kernels are applied as two passes"
        return _kernel_response(self._family, rung, shape)

    def _filter(self, picture: Picture, rung: int, border: int) -> Picture:
        if len(self._kernels[rung]) == 1:
            return picture
        if self._taps is None:
            return cv2.filter2D(picture, cv2.CV_32F, self._kernels[rung], borderType=border)  # type: ignore[return-value]
        taps = self._taps[rung]
        return cv2.sepFilter2D(picture, cv2.CV_32F, taps, taps, borderType=border)  # type: ignore[return-value]


LARGEST = 64.0
"""Sigmas above this many pixels are refused: the ladder's memory grows with the cube, here to 160
MB.
"""


@lru_cache(maxsize=16)
def kernel_ladder(
    family: BlurFamily, reach: float
) -> tuple[tuple[Float64Array, ...], tuple[float, ...]]:
    """Return the kernels of a family from the delta up to sigma `reach` (pixels), and their nominal
    variances.

    Raises:
        ValueError: for an unknown family, or a reach that is negative, not finite or above
            `LARGEST`.
    """
    if not 0 <= reach <= LARGEST:
        raise ValueError(f"the largest sigma must lie in [0, {LARGEST:g}] pixels, got {reach}")
    if family == "gkm":
        bank = gkm.paper_bank()
        return bank.kernels, bank.variances
    sigmas = STEP * np.arange(math.ceil(reach / STEP) + 1)
    kernels = tuple(sized_kernel(family, float(sigma)) for sigma in sigmas)
    return kernels, tuple((sigmas**2).tolist())


@lru_cache(maxsize=256)
def _kernel_response(
    family: PsfFamily | KernelShape, rung: int, shape: tuple[int, int]
) -> Complex64Array:
    """Return the transform of the kernel of that rung about the origin.

    It is real, as the kernel is symmetric, but NumPy multiplies complex numbers faster by complex
    ones.
    """
    psf = sized_kernel(family, STEP * rung)
    around_origin = np.zeros(shape)
    around_origin[: len(psf), : len(psf)] = psf
    around_origin = np.roll(around_origin, (-(len(psf) // 2), -(len(psf) // 2)), (0, 1))
    response: Complex64Array = fft.rfft2(around_origin).real.astype(np.complex64)
    return response


def _fast_length(span: slice, halo: int) -> int:
    """Return the length of a fast transform that holds a side of a tile and `halo` on both ends."""
    return int(fft.next_fast_len(span.stop - span.start + 2 * halo, real=True))


def _mixing_rungs(position: Map) -> list[int]:
    """Return the rungs that some pixel mixes, ascending."""
    return [int(rung) for rung in np.union1d(np.floor(position), np.ceil(position))]


def _rung_weight(position: Map, rung: int) -> Float32Array:
    weight: Float32Array = position - np.float32(rung)
    np.abs(weight, out=weight)
    np.subtract(np.float32(1), weight, out=weight)
    np.maximum(weight, np.float32(0), out=weight)
    return weight


def _move_box(box: Box, by: int) -> Box:
    rows, columns = box
    return slice(rows.start + by, rows.stop + by), slice(columns.start + by, columns.stop + by)


def _overlap_boxes(box: Box, shape: tuple[int, ...], tile: tuple[int, int]) -> tuple[Box, Box]:
    """Return which part of an array, placed in a tile's coordinates, lies inside the tile, and
    where it lies there.
    """
    source_rows, tile_rows = _overlap_spans(box[0].start, shape[0], tile[0])
    source_columns, tile_columns = _overlap_spans(box[1].start, shape[1], tile[1])
    return (source_rows, source_columns), (tile_rows, tile_columns)


def _overlap_spans(offset: int, length: int, size: int) -> tuple[slice, slice]:
    """Return `_overlap_boxes` along one axis, for an array of that length that begins at
    `offset`.
    """
    start = max(0, offset)
    stop = max(start, min(size, offset + length))
    return slice(start - offset, stop - offset), slice(start, stop)
