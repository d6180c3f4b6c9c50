"""Wiener deconvolution, for one PSF and for a blur map.

Pictures are continued beyond their border by half-sample reflection, as in `benchmark.optics.gkm`.
A convolution with a kernel that is its own mirror image in both axes is then diagonal in the cosine
transform (DCT-II), so the filter is a product of two cosine transforms: no padding, no taper, and
the border is treated exactly as the model treats it.

The filter at a frequency where the PSF passes H is

    G = H / (H^2 + n P + m (1 - H^2)).

n P is the noise-to-signal ratio of white noise and of a picture whose spectrum falls as 1 / P,
where P is the eigenvalue of the negative discrete Laplacian (4 sin^2 per axis; f^2 at low
frequencies); n is the noise variance over the mean squared gradient, both measured in the given
picture. m is the share of the signal's power by which the PSF is wrong: an error of the PSF acts as
noise in proportion to the signal, and is absent where the PSF passes everything.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np

from benchmark.api import Map, Mask, Picture
from benchmark.arrays import Float64Array
from benchmark.methods.two_stage.cosine import (
    cosine_transfer,
    cosine_transform,
    invert_cosine_transform,
)
from benchmark.methods.two_stage.noise_level import noise_level
from benchmark.optics import gkm
from benchmark.optics.kernel_shape import KernelShape, sized_kernel

Psf = Literal["gaussian", "disk", "gkm"] | KernelShape
SampledPsf = Literal["gaussian", "disk"] | KernelShape
"""What there is a kernel of for every sigma."""

STEP = 0.25
"""Distance of the layers in sigma, pixels."""

MISMATCH = 0.1
"""Gains most with the estimated maps of `zhuo_sim` on 10 pictures of BSDS500 train; with the true
map and PSF, 0.01.
"""

QUANTISATION = 1 / (255 * math.sqrt(12))
"""Noise of rounding to 8 bits, the least that is assumed."""


def deconvolve_wiener(
    image: Picture, blur_map: Map, *, psf: Psf, mismatch: float = MISMATCH
) -> Picture:
    """Return the picture restored under a blur map, layer by layer.

    The picture is restored for every sigma of a ladder and each pixel takes the linear
    interpolation between the two rungs next to its own sigma. The rung 0 is the picture itself. A
    rung is computed only where it is needed.

    Args:
        image: H x W x 3.
        blur_map: H x W, sigma in pixels, >= 0.
        psf: the family of the PSF.
        mismatch: m >= 0 of the module's formula.
    """
    nsr = noise_to_signal(image)
    position = blur_map / np.float32(STEP)
    total = np.zeros_like(image)
    for rung in range(math.floor(position.min()), math.ceil(position.max()) + 1):
        weight = np.maximum(0, 1 - np.abs(position - np.float32(rung)))
        if not weight.any():
            continue
        sigma = rung * STEP
        part = _bounding_box(weight > 0, _wiener_margin(sigma))
        layer = filter_wiener(image[part], layer_kernel(psf, sigma), nsr, mismatch)
        total[part] += weight[part][..., None] * layer
    return total


@lru_cache(maxsize=256)
def layer_kernel(psf: Psf, sigma: float) -> Float64Array:
    """Return the kernel of a family for one sigma: odd-sized, its own mirror image in both axes,
    sum 1, read-only.

    Args:
        psf: `gaussian`, `disk` or the shape of a file, of any sigma; or `gkm`, the mixture of two
            Gaussians that the paper's bank makes of a sigma, which ends at the bank's largest
            kernel.
        sigma: in pixels, >= 0. 0 gives the 1 x 1 delta.

    Raises:
        ValueError: for an unknown family, or a sigma that is negative or not finite.
    """
    if psf != "gkm":
        return sized_kernel(psf, sigma)
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"the size of a PSF must be a finite number >= 0, got {sigma}")
    bank = gkm.paper_bank()
    shares = gkm.mixing_coefficients(np.full((1, 1), sigma, np.float32), bank).ravel()
    parts = [(float(share), part) for share, part in zip(shares, bank.kernels, strict=True)]
    parts = [(share, part) for share, part in parts if share > 0]
    size = max(len(part) for _, part in parts)
    mixture = np.zeros((size, size))
    for share, part in parts:
        mixture += share * np.pad(part, (size - len(part)) // 2)
    mixture /= mixture.sum()
    mixture.flags.writeable = False
    return mixture


def filter_wiener(image: Picture, psf: Float64Array, nsr: float, mismatch: float) -> Picture:
    """Return the picture restored under one PSF.

    Args:
        image: H x W x 3.
        psf: odd-sized kernel, its own mirror image in both axes, sum 1. The 1 x 1 delta returns a
            copy of the picture, so that what is in focus is not touched.
        nsr: n >= 0 of the module's formula.
        mismatch: m >= 0 of the module's formula; not both 0 where the PSF passes nothing.
    """
    if psf.size == 1:
        return image.copy()
    shape = (image.shape[0], image.shape[1])
    transfer = cosine_transfer(psf, shape)
    power = transfer**2
    gain = transfer / (power + nsr * _laplacian_eigenvalues(shape) + mismatch * (1 - power))
    spectrum = cosine_transform(image)
    spectrum *= gain.astype(np.float32)[..., None]
    return invert_cosine_transform(spectrum)


def noise_to_signal(image: Picture) -> float:
    """Return n of the module's formula, in (0, 1]: noise variance over mean squared gradient.

    The gradient is that of the blurred picture, noise included; the sharp picture's is larger and
    unknown.
    """
    noise = max(noise_level(image), QUANTISATION) ** 2
    planes = image.astype(np.float64)
    energy = sum(np.square(np.diff(planes, axis=axis)).sum() for axis in (0, 1))
    return noise / max(float(energy / image.size), noise)


def _laplacian_eigenvalues(shape: tuple[int, int]) -> Float64Array:
    """Return the eigenvalues of the negative discrete Laplacian under reflection."""
    rows, columns = (4 * np.sin(np.pi / (2 * size) * np.arange(size)) ** 2 for size in shape)
    eigenvalues: Float64Array = rows[:, None] + columns
    return eigenvalues


def _wiener_margin(sigma: float) -> int:
    """Return how far from a pixel the restoration still draws on the picture."""
    return math.ceil(12 * sigma) + 8


def _bounding_box(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Return the smallest rectangle that holds the mask, with a margin as far as the picture
    goes.
    """
    sides = []
    for axis in (1, 0):
        indices = np.flatnonzero(mask.any(axis=axis))
        first = max(0, int(indices[0]) - margin)
        sides.append(slice(first, int(indices[-1]) + 1 + margin))
    return sides[0], sides[1]
