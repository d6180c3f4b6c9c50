"""Point spread functions of an out-of-focus lens, sampled by area.

A kernel holds the integral of the continuous PSF over each pixel, in closed form (the generalised
Gaussian by quadrature over disks in closed form), so it is accurate below a pixel, moves
continuously with its size and becomes an exact delta when the PSF fits inside one pixel. Its size
is named by `sigma`, the per-axis standard deviation in pixels of the *continuous* PSF, before the
integration over pixels:

    disk of radius r:                                 sigma = r / 2
    regular polygon of circumradius R with n blades:  sigma = R sqrt((2 + cos(2 pi / n)) / 12)
    generalised Gaussian exp(-(r / a)^p):             sigma = a sqrt(Gamma(4 / p) / (2 Gamma(2 /
    p)))

so that a blur map means the same for every family. The integration over a pixel adds the variance
of the pixel, 1/12 px^2 per axis, to every kernel whose PSF is wide against a pixel; as the PSF
shrinks into one pixel that share goes to zero (an in-focus picture is not blurred again). Kernels
are float64, odd-sized, centred, sum to 1, and are read-only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import gammainccinv, gammaincinv, gammaln, ndtr

from benchmark.arrays import Float64Array

PsfFamily = Literal["disk", "gaussian", "polygon", "generalised"]
ApertureHalf = Literal["left", "right"]

GAUSSIAN_REACH = 5.0
"""A Gaussian is cut at this many sigma; that takes 1.5e-5 of its variance."""


SMALLEST_SHAPE = 0.25
"""Smallest exponent of a generalised Gaussian; the tails of a smaller one reach beyond 40 sigma."""

# of the mass of a generalised Gaussian is cut off: what lies outside 5 sigma of the Gaussian
_TAIL_MASS = 3.7e-6
# of the quadrature per pixel of sigma: the wider the PSF, the more pixel edges its layers cross
_NODES = 64
_MOST_NODES = 512
# per pixel and axis, of the overlap of two disks
_SAMPLES = 16


def freeze_array(array: Float64Array) -> Float64Array:
    """Return the array, which from now on cannot be written to."""
    array.flags.writeable = False
    return array


def embed_kernel(kernel: Float64Array, size: int) -> Float64Array:
    """Return an odd-sized kernel with zeros around it, `size` pixels square."""
    rows, columns = ((size - length) // 2 for length in kernel.shape)
    return np.pad(kernel, ((rows, rows), (columns, columns)))


_DELTA = freeze_array(np.ones((1, 1)))


@lru_cache(maxsize=1024)
def psf_kernel(
    family: PsfFamily,
    sigma: float,
    *,
    blades: int = 6,
    shape: float = 4.0,
    half: ApertureHalf | None = None,
) -> Float64Array:
    """Return the kernel of a PSF of Gaussian-equivalent size `sigma`.

    Args:
        family: `disk` (ideal round aperture), `gaussian`, `polygon` (an iris of straight blades),
            or `generalised` (a generalised Gaussian, between the first two for shapes above 2).
        sigma: standard deviation in pixels, >= 0; a disk gets radius 2 sigma. 0 gives the 1 x 1
            delta.
        blades: sides of the polygon, >= 3; the other families ignore it.
        shape: exponent of the generalised Gaussian, from `SMALLEST_SHAPE` on; the other families
            ignore it.
        half: keep the left or right half of the aperture only, as one photodiode of a dual pixel
            sees it, normalised again. The mean of the two halves is the full kernel.

    Raises:
        ValueError: for an unknown family, a negative or non-finite sigma, fewer than 3 blades, or a
            shape below `SMALLEST_SHAPE`.
    """
    if family == "disk":
        return disk_kernel(2 * sigma, half=half)
    if family == "gaussian":
        return gaussian_kernel(sigma, half=half)
    if family == "polygon":
        return polygon_kernel(polygon_circumradius(sigma, blades), blades, half=half)
    if family == "generalised":
        return generalised_gaussian_kernel(sigma, shape, half=half)
    raise ValueError(f"PSF family must be disk, gaussian, polygon or generalised, got {family!r}")


def polygon_circumradius(sigma: float, blades: int) -> float:
    """Return the circumradius in pixels of the regular polygon whose per-axis standard deviation is
    `sigma`.
    """
    if blades < 3:
        raise ValueError(f"an aperture needs at least 3 blades, got {blades}")
    return sigma * math.sqrt(12 / (2 + math.cos(2 * math.pi / blades)))


def disk_kernel(radius: float, *, half: ApertureHalf | None = None) -> Float64Array:
    """Return the kernel of a uniform disk of `radius` pixels; arguments and errors as for
    `psf_kernel`.
    """
    return sample_kernel(lambda x, y: _disk_integral(x, y, radius), radius, half)


def gaussian_kernel(sigma: float, *, half: ApertureHalf | None = None) -> Float64Array:
    """Return the kernel of a Gaussian of standard deviation `sigma` pixels, cut at `GAUSSIAN_REACH`
    sigma.
    """
    return sample_kernel(
        lambda x, y: np.outer(ndtr(y / sigma), ndtr(x / sigma)), GAUSSIAN_REACH * sigma, half
    )


def generalised_gaussian_kernel(
    sigma: float, shape: float, *, half: ApertureHalf | None = None
) -> Float64Array:
    """Return the kernel of the isotropic generalised Gaussian exp(-(r / a)^shape) of per-axis
    deviation `sigma` pixels.

    Shape 2 is the Gaussian, infinity the disk of radius 2 sigma (`math.inf` gives just that), 1 a
    PSF of heavy tails. Where less than 3.7e-6 of its mass lies beyond, it is cut. As a heap of
    disks of all radii it is integrated over the radius by Gauss-Legendre quadrature and over the
    pixels in closed form.

    Measured |kernel - reference| / |reference|: at shape 2 against the Gaussian's closed form at
    most 4e-5 (sigma 0.15 to 12 px), at shape 1e5 against the disk's at most 4e-8, at shapes 0.3 to
    100 against 2000 nodes at most 7e-5 (sigma 0.5, 2 and 6 px).
    """
    if not shape >= SMALLEST_SHAPE:
        raise ValueError(
            f"the shape of a generalised Gaussian must be at least {SMALLEST_SHAPE}, got {shape}"
        )
    if math.isinf(shape):
        return disk_kernel(2 * sigma, half=half)
    log_ratio = math.log(2) + gammaln(2 / shape) - gammaln(4 / shape)
    a = sigma * math.exp(log_ratio / 2)
    reach = a * float(gammainccinv(2 / shape, _TAIL_MASS)) ** (1 / shape)
    count = round(min(_NODES * max(1.0, sigma), _MOST_NODES))
    node, weight = np.polynomial.legendre.leggauss(count)
    # Equal shares of the mass, layer by layer.
    relative_radii = gammaincinv(1 + 2 / shape, (1 + node) / 2) ** (1 / shape)
    radii = a * relative_radii
    return sample_kernel(lambda x, y: _disk_heap_integral(x, y, radii, weight), reach, half)


def _disk_heap_integral(
    x: Float64Array, y: Float64Array, radii: Float64Array, weight: Float64Array
) -> Float64Array:
    """Return `_disk_integral` of unit disks of many radii, weighted and summed."""
    sides, index = np.unique(np.abs(np.concatenate([x, y])), return_inverse=True)
    quarter = sum(
        w / r**2 * _disk_integral(sides, sides, r)
        for r, w in zip(radii, weight, strict=True)
        if r > 0
    )
    mass = quarter[np.ix_(index[len(x) :], index[: len(x)])]
    integral: Float64Array = np.sign(x) * np.sign(y)[:, None] * mass
    return integral


def polygon_kernel(radius: float, blades: int, *, half: ApertureHalf | None = None) -> Float64Array:
    """Return the kernel of a uniform regular polygon of circumradius `radius` pixels, one corner
    pointing up.

    It is its own mirror image in the vertical axis for any number of blades, so the dual-pixel
    halves are equal.
    """
    return sample_kernel(lambda x, y: _polygon_integral(x, y, radius, blades), radius, half)


def disk_overlap_kernel(
    radius: float, distance: float, angle: float = 0.0, *, half: ApertureHalf | None = None
) -> Float64Array:
    """Return the PSF of a lens vignetted by its barrel, a cat's eye: what two equal disks have in
    common.

    Args:
        radius: of the disks in pixels >= 0; 0 gives the 1 x 1 delta.
        distance: of the disks' centres in radii, in [0, 2); 0 gives the disk.
        angle: direction of that distance, radians.
        half: as for `psf_kernel`.

    Returns:
        An odd square kernel that sums to 1, centred, integrated over pixels by sampling.
    """
    reach = max(0, math.ceil(radius - 0.5))
    if reach == 0:
        return _DELTA
    size = 2 * reach + 1
    x = (np.arange(size * _SAMPLES) + 0.5) / _SAMPLES - size / 2
    y = x[:, None]
    dx = radius * distance / 2 * math.cos(angle)
    dy = radius * distance / 2 * math.sin(angle)
    first_disk = (x - dx) ** 2 + (y - dy) ** 2 <= radius**2
    second_disk = (x + dx) ** 2 + (y + dy) ** 2 <= radius**2
    overlap = first_disk & second_disk
    if half is not None:
        overlap &= x < 0 if half == "left" else x > 0
    blocks = overlap.reshape(size, _SAMPLES, size, _SAMPLES)
    mass: Float64Array = blocks.sum(axis=(1, 3), dtype=np.float64)
    return freeze_array(mass / mass.sum())


def cats_eye_kernel(
    sigma: float, cut: float, angle: float, *, half: ApertureHalf | None = None
) -> Float64Array:
    """Return the PSF of a lens vignetted by its barrel: what two equal disks have in common.

    Args:
        sigma: standard deviation in pixels >= 0, the root mean square over the two axes; 0 gives
            the 1 x 1 delta.
        cut: distance of the disks' centres in radii, in [0, 2); 0 gives the disk.
        angle: direction of that distance, radians.
        half: as for `psf_kernel`.

    Returns:
        An odd square kernel that sums to 1, centred, integrated over pixels by sampling.
    """
    return disk_overlap_kernel(sigma * _cats_eye_radius(cut), cut, angle, half=half)


@lru_cache(maxsize=64)
def _cats_eye_radius(cut: float) -> float:
    """Return the disks' radius for which what they have in common has a mean squared deviation of 1
    per axis.
    """
    along = np.linspace(0, 1 - cut / 2, 4001)
    chord = np.sqrt(np.maximum(0, 1 - (along + cut / 2) ** 2))
    variance = np.average((along**2 + chord**2 / 3) / 2, weights=chord)
    return float(1 / math.sqrt(variance))


def sample_kernel(
    integral: Callable[[Float64Array, Float64Array], Float64Array],
    reach: float,
    half: ApertureHalf | None,
) -> Float64Array:
    """Return the kernel of a PSF that ends `reach` pixels from its centre: odd and square, sum 1,
    read-only.

    Args:
        integral: the PSF's integral from some fixed corner to every corner (x, y) of the pixel
            grid, as (y, x), up to a factor.
        reach: in pixels.
        half: as for `psf_kernel`.
    """
    edges = _pixel_edges(reach)
    if len(edges) == 2:
        return _DELTA
    corner_integrals = integral(_fold_edges(edges, half), edges)
    differences = np.diff(np.diff(corner_integrals, axis=0), axis=1)
    mass = np.maximum(differences, 0)
    return freeze_array(mass / mass.sum())


def _pixel_edges(reach: float) -> Float64Array:
    """Return the pixel edges of the smallest odd grid that covers [-reach, reach]."""
    if not (math.isfinite(reach) and reach >= 0):
        raise ValueError(f"the size of a PSF must be a finite number >= 0, got {reach}")
    pixels = max(0, math.ceil(reach - 0.5))
    return np.arange(-pixels, pixels + 2, dtype=np.float64) - 0.5


def _fold_edges(edges: Float64Array, half: ApertureHalf | None) -> Float64Array:
    """Fold the edges of the covered half onto the middle of the aperture, which leaves the pixels
    there no area.
    """
    if half == "left":
        return np.minimum(edges, 0)
    if half == "right":
        return np.maximum(edges, 0)
    return edges


def _disk_integral(x: Float64Array, y: Float64Array, radius: float) -> Float64Array:
    """Return the area of the disk inside the rectangle from its centre to (x, y), signed
    as x * y.
    """
    a = np.minimum(np.abs(x), radius)
    b = np.minimum(np.abs(y), radius)[:, None]
    # Up to the chord the rectangle's side bounds the area, from there on the circle.
    chord = np.minimum(a, np.sqrt((radius - b) * (radius + b)))
    area = b * chord + _circle_segment_area(a, radius) - _circle_segment_area(chord, radius)
    integral: Float64Array = np.sign(x) * np.sign(y)[:, None] * area
    return integral


def _circle_segment_area(x: Float64Array, r: float) -> Float64Array:
    """Return the area between the circle of radius `r` and its horizontal diameter, from 0
    to `x`.
    """
    triangle = x * np.sqrt((r - x) * (r + x))
    sector = r * r * np.arcsin(x / r)
    area: Float64Array = (triangle + sector) / 2
    return area


def _polygon_integral(x: Float64Array, y: Float64Array, radius: float, blades: int) -> Float64Array:
    """Return the area of the polygon left of x and below y, for every pair of pixel edges, as (y,
    x).

    Between its corners and its crossings with the pixel edges a polygon's outline is straight, so
    the trapezoid rule over all of those abscissae is exact.
    """
    turn = np.pi * (0.5 + 2 * np.arange(blades) / blades)
    corners = radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    inside = np.clip(x, corners[:, 0].min(), corners[:, 0].max())
    stops = np.unique(np.concatenate([corners[:, 0], inside, _side_crossings(corners, y)]))
    low, high = _polygon_outline(corners, stops)
    height = np.clip(y[:, None], low, high) - low
    mean_height = (height[:, 1:] + height[:, :-1]) / 2
    strips = mean_height * np.diff(stops)
    area_at_start = np.zeros((len(y), 1))
    area = np.concatenate([area_at_start, np.cumsum(strips, axis=1)], axis=1)
    area_left_of_x: Float64Array = area[:, np.searchsorted(stops, inside)]
    return area_left_of_x


def _side_crossings(corners: Float64Array, y: Float64Array) -> Float64Array:
    """Return the abscissae where the polygon's sides cross the horizontal lines `y`."""
    step = np.roll(corners, -1, axis=0) - corners
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (y[:, None] - corners[:, 1]) / step[:, 1]
    abscissae = corners[:, 0] + share * step[:, 0]
    return abscissae[(share > 0) & (share < 1)]


def _polygon_outline(corners: Float64Array, x: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the lower and upper ordinate of the convex polygon at each abscissa."""
    step = np.roll(corners, -1, axis=0) - corners
    upright = np.abs(step[:, 0]) < 1e-9 * np.abs(corners).max()
    start = corners[~upright]
    step = step[~upright]
    slope = step[:, 1] / step[:, 0]
    lines = start[:, 1] + (x[:, None] - start[:, 0]) * slope
    under = step[:, 0] > 0  # corners run anticlockwise: the lower sides go right
    return lines[:, under].max(axis=1), lines[:, ~under].min(axis=1)
