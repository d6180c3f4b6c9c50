"""Local spectra: how much of a picture's contrast lies in which band of spatial frequency, and how
much of it is noise.

Energies are held on a coarse grid of cells, `CELL` x `CELL` pixels each. Pictures are continued
beyond their border by half-sample reflection: all filters are products with the cosine transform
(DCT-II).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from benchmark.api import Picture
from benchmark.arrays import Float64Array, Plane

CELL = 4
"""Width of a cell, pixels."""

CENTRES: Float64Array = 0.42 * 2.0 ** (-np.arange(8) / 2)
"""Centres of the bands, cycles per pixel: half an octave apart, the finest first."""

WINDOW = 5.0
"""Standard deviation of the Gaussian window over which energies are averaged, pixels."""

ROUNDING = 1 / (255**2 * 12)
"""Variance of rounding to 8 bits; the least noise that is assumed, of a channel."""

_HIGH = (0.3, 0.4)  # cycles per pixel: noise is measured above, the filter rises between
_NOISE_WINDOW = 8.0  # pixels
_QUIET = 0.05  # the share of the picture that is taken to hold noise only in its highest band
# the measured noise over the true one, BSDS500 train with Gaussian noise of sigma 3 and 5
_BIAS = 0.955


class Noise(NamedTuple):
    """Variances of white noise in a channel and in the mean of the three channels."""

    channel: float
    grey: float


def padded(image: Picture) -> Picture:
    """Return the picture continued by reflection to whole cells."""
    rows, columns = (-size % CELL for size in image.shape[:2])
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="symmetric")


def transform(image: Picture) -> Picture:
    """Return the orthonormal cosine transform of each channel."""
    return dctn(image, axes=(0, 1), norm="ortho", workers=1)  # type: ignore[no-any-return]


def inverse(spectrum: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the picture or plane of which `transform` gives the spectrum."""
    return idctn(spectrum, axes=(0, 1), norm="ortho", workers=1)  # type: ignore[no-any-return]


def radius(shape: tuple[int, int]) -> Float64Array:
    """Return the spatial frequency (cycles per pixel) of each coefficient of the cosine
    transform.
    """
    rows, columns = (np.arange(size) / (2 * size) for size in shape)
    return np.hypot(rows[:, None], columns)


def transfer(psf: Float64Array, shape: tuple[int, int]) -> Float64Array:
    """Return the factor by which a PSF that is its own mirror image multiplies each coefficient of
    the transform.
    """
    rows, columns = (
        np.cos(np.pi / size * np.outer(np.arange(size), np.arange(taps) - taps // 2))
        for size, taps in zip(shape, psf.shape, strict=True)
    )
    passed: Float64Array = rows @ psf @ columns.T
    return passed


def band(frequency: Float64Array, number: int) -> Float64Array:
    """Return the factor with which a band passes a frequency: a cosine in log frequency, the finest
    open above.

    The squares of the bands add up to 1 between their first and last centre.
    """
    octaves = np.log2(np.maximum(frequency, 1e-9) / CENTRES[number])
    passed: Float64Array = np.cos(np.pi / 2 * np.clip(2 * octaves, -1, 1))
    return np.where(octaves > 0, 1.0, passed) if number == 0 else passed


def white() -> Float64Array:
    """Return the energy that white noise of variance 1 has in each band."""
    frequency = radius((512, 512))
    return np.array([np.square(band(frequency, number)).mean() for number in range(len(CENTRES))])


def energies(grey: Plane) -> Plane:
    """Return the local energy in each band, from the spectrum of a plane: rows x columns x
    bands.
    """
    frequency = radius((grey.shape[0], grey.shape[1]))
    bands = (
        inverse(grey * band(frequency, number).astype(np.float32)) for number in range(len(CENTRES))
    )
    return np.stack([averaged(cells(np.square(plane)), WINDOW) for plane in bands], axis=-1)


def noise(spectrum: Picture, image: Picture) -> Noise:
    """Return the noise of a picture, from the quietest places of its highest frequencies.

    Somewhere a picture is smooth or out of focus, and there its highest frequencies hold nothing
    but noise. Places where a channel is saturated say nothing. Noise that is smooth across pixels
    (demosaicked, JPEG) is underestimated.
    """
    frequency = radius((spectrum.shape[0], spectrum.shape[1]))
    low, high = _HIGH
    passed = np.clip((frequency - low) / (high - low), 0, 1).astype(np.float32)
    share = float(np.square(passed).mean())
    saturated: Plane = np.any((image <= 0) | (image >= 1), axis=2).astype(np.float32)
    usable = 1 - cells(saturated)
    grey = np.square(inverse(spectrum.mean(axis=2) * passed))
    channel = np.square(inverse(spectrum * passed[..., None])).sum(axis=2) / np.float32(3)
    floors = ROUNDING, ROUNDING / 3
    return Noise(
        *(max(f, _quiet(e, usable, share)) for f, e in zip(floors, (channel, grey), strict=True))
    )


def _quiet(energy: Plane, usable: Plane, share: float) -> float:
    """Return the white-noise variance of the quietest places, 0 if there is no usable one."""
    weight = averaged(usable, _NOISE_WINDOW)
    local = averaged(usable * cells(energy), _NOISE_WINDOW) / np.maximum(weight, np.float32(1e-6))
    seen = local[weight > 0.75]
    if seen.size == 0 or share == 0:
        return 0.0
    return float(np.quantile(seen, _QUIET)) / (share * _BIAS**2)


def cells(plane: Plane) -> Plane:
    """Return the mean of each cell; the plane must consist of whole ones."""
    rows, columns = plane.shape[0] // CELL, plane.shape[1] // CELL
    means: Plane = plane.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
    return means


def averaged(planes: Plane, window: float) -> Plane:
    """Return planes of cells (rows x columns, or rows x columns x planes) averaged over a Gaussian
    window.

    Args:
        planes: of cells.
        window: its standard deviation in pixels, that of a cell included.
    """
    width = math.sqrt(window**2 - CELL**2 / 12) / CELL
    axes = (0, 1)
    return gaussian_filter(planes, width, axes=axes, mode="reflect")  # type: ignore[no-any-return]
