"""The cosine transform (DCT-II) of pictures, and filters in it.

It continues a picture beyond its border by half-sample reflection. A convolution with a kernel that
is its own mirror image in both axes is then a product.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.fft import dctn, idctn

from benchmark.arrays import Float32Array, Float64Array


def cosine_transform(image: Float32Array) -> Float32Array:
    """Return the orthonormal transform over the first two axes.

    It and its inverse run on as many threads as OpenCV may use; the result does not depend on their
    number.
    """
    return dctn(image, axes=(0, 1), norm="ortho", workers=_threads())  # type: ignore[no-any-return]


def invert_cosine_transform(spectrum: Float32Array) -> Float32Array:
    """Return the picture or plane of which `cosine_transform` gives the spectrum."""
    return idctn(spectrum, axes=(0, 1), norm="ortho", workers=_threads())  # type: ignore[no-any-return]


def _threads() -> int:
    return max(1, cv2.getNumThreads())


def radial_frequency(shape: tuple[int, int]) -> Float64Array:
    """Return the spatial frequency (cycles per pixel) of each coefficient of a transform."""
    rows, columns = (np.arange(size) / (2 * size) for size in shape)
    return np.hypot(rows[:, None], columns)


def cosine_transfer(psf: Float64Array, shape: tuple[int, int]) -> Float64Array:
    """Return the factor by which a PSF multiplies each coefficient of a transform.

    Args:
        psf: odd-sized, its own mirror image in both axes.
        shape: height and width of the transform.
    """
    row_waves = _sample_waves(shape[0], psf.shape[0] // 2)
    column_waves = _sample_waves(shape[1], psf.shape[1] // 2)
    transfer: Float64Array = row_waves @ psf @ column_waves.T
    return transfer


def _sample_waves(size: int, reach: int) -> Float64Array:
    """Return each cosine of an axis at the taps of a kernel (size x taps)."""
    phases = np.outer(np.arange(size), np.arange(-reach, reach + 1))
    waves: Float64Array = np.cos(np.pi / size * phases)
    return waves
