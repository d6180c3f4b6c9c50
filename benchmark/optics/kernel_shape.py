"""The shape of a kernel from a file, at any size: what `psf=file:PATH` of a method means.

A blur map says how wide the PSF of a pixel is, a kernel file what it looks like. The values of the
file are taken for integrals over its pixels, as those of `benchmark.optics.psf` are. Their sums,
interpolated by monotone cubics along both axes, stand for the integral of the PSF itself, which is
stretched to the sigma asked for and integrated over pixels again. At the file's own size that gives
the file again.

A kernel here is about its centre of mass, and its own mirror image in both axes, as all that apply
one need. What a lens makes of a point turns upside down between the two sides of the plane of
focus, and a blur map does not tell these apart; so a kernel that is far from its mirror images is
refused, and one that is near them is averaged with them.

Measured |kernel - disk| / |disk| of shapes read from files that hold a disk (L1 norm): at the
file's own size 1e-15; for sigma 1, 1.5, 2.3 and 4 px from a disk of radius 3 px 0.08, 0.02, 0.17
and 0.18, of radius 8 px 0.003, 0.009, 0.03 and 0.002, of radius 30 px at most 0.002.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from benchmark.api import DataError
from benchmark.arrays import Float64Array
from benchmark.files import hash_file
from benchmark.optics.kernel_files import measure_kernel_sigma, read_kernel
from benchmark.optics.psf import PsfFamily, freeze_array, psf_kernel, sample_kernel

FILE_PREFIX = "file:"
"""How a value of `psf=` begins that names a file."""
SMALLEST_SIGMA = 0.5
"""Pixels; a smaller kernel is little more than its middle."""
LARGEST_ASYMMETRY = 0.1
"""Share of a kernel's light that lies elsewhere than in the mean of its mirror images. A pentagon
has 0.06 and a hexagon 0.04 in the worst position, half a disk 0.09, a diagonal streak 0.44.
"""


IN_FOCUS = 0.99
"""A kernel with more of its light than this in one pixel is the delta. Else a disk that just fits
into a pixel would be none where it comes from a file, whose outermost pixels it fills in part.
"""
_TAIL_LIGHT = 1e-4
"""Share of a kernel's light that is cut off with the frame round the rest: what deconvolvers do at
the border of a picture depends on how far a kernel reaches.
"""


@dataclass(frozen=True)
class KernelShape:
    """What a kernel file says of a PSF, but for its size. Shapes of equal files are equal.

    Attributes:
        digest: SHA-256 of the file.
        name: of the file, without its folder.
        values: odd and square, sum 1: the kernel as `read_kernel` returns it.
    """

    digest: str
    name: str = field(compare=False)
    values: Float64Array = field(compare=False, repr=False)

    def kernel(self, sigma: float) -> Float64Array:
        """Return the kernel of Gaussian-equivalent size `sigma` (pixels, >= 0): odd, square, its
        own mirror image in both axes, sum 1, read-only. 0 gives the 1 x 1 delta.

        Raises:
            ValueError: if sigma is negative or not finite.
        """
        return _stretch_shape(self, sigma)

    @cached_property
    def own_sigma(self) -> float:
        """The sigma of the PSF that the file holds, in its pixels, without what the integration
        over pixels adds.
        """
        return math.sqrt(float(np.mean([marginal[1] for marginal in self._moments])))

    @property
    def asymmetry(self) -> float:
        """The share of its light that lies elsewhere than in the mean of its mirror images."""
        kernel = _sample_shape(self, self.own_sigma)
        return float(np.abs(kernel - _average_mirror_images(kernel)).sum() / 2)

    @cached_property
    def edges(self) -> Float64Array:
        """The edges of the file's pixels, from its middle."""
        return np.arange(len(self.values) + 1, dtype=np.float64) - len(self.values) / 2

    @cached_property
    def integral(self) -> PchipInterpolator:
        """The integral of the PSF from the first corner to (y, every edge in x), over y."""
        sums = np.pad(self.values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        return PchipInterpolator(self.edges, sums, axis=0)

    @cached_property
    def _moments(self) -> list[tuple[float, float]]:
        """The mean and the variance of the PSF along y and x."""
        return [_measure_moments(self.edges, self.values.sum(axis=axis)) for axis in (1, 0)]

    @cached_property
    def centre(self) -> tuple[float, float]:
        """The centre of mass, (y, x) from the file's middle."""
        (y, _), (x, _) = self._moments
        return y, x


def read_kernel_shape(path: Path) -> KernelShape:
    """Return the shape of the kernel in a file.

    Args:
        path: a file that `benchmark.optics.kernel_files.read_kernel` reads.

    Raises:
        DataError: as `read_kernel` does, or if the kernel is too small to have a shape, or too far
            from its mirror images.
    """
    values = read_kernel(path)
    sigma = measure_kernel_sigma(values)
    if sigma < SMALLEST_SIGMA:
        raise DataError(
            f"{path}: holds a kernel of sigma {sigma:.2g} pixels, which is too small to have a "
            f"shape; expected at least {SMALLEST_SIGMA:g}, better 5 and more: it is scaled to the "
            "blur of each pixel"
        )
    shape = KernelShape(hash_file(path), path.name, values)
    if shape.asymmetry > LARGEST_ASYMMETRY:
        raise DataError(
            f"{path}: {shape.asymmetry:.0%} of the kernel's light lies elsewhere than in its "
            f"mirror images; expected at most {LARGEST_ASYMMETRY:.0%}. A blur map does not say "
            "which side of the plane of focus a pixel lies on, so a kernel must look alike from "
            "both; turn it upright, or take psf=disk"
        )
    return shape


def sized_kernel(psf: PsfFamily | KernelShape, sigma: float) -> Float64Array:
    """Return the kernel of a family, or of a file's shape, of Gaussian-equivalent size `sigma`
    (pixels, >= 0); raises ValueError as `psf_kernel` does.
    """
    if isinstance(psf, KernelShape):
        return psf.kernel(sigma)
    return psf_kernel(psf, sigma)


@lru_cache(maxsize=1024)
def _stretch_shape(shape: KernelShape, sigma: float) -> Float64Array:
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"the size of a PSF must be a finite number >= 0, got {sigma}")
    kernel = _average_mirror_images(_sample_shape(shape, sigma))
    if kernel.max() > IN_FOCUS:
        kernel = np.ones((1, 1))
    return freeze_array(kernel)


def _sample_shape(shape: KernelShape, sigma: float) -> Float64Array:
    """Return the stretched kernel about its centre of mass, as asymmetric as the file's is."""
    scale = sigma / shape.own_sigma
    last_edge = shape.edges[-1]
    reach = scale * (last_edge + max(map(abs, shape.centre)))

    def integrate(x: Float64Array, y: Float64Array) -> Float64Array:
        rows, columns = (
            np.clip(corners / max(scale, 1e-12) + middle, -last_edge, last_edge)
            for corners, middle in zip((y, x), shape.centre, strict=True)
        )
        sums: Float64Array = PchipInterpolator(shape.edges, shape.integral(rows), axis=1)(columns)
        return sums

    return _trim_tail(sample_kernel(integrate, reach, None))


def _average_mirror_images(kernel: Float64Array) -> Float64Array:
    upright = (kernel + kernel[::-1]) / 2
    mean: Float64Array = (upright + upright[:, ::-1]) / 2
    return mean


def _trim_tail(kernel: Float64Array) -> Float64Array:
    """Return a square kernel without the frame round it that holds next to nothing; sum 1."""
    distances = np.abs(np.arange(len(kernel)) - len(kernel) // 2)
    frames = np.maximum(distances[:, None], distances)
    light = np.bincount(frames.ravel(), kernel.ravel())
    reach = int(np.searchsorted(light.cumsum(), 1 - _TAIL_LIGHT))
    inside = slice(len(kernel) // 2 - reach, len(kernel) // 2 + reach + 1)
    core: Float64Array = kernel[inside, inside] / kernel[inside, inside].sum()
    return core


def _measure_moments(edges: Float64Array, masses: Float64Array) -> tuple[float, float]:
    """Return the mean and the variance of the density whose integral the monotone cubics through
    the sums of some masses are.
    """
    integral = PchipInterpolator(edges, np.concatenate([[0.0], np.cumsum(masses)]))
    nodes, weights = np.polynomial.legendre.leggauss(3)  # exact for what follows: of degree 4
    places = (edges[:-1] + 0.5)[:, None] + nodes / 2
    share = integral(places) * (weights / 2)
    mean = edges[-1] - share.sum()  # both integrated by parts
    mean_square = edges[-1] ** 2 - 2 * (places * share).sum()
    return float(mean), float(mean_square - mean**2)
