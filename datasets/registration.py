"""Where a blurred picture lies on its sharp partner, and how much brighter one is than the other.

Both are measured on the content that survives the blur. The displacement is found by
cross-correlation of band-passed tiles (Guizar-Sicairos, Thurman and Fienup, Optics Letters 33,
2008, as in scikit-image) and combined by the median over the better half of the tiles, because
tiles differ: some have little texture, and with depth and focus breathing the true displacement
varies over the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from benchmark.arrays import FloatArray

# Sigmas of the band-pass in px: below, defocus has removed one side; above, light changes.
_FINE = 3.0
_COARSE = 12.0
# Side of a square tile: the picture's height divided by this; neighbours overlap by half.
_TILES_DOWN = 3
_STEPS_PER_PIXEL = 20
_LIGHT = 12.0  # sigma in px of the smoothing before brightness is compared
_FLAT = 1e-6  # band-pass contrast below which a tile has no texture


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a picture has to be moved to lie on its partner.

    Attributes:
        dy, dx: displacement in px, positive downwards and to the right.
        spread: median absolute deviation of the tiles' displacements from it, in px, over both
            directions.
        tiles: number of tiles it rests on.
    """

    dy: float
    dx: float
    spread: float
    tiles: int


def estimate_shift(moving: FloatArray, fixed: FloatArray) -> Shift:
    """Return the displacement that brings `moving` onto `fixed`.

    Args:
        moving, fixed: H x W, the same size and roughly the same tone curve; one may be more blurred
            than the other.

    Raises:
        ValueError: if the sizes differ or no tile has texture in both.
    """
    if moving.shape != fixed.shape:
        raise ValueError(f"cannot register pictures of sizes {moving.shape} and {fixed.shape}")
    moving = _band_pass(moving)
    fixed = _band_pass(fixed)
    first, _, _ = _median_displacement(moving, fixed)
    # A tile's window holds only a part of the displaced content, which draws the estimate towards
    # zero by a few per cent. What is left after moving by the first estimate is too small to suffer
    # from that.
    residual, spread, tiles = _median_displacement(
        ndimage.shift(moving, first, order=3, mode="nearest"), fixed
    )
    return Shift(float(first[0] + residual[0]), float(first[1] + residual[1]), spread, tiles)


def fit_gain(moving: FloatArray, fixed: FloatArray) -> float:
    """Return the factor that brings the linear light of `moving` to that of `fixed`.

    It is the median ratio of the two pictures after smoothing, so neither the blur nor a few
    clipped highlights count.

    Raises:
        ValueError: if one of the pictures is black.
    """
    smooth_moving = ndimage.gaussian_filter(moving, _LIGHT)
    smooth_fixed = ndimage.gaussian_filter(fixed, _LIGHT)
    bright_mask = smooth_moving > 0.1 * smooth_moving.mean()
    gain = 0.0
    if bright_mask.any():
        gain = float(np.median(smooth_fixed[bright_mask] / smooth_moving[bright_mask]))
    if not gain > 0:
        raise ValueError("cannot compare the brightness of black pictures")
    return gain


def resample_plane(plane: FloatArray, shift: Shift, margin: int) -> NDArray[np.float32]:
    """Return `plane` moved by `shift`, less `margin` px on every side, which must exceed the
    displacement.

    The interpolator is a spline of order 5, which passes nearly the whole band.
    """
    shifted = ndimage.shift(plane, (shift.dy, shift.dx), output=np.float32, order=5, mode="nearest")
    return np.ascontiguousarray(shifted[margin:-margin, margin:-margin])


def _median_displacement(moving: FloatArray, fixed: FloatArray) -> tuple[FloatArray, float, int]:
    """Return the median displacement (dy, dx) of the better half of the tiles, their spread and
    their number.
    """
    tiles = np.array(list(_tile_displacements(moving, fixed)))
    if not len(tiles):
        raise ValueError("cannot register pictures without texture")
    correlation = tiles[:, 2]
    best_tiles = tiles[correlation >= np.median(correlation), :2]
    middle = np.median(best_tiles, axis=0)
    return middle, float(np.median(np.abs(best_tiles - middle))), len(best_tiles)


def _band_pass(plane: FloatArray) -> FloatArray:
    fine = ndimage.gaussian_filter(plane, _FINE, output=np.float64)
    coarse = ndimage.gaussian_filter(plane, _COARSE, output=np.float64)
    return np.asarray(fine - coarse)


def _tile_displacements(
    moving: FloatArray, fixed: FloatArray
) -> Iterator[tuple[float, float, float]]:
    """Yield (dy, dx, peak correlation) of every tile with texture."""
    side = moving.shape[0] // _TILES_DOWN
    window = np.outer(np.hanning(side), np.hanning(side))
    for top in range(0, moving.shape[0] - side + 1, side // 2):
        for left in range(0, moving.shape[1] - side + 1, side // 2):
            tile = np.s_[top : top + side, left : left + side]
            texture = min(moving[tile].std(), fixed[tile].std())
            if texture > _FLAT:
                yield _tile_displacement(moving[tile] * window, fixed[tile] * window)


def _tile_displacement(moving: FloatArray, fixed: FloatArray) -> tuple[float, float, float]:
    (dy, dx), error, _ = phase_cross_correlation(  # type: ignore[no-untyped-call]
        fixed, moving, upsample_factor=_STEPS_PER_PIXEL, normalization=None
    )
    correlation = float(1 - np.square(error))  # scikit-image's error is sqrt(1 - correlation^2)
    return float(dy), float(dx), correlation
