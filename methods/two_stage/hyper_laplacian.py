"""Deconvolution with a hyper-Laplacian prior, layer by layer: the deconvolver of the two-stage
systems.

D. Krishnan and R. Fergus, "Fast image deconvolution using hyper-Laplacian priors", NIPS 2009,
minimise per channel

    weight / 2 |k conv x - y|^2 + sum |dx/du|^alpha + sum |dx/dv|^alpha

by half-quadratic splitting: the gradients are replaced by fields w, held to them by beta / 2 |grad
x - w|^2, and w (a problem of one number per pixel) and x (a quotient of Fourier transforms) are
solved in turn while beta grows.

The pipeline round it is the one that the authors of DMENet released for their own, the JNB and the
EBDB maps, and that the tables of the field rest on. As released:

- the picture is rounded to 8 bits on the way in, the result cut to [0, 1] on the way out;
- sigma takes the lower edge of its bin; the edges are the least sigma, 32 quantiles of the
  *distinct* values, and the largest. Those maps are 8-bit files, so distinct values are all there
  is between the extremes, each once;
- the picture is continued by its border values as far as the kernel is wide, and the border faded
  into its own periodic blurred copy, four times (the `edgetaper` of Gonzalez and Woods), because
  the transforms are periodic;
- layers are pasted with hard masks, and a kernel of one pixel copies the picture;
- alpha = 1.5, beta = 1 and then x 2 sqrt 2 while below 256, one solution of w and x for each;
  weight 16.8 for the DPDD data (420 for CUHK-BD, 4.2 for RealDOF: chosen by hand on those test
  sets).

Here:

- `RELEASED` are these constants; `TUNED` those that gain most with the true map (see there).
- The kernels are `benchmark.optics.psf`'s, integrated over the pixel and cut at 5 sigma; theirs are
  sampled at the centre, cut at 8.5 sigma or 50 pixels.
- Maps are rounded to the steps of such a file, 5/255 px, for the hard bins only.
- Their final rounding to 8 bits is left to the protocol.
- w for alpha = 3/2 has a closed form too; any other alpha but 1, 2/3 and 1/2 is tabulated by a
  Newton iteration that runs until it has converged (theirs makes 4 steps).
- A layer is solved in boxes round the pixels that need it, each with a margin, not for the whole
  picture. Against the whole picture, two crops of 200 x 200 of BSDS500 train, three settings: 63 to
  126 dB, at most 0.018 apart; 16 pixels from the border, where boxes meet but no picture is
  continued, 77 to 130 dB, at most 0.0034. PSNR changes by 0.002 dB.
- Optional: `bins="feathered"` mixes two layers per pixel, and `mismatch` m says that the PSF of a
  layer is wrong, as in `benchmark.methods.two_stage.wiener`: at a frequency where the PSF passes H,
  the data then have the weight 1 / (1 / weight + m (1 - H^2) / P), P the eigenvalue of the negative
  Laplacian; an error of the PSF acts as noise with the spectrum of a picture. 0 is the published
  method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import cv2
import numpy as np
from scipy.fft import irfft, irfft2, next_fast_len, rfft, rfft2

from benchmark.api import Map, Mask, Picture
from benchmark.arrays import Box, Float32Array, Float64Array
from benchmark.methods.two_stage.wiener import Psf, layer_kernel

Bins = Literal["hard", "feathered"]
Planes = Float32Array
"""Channels x height x width."""


@dataclass(frozen=True, slots=True)
class Constants:
    """What `deconvolve_hyper_laplacian` leaves open."""

    alpha: float
    weight: float
    mismatch: float
    bins: Bins
    eight_bit: bool


RELEASED = Constants(alpha=1.5, weight=16.8, mismatch=0, bins="hard", eight_bit=True)
TUNED = Constants(alpha=1.5, weight=3000, mismatch=0.005, bins="feathered", eight_bit=False)
"""What gains most with the true map, without noise.

Gain over the input in dB, 8 pictures of BSDS500 train, blurred by disks of radius up to 8, 8 bits;
true map, disk kernels, feathered bins; sRGB codes / linear light. Alpha 1.5: weight 3000 and
mismatch 0.005 1.40 / 1.44, 0.007 - / 1.40, 0.01 1.28 / 1.30; weight 1000 and mismatch 0.005 - /
1.40, 0.003 - / 1.36. Alpha 1.3, 3000 and 0.004: - / 1.35. Alpha 1, 3000 and 0.003: 1.01 / 1.07. On
the middle 240 x 240 of ten of them, sRGB, without mismatch: released 0.42; feathered, alpha 1.5
with weight 50 0.75, 1 with 150 0.62, 2/3 with 300 0.45; hard bins gain 0.01 less.
"""

QUANTILES = 32
FILE_STEP = 5 / 255
"""Distance in sigma, pixels, of two neighbouring values of a released map."""
STEP = 0.25
"""Distance in sigma, pixels, of the rungs of the feathered ladder."""

FIRST_BETA = 1.0
LAST_BETA = 256.0
BETA_GROWTH = 2 * math.sqrt(2)
TAPERS = 4

TABLE_REACH = 10.0
TABLE_STEP = 1e-4

LARGEST_BOX = 512
"""A box is split beyond this side, pixels, so that memory does not grow with the picture."""


def deconvolve_hyper_laplacian(
    image: Picture,
    blur_map: Map,
    *,
    psf: Psf = "gaussian",
    alpha: float = RELEASED.alpha,
    weight: float = RELEASED.weight,
    mismatch: float = RELEASED.mismatch,
    bins: Bins = RELEASED.bins,
    eight_bit: bool = RELEASED.eight_bit,
) -> Picture:
    """Return the picture restored under a blur map (H x W x 3, finite).

    It uses as many threads as OpenCV is set to; the result does not depend on their number.

    Args:
        image: H x W x 3.
        blur_map: H x W, sigma in pixels, >= 0.
        psf: the family of the PSF; `gkm` ends at the paper's largest kernel.
        alpha: exponent of the prior, in (0, 2].
        weight: of the data against the prior, > 0, for a picture on the [0, 1] scale.
        mismatch: m >= 0 of the module's formula. Where the true PSF changes from pixel to pixel a
            layer's model is the more wrong the larger the PSF, and a constant weight rings in one
            place or leaves blur in the other.
        bins: `hard`, the released bins; or `feathered`, a ladder of sigmas, each pixel mixing the
            two rungs next to its own sigma linearly, which leaves no seams.
        eight_bit: round the picture to 8 bits first and cut the result to [0, 1], as the released
            program does. Not for linear light, whose shadows need more than 8 bits.

    Raises:
        ValueError: if alpha, weight or mismatch is out of its range.
    """
    if not (0 < alpha <= 2 and 0 < weight < math.inf and 0 <= mismatch < math.inf):
        raise ValueError(
            f"alpha must be in (0, 2], weight > 0, mismatch >= 0; got {alpha}, {weight}, {mismatch}"
        )
    solver = partial(minimise_half_quadratic, alpha=alpha, weight=weight, mismatch=mismatch)
    if eight_bit:
        image = np.rint(np.clip(image, 0, 1) * np.float32(255)) / np.float32(255)
    if bins == "feathered":
        sigmas, position = _feathered_bins(blur_map)
    else:
        sigmas, position = _hard_bins(blur_map)
    total = np.zeros_like(image)
    with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as threads:
        for rung, sigma in enumerate(sigmas):
            share: Map = np.maximum(np.float32(0), 1 - np.abs(position - np.float32(rung)))
            psf_kernel = layer_kernel(psf, sigma)
            # One from a file may have a wide and faint halo.
            margin = max(_hyper_laplacian_margin(sigma), len(psf_kernel) // 2)
            solve = partial(_solve_box, image, psf=psf_kernel, margin=margin, solver=solver)
            boxes = list(_cover_mask(share > 0, margin))
            for box, layer in zip(boxes, threads.map(solve, boxes), strict=True):
                total[box] += share[box][..., None] * layer
    if eight_bit:
        return np.clip(total, 0, 1)
    return total


def _hard_bins(blur_map: Map) -> tuple[list[float], Map]:
    """Return the lower edges of the released bins that hold a pixel, and every pixel's index into
    them.
    """
    rounded_map = np.rint(blur_map / FILE_STEP) * FILE_STEP
    values, value_of_pixel = np.unique(rounded_map, return_inverse=True)
    inner = np.quantile(values, np.arange(1, QUANTILES + 1) / (QUANTILES + 1), method="hazen")
    edges = np.concatenate([values[:1], inner])
    bin_of_value = np.searchsorted(edges, values, side="right") - 1
    full_bins, position_of_value = np.unique(bin_of_value, return_inverse=True)
    position = position_of_value[value_of_pixel].reshape(blur_map.shape)
    return edges[full_bins].tolist(), position.astype(np.float32)


def _feathered_bins(blur_map: Map) -> tuple[list[float], Map]:
    """Return the rungs from 0 to the largest sigma, and every pixel's place between them."""
    position = blur_map / np.float32(STEP)
    return [STEP * rung for rung in range(math.ceil(position.max()) + 1)], position


# Boxes
# --------------------------------------------------------------------------------------------------


def _hyper_laplacian_margin(sigma: float) -> int:
    """Return how far from a pixel the restoration still draws on the picture."""
    return math.ceil(8 * sigma) + 12


def _cover_mask(mask: Mask, margin: int) -> Iterator[Box]:
    """Yield disjoint boxes that cover the mask, chosen so that they are cheap to solve with their
    margins.
    """
    if mask.any():
        full_box = (slice(0, mask.shape[0]), slice(0, mask.shape[1]))
        yield from _split_box(mask, _hull(mask, full_box), margin)


def _split_box(mask: Mask, box: Box, margin: int) -> Iterator[Box]:
    lengths = [side.stop - side.start for side in box]
    axis = int(lengths[1] > lengths[0])
    if lengths[axis] == 1:
        yield box
        return
    halves = _halve_box(mask, box, axis)
    halves_cost = sum(_box_cost(half, margin) for half in halves)
    if lengths[axis] > LARGEST_BOX or halves_cost < 0.9 * _box_cost(box, margin):
        for half in halves:
            yield from _split_box(mask, half, margin)
    else:
        yield box


def _halve_box(mask: Mask, box: Box, axis: int) -> list[Box]:
    """Return the hulls of the halves of a box along an axis that hold something."""
    side = box[axis]
    middle = side.start + (side.stop - side.start) // 2
    hulls: list[Box] = []
    for part in (slice(side.start, middle), slice(middle, side.stop)):
        half = (box[0], part) if axis else (part, box[1])
        if mask[half].any():
            hulls.append(_hull(mask, half))
    return hulls


def _hull(mask: Mask, box: Box) -> Box:
    """Return the smallest box round what the mask holds inside a box; it holds something."""
    sides = []
    for axis, side in enumerate(box):
        indices = np.flatnonzero(mask[box].any(axis=1 - axis))
        sides.append(slice(side.start + int(indices[0]), side.start + int(indices[-1]) + 1))
    return sides[0], sides[1]


def _box_cost(box: Box, margin: int) -> int:
    return math.prod(side.stop - side.start + 2 * margin for side in box)


def _solve_box(
    image: Picture,
    box: Box,
    *,
    psf: Float64Array,
    margin: int,
    solver: Callable[[Planes, Float64Array], Planes],
) -> Picture:
    """Return one box of the picture, restored under one PSF."""
    if psf.size == 1:
        return image[box]
    reach = len(psf)
    wide_sides = []
    indices = []
    for side, size in zip(box, image.shape[:2], strict=True):
        wide_side = _extend_side(side, margin, reach, size)
        wide_sides.append(wide_side)
        indices.append(np.clip(np.arange(wide_side.start, wide_side.stop), 0, size - 1))
    planes = np.ascontiguousarray(np.moveaxis(image[np.ix_(*indices)], 2, 0))
    solution = solver(taper_border(planes, psf), psf)
    rows, columns = (
        slice(side.start - wide_side.start, side.stop - wide_side.start)
        for side, wide_side in zip(box, wide_sides, strict=True)
    )
    return np.moveaxis(solution[:, rows, columns], 0, 2)


def _extend_side(side: slice, margin: int, reach: int, size: int) -> slice:
    """Return a side with its margin, no further than the picture is continued, of a length that
    transforms fast.

    Only the whole length of the continued picture is taken as it is: to prolong it would change the
    fading at its ends.
    """
    first = -reach
    last = size + reach
    start = max(side.start - margin, first)
    stop = min(side.stop + margin, last)
    length = int(next_fast_len(stop - start, real=True))
    stop = min(start + length, last)
    return slice(max(stop - length, first), stop)


# Krishnan and Fergus
# --------------------------------------------------------------------------------------------------


def minimise_half_quadratic(
    planes: Planes, psf: Float64Array, alpha: float, weight: float, mismatch: float = 0
) -> Planes:
    """Return the minimiser of the module's formula as half-quadratic splitting finds it, for
    periodic pictures.

    Args:
        planes: C x H x W, no smaller than the PSF.
        psf: odd-sized kernel, its own mirror image in both axes, sum 1.
        alpha: in (0, 2].
        weight: > 0.
        mismatch: >= 0.
    """
    shape = planes.shape[1:]
    transfer = _periodic_transfer(psf, shape)
    power = transfer**2
    roughness = _periodic_laplacian_eigenvalues(shape)
    blurred_spectrum = rfft2(planes) * transfer
    # A mean is passed whole: no doubt.
    doubt = np.divide(1 - power, roughness, out=np.zeros_like(roughness), where=roughness > 0)
    per_weight = np.float32(1 / weight) + np.float32(mismatch) * np.maximum(doubt, 0)
    x = planes
    beta = FIRST_BETA
    while beta < LAST_BETA:
        pull = np.float32(beta) * per_weight
        down = shrink_gradients(_forward_difference(x, 1), alpha, beta)
        right = shrink_gradients(_forward_difference(x, 2), alpha, beta)
        # Multiplied, not divided: a complex number divided by a real one is slow in NumPy.
        quotient = 1 / (power + pull * roughness)
        spectrum = rfft2(_divergence(down, right))
        spectrum *= pull * quotient
        spectrum += blurred_spectrum * quotient
        x = irfft2(spectrum, s=shape, overwrite_x=True)
        beta *= BETA_GROWTH
    return x


def taper_border(planes: Planes, psf: Float64Array) -> Planes:
    """Return C x H x W planes whose border is faded into their own periodic blurred copy.

    The fading follows the PSF's autocorrelation, as wide as the PSF; the planes must be wider.
    """
    row_share = _picture_share(psf.sum(axis=1), planes.shape[1])
    column_share = _picture_share(psf.sum(axis=0), planes.shape[2])
    share = np.outer(row_share, column_share).astype(np.float32)
    profile = _separable_profile(psf)
    for _ in range(TAPERS):
        blurred = np.stack([_blur_periodically(plane, psf, profile) for plane in planes])
        planes = blurred + share * (planes - blurred)
    return planes


def _separable_profile(psf: Float64Array) -> Float64Array | None:
    """Return the one-dimensional kernel of which a PSF of sum 1 is the outer product with itself;
    None if there is no such kernel.
    """
    profile: Float64Array = psf.sum(axis=0)
    if np.allclose(np.outer(profile, profile), psf, rtol=0, atol=1e-12):
        return profile
    return None


def _blur_periodically(plane: Map, psf: Float64Array, profile: Float64Array | None) -> Map:
    """Return a periodic H x W plane blurred by a symmetric PSF, by its profile if there is one."""
    reach = len(psf) // 2
    wide_plane = cv2.copyMakeBorder(plane, reach, reach, reach, reach, cv2.BORDER_WRAP)
    if profile is None:
        wide_blurred = cv2.filter2D(wide_plane, cv2.CV_32F, psf)
    else:
        wide_blurred = cv2.sepFilter2D(wide_plane, cv2.CV_32F, profile, profile)
    return wide_blurred[reach:-reach, reach:-reach]  # type: ignore[return-value]


def _picture_share(profile: Float64Array, size: int) -> Float64Array:
    """Return the share of the picture that stays along an axis: 0 at both ends, 1 inside."""
    autocorrelation = irfft(np.abs(rfft(profile, size - 1)) ** 2, size - 1)
    periodic = np.append(autocorrelation, autocorrelation[0])
    return np.asarray(1 - periodic / autocorrelation.max())


def _periodic_transfer(psf: Float64Array, shape: tuple[int, ...]) -> Planes:
    """Return the factor by which a symmetric PSF multiplies each coefficient of the transform
    (real).
    """
    plane = np.zeros(shape)
    rows, columns = (np.arange(size) - size // 2 for size in psf.shape)
    plane[np.ix_(rows, columns)] = psf  # negative indices count from the end
    return np.asarray(rfft2(plane).real, dtype=np.float32)


def _periodic_laplacian_eigenvalues(shape: tuple[int, ...]) -> Planes:
    """Return the eigenvalues of the negative periodic Laplacian, as `rfft2` orders them."""
    rows = 4 * np.sin(np.pi * np.arange(shape[0]) / shape[0]) ** 2
    columns = 4 * np.sin(np.pi * np.arange(shape[1] // 2 + 1) / shape[1]) ** 2
    return np.asarray(rows[:, None] + columns, dtype=np.float32)


def _forward_difference(planes: Planes, axis: int) -> Planes:
    """Return the periodic differences x[i+1] - x[i]."""
    difference = np.roll(planes, -1, axis)
    difference -= planes
    return difference


def _divergence(down: Planes, right: Planes) -> Planes:
    """Return the transpose of the two differences."""
    divergence = np.roll(down, 1, 1)
    divergence -= down
    divergence += np.roll(right, 1, 2)
    divergence -= right
    return divergence


# The problem of one number
# --------------------------------------------------------------------------------------------


def shrink_gradients(v: Planes, alpha: float, beta: float) -> Planes:
    """Return the w, for every v, at which |w|^alpha + beta / 2 (w - v)^2 is least (float32, any
    shape).

    For alpha < 1 it is 0 up to a threshold and jumps there.
    """
    size = np.abs(v)
    if alpha > 1:
        return np.copysign(_largest_root(size, alpha, beta), v)
    w = np.zeros_like(size)
    above = size > np.float32(shrinkage_threshold(alpha, beta))
    w[above] = _largest_root(size[above], alpha, beta)
    return np.copysign(w, v)


def shrinkage_threshold(alpha: float, beta: float) -> float:
    """Return the |v| up to which `shrink_gradients` gives 0, for alpha <= 1.

    There the least energy of the root, whose derivative is 0, equals that of w = 0; both equations
    together give w.
    """
    if alpha == 1:
        return 1 / beta
    w = (2 * (1 - alpha) / beta) ** (1 / (2 - alpha))
    return float(w + alpha / beta * w ** (alpha - 1))


def _largest_root(v: Planes, alpha: float, beta: float) -> Planes:
    """Return the largest root w of alpha w^(alpha - 1) + beta (w - v), for v >= 0 above the
    threshold.
    """
    if alpha == 1:
        return np.asarray(v - np.float32(1 / beta), dtype=np.float32)
    if alpha == 3 / 2:  # quadratic in sqrt(w)
        divisor = v * np.float32(4 * beta**2)
        divisor += np.float32(2.25)
        np.sqrt(divisor, out=divisor)
        divisor += np.float32(1.5)
        root: Planes = v * np.float32(2 * beta)
        root /= divisor
        root *= root
        return root
    if math.isclose(alpha, 2 / 3, rel_tol=1e-3):
        return _solve_quartic(v, beta)
    if alpha == 1 / 2:
        return _solve_cubic(v, beta)
    return _look_up_root(v, _root_table(alpha, beta))


def _look_up_root(v: Planes, table: Planes) -> Planes:
    """Return the roots of a table, interpolated linearly.

    Beyond the table the root keeps the distance from v that it has at the end: there the prior
    pulls next to nothing.
    """
    position = np.minimum(v, np.float32(TABLE_REACH)) * np.float32(1 / TABLE_STEP)
    index = np.minimum(position.astype(np.int32), len(table) - 2)
    low = table[index]
    root = low + (table[index + 1] - low) * (position - index.astype(np.float32))
    return np.asarray(root + np.maximum(v - np.float32(TABLE_REACH), 0), dtype=np.float32)


def _solve_quartic(v: Planes, beta: float) -> Planes:
    """Solve alpha = 2/3: with w = t^3 it reads t^4 - v t + c = 0, by Ferrari's resolvent y^3 - 4 c
    y - v^2 = 0.
    """
    c = 2 / (3 * beta)
    half = v**2 / 2
    discriminant_root = np.sqrt(np.maximum(half**2 - np.float32((4 * c / 3) ** 3), 0))
    term = np.cbrt(half + discriminant_root)
    # The product of Cardano's two terms is known; their difference would cancel.
    y = term + np.float32(4 * c / 3) / term
    root = np.sqrt(y)
    t = (root + np.sqrt(np.maximum(2 * v / root - y, 0))) / 2
    return np.asarray(t**3, dtype=np.float32)


def _solve_cubic(v: Planes, beta: float) -> Planes:
    """Solve alpha = 1/2: with w = t^2 it reads t^3 - v t + 1 / (2 beta) = 0, whose three roots are
    real.
    """
    reach = np.sqrt(v / 3)
    angle = np.arccos(np.maximum(-1 / (4 * beta) / reach**3, -1))
    t = 2 * reach * np.cos(angle / 3)
    return np.asarray(t**2, dtype=np.float32)


@lru_cache(maxsize=64)
def _root_table(alpha: float, beta: float) -> Planes:
    """Return the roots for v = 0, 1e-4, ... 10.

    Newton's iteration, from the side from which it cannot overshoot: the function is convex above
    the root for alpha < 1 and concave below it for alpha > 1.
    """
    v = np.arange(round(TABLE_REACH / TABLE_STEP) + 1) * TABLE_STEP
    if alpha < 1:
        v = np.maximum(v, shrinkage_threshold(alpha, beta))
        w = v.copy()
    else:
        # Two bounds from below: of the root's two terms, which add up to beta v, neither is below
        # the smaller half; and the pull at w is at most that at v.
        with np.errstate(under="ignore", over="ignore"):
            w = np.minimum(v / 2, (beta * v / (2 * alpha)) ** (1 / (alpha - 1)))
        w = np.maximum(w, v - alpha / beta * v ** (alpha - 1))
    positive = w > 0
    w = w[positive]
    positive_v = v[positive]
    with np.errstate(over="ignore"):  # the curvature near 0 is without bound, and the step then 0
        for _ in range(50):
            value = alpha * w ** (alpha - 1) + beta * (w - positive_v)
            slope = alpha * (alpha - 1) * w ** (alpha - 2) + beta
            w -= value / slope
    table = np.zeros(len(v), np.float32)
    table[positive] = w
    table.flags.writeable = False
    return table
