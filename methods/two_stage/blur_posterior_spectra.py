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
from scipy.ndimage import gaussian_filter

from benchmark.api import Picture
from benchmark.arrays import Float32Array, Float64Array
from benchmark.methods.two_stage.cosine import invert_cosine_transform, radial_frequency

CELL = 4
"""Width of a cell, pixels."""

CENTRES: Float64Array = 0.42 * 2.0 ** (-np.arange(8) / 2)
"""Centres of the bands, cycles per pixel: half an octave apart, the finest first."""

WINDOW = 5.0
"""Standard deviation of the Gaussian window over which energies are averaged, pixels."""

ROUNDING = 1 / (255**2 * 12)
"""Variance of rounding to 8 bits; the least noise that is assumed, of a channel."""

_HIGH_FREQUENCIES = (
    0.3,
    0.4,
)  # cycles per pixel: noise is measured above, the filter rises between
_NOISE_WINDOW = 8.0  # pixels
_QUIET_SHARE = 0.05  # the share of the picture that is taken to hold noise only in its highest band
# the measured noise over the true one, BSDS500 train with Gaussian noise of sigma 3 and 5
_BIAS = 0.955


class NoiseVariances(NamedTuple):
    """Variances of white noise in a channel and in the mean of the three channels."""

    channel: float
    grey: float


def pad_to_cells(image: Picture) -> Picture:
    """Return the picture continued by reflection to whole cells."""
    rows, columns = (-size % CELL for size in image.shape[:2])
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="symmetric")


def band_gain(frequency: Float64Array, number: int) -> Float64Array:
    """Return the factor with which a band passes a frequency: a cosine in log frequency, the finest
    open above.

    The squares of the bands add up to 1 between their first and last centre.
    """
    octaves = np.log2(np.maximum(frequency, 1e-9) / CENTRES[number])
    gain: Float64Array = np.cos(np.pi / 2 * np.clip(2 * octaves, -1, 1))
    if number == 0:
        return np.where(octaves > 0, 1.0, gain)
    return gain


def white_noise_energies() -> Float64Array:
    """Return the energy that white noise of variance 1 has in each band."""
    frequency = radial_frequency((512, 512))
    gains = (band_gain(frequency, number) for number in range(len(CENTRES)))
    return np.array([np.square(gain).mean() for gain in gains])


def band_energies(spectrum: Float32Array) -> Float32Array:
    """Return the local energy in each band, from the spectrum of a plane: rows x columns x
    bands.
    """
    frequency = radial_frequency((spectrum.shape[0], spectrum.shape[1]))
    energies = []
    for number in range(len(CENTRES)):
        gain = band_gain(frequency, number).astype(np.float32)
        plane = invert_cosine_transform(spectrum * gain)
        energies.append(average_window(average_cells(np.square(plane)), WINDOW))
    return np.stack(energies, axis=-1)


def measure_noise(spectrum: Picture, image: Picture) -> NoiseVariances:
    """Return the noise of a picture, from the quietest places of its highest frequencies.

    Somewhere a picture is smooth or out of focus, and there its highest frequencies hold nothing
    but noise. Places where a channel is saturated say nothing. Noise that is smooth across pixels
    (demosaicked, JPEG) is underestimated.
    """
    frequency = radial_frequency((spectrum.shape[0], spectrum.shape[1]))
    low, high = _HIGH_FREQUENCIES
    gain = np.clip((frequency - low) / (high - low), 0, 1).astype(np.float32)
    power = float(np.square(gain).mean())
    saturation: Float32Array = np.any((image <= 0) | (image >= 1), axis=2).astype(np.float32)
    usable = 1 - average_cells(saturation)
    grey_detail = invert_cosine_transform(spectrum.mean(axis=2) * gain)
    detail = invert_cosine_transform(spectrum * gain[..., None])
    channel_energy = np.square(detail).sum(axis=2) / np.float32(3)
    return NoiseVariances(
        channel=max(ROUNDING, _quietest_variance(channel_energy, usable, power)),
        grey=max(ROUNDING / 3, _quietest_variance(np.square(grey_detail), usable, power)),
    )


def _quietest_variance(energy: Float32Array, usable: Float32Array, power: float) -> float:
    """Return the white-noise variance of the quietest places, 0 if there is no usable one.

    Args:
        energy: H x W, of what a filter passes.
        usable: the share of each cell that says something.
        power: the share of white noise that the filter passes.
    """
    weight = average_window(usable, _NOISE_WINDOW)
    weighted_energy = average_window(usable * average_cells(energy), _NOISE_WINDOW)
    local = weighted_energy / np.maximum(weight, np.float32(1e-6))
    places = local[weight > 0.75]
    if places.size == 0 or power == 0:
        return 0.0
    return float(np.quantile(places, _QUIET_SHARE)) / (power * _BIAS**2)


def average_cells(plane: Float32Array) -> Float32Array:
    """Return the mean of each cell; the plane must consist of whole ones."""
    rows = plane.shape[0] // CELL
    columns = plane.shape[1] // CELL
    means: Float32Array = plane.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
    return means


def average_window(planes: Float32Array, window: float) -> Float32Array:
    """Return planes of cells (rows x columns, or rows x columns x planes) averaged over a Gaussian
    window.

    Args:
        planes: of cells.
        window: its standard deviation in pixels, that of a cell included.
    """
    width = math.sqrt(window**2 - CELL**2 / 12) / CELL
    return gaussian_filter(planes, width, axes=(0, 1), mode="reflect")  # type: ignore[no-any-return]
