"""How well a family of blur kernels fits a given point spread function, and what a misfit costs in
deblurring.

Every family is fitted by least squares on the pixels of the PSF:

    gaussian, disk           one free number, sigma (kernels of `psf`, integrated over pixels)
    generalised gaussian     two, sigma and the exponent p of exp(-(r / a)^p), p from 0.5 to 50
    gkm                      the K coefficients of a bank (`gkm.paper_bank`): any sign (as a network
    may learn them) or
                             >= 0 (a physical mixture)

A mixture of centred Gaussians with coefficients >= 0 is, but for the cutting and sampling of the
bank, the more peaked of all curves: as a function of r^2 it is convex (its logarithm too), so it
cannot have the flat top of a lens's PSF. Only coefficients of both signs can.

Registration. A PSF that is off centre displaces the picture, which is not blur, and none of the
families can describe it. So every family gets the same two further free numbers: the translation of
the *PSF* (by the Fourier shift theorem, exact for a periodic band-limited PSF; it keeps sum and
energy) that suits the family best. The PSF moves, not the kernel, so that no family is resampled.
Size and translation are improved in turn from the centroid on, which never makes the error larger,
until the translation rests; as in any descent the minimum found is a local one. The translation of
a PSF with sharp edges by part of a pixel rings (a half aperture is the only such case in our
study).

Errors of a fitted kernel f against the registered PSF p, both on one grid:

    l2       ||f - p|| / ||p||
    tv       sum |f - p| / 2, the total variation distance: the share of the light that arrives in
    the wrong place blur     PSNR (dB, peak 1) between a picture blurred by f and by p
    loss     dB that a Wiener filter made from f loses against the one made from p, when both
    restore a picture blurred
             by p, with white noise of `NOISE`

The last two are expectations in closed form over pictures with power spectrum proportional to 1 /
|frequency|^2 and variance `VARIANCE` on a periodic grid of `GRID` pixels squared; no picture is
drawn. The mean of a picture passes through every kernel and takes no part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final, Literal, NamedTuple

import numpy as np
from scipy import optimize

from benchmark.arrays import Complex128Array, Float64Array
from benchmark.optics import gkm, psf
from benchmark.optics.psf import embed_kernel

Translation = tuple[float, float]
FitFamily = Literal["gaussian", "disk", "generalised gaussian", "gkm >= 0", "gkm"]

FAMILIES: Final[tuple[FitFamily, ...]] = (
    "gaussian",
    "disk",
    "generalised gaussian",
    "gkm >= 0",
    "gkm",
)

GRID: Final = 256
"""Side of the periodic picture of the errors `blur` and `loss`, in pixels."""
VARIANCE: Final = 0.041
"""Mean variance of the grey values (0 to 1) of the 200 pictures of BSDS500/train."""
NOISE: Final = 1.0
"""Noise of the error `loss`, on the 0-255 scale; the lower of the paper's levels above none."""

_SMALLEST_MOVE = 0.01  # px: translations closer than this are one
_ROUNDS = 12
_SIZES = 40  # start values for the size of a one-parameter family
_EXPONENTS = (1.0, 2.0, 4.0, 8.0, 20.0)
_WIDE_SIGMA = 2.0  # px of sigma
# Beyond, the tails outgrow any grid, or the pixels hide the difference to a disk.
_EXPONENT_RANGE = (0.5, 50.0)


class KernelErrors(NamedTuple):
    """Errors of a fitted kernel, as the module defines them: two relative, two in dB (`blur` may be
    inf).
    """

    l2: float
    tv: float
    blur: float
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class FamilyFit:
    """The kernel of a family that comes closest to a PSF.

    Attributes:
        family: which.
        kernel: the fitted kernel, odd-sized, sum as the PSF's.
        parameters: (sigma,) in pixels, (sigma, exponent), or the K coefficients of the bank.
        shift: (down, right) in pixels, how far the PSF was moved to be registered.
        target: the registered PSF, on its own grid or a larger one.
        errors: of `kernel` against `target`.
    """

    family: FitFamily
    kernel: Float64Array
    parameters: tuple[float, ...]
    shift: Translation
    target: Float64Array
    errors: KernelErrors


def fit_family(
    psf_pixels: Float64Array, family: FitFamily, *, max_size: int = 21, register: bool = True
) -> FamilyFit:
    """Fit a family to a PSF.

    Args:
        psf_pixels: odd height and width, not necessarily square or symmetric, with a positive sum.
        family: one of `FAMILIES`.
        max_size: largest kernel M of the bank of a mixture; the other families are not limited in
            size.
        register: find the translation; otherwise the PSF is taken to be centred.

    Raises:
        ValueError: for an unknown family, a PSF of even size, one that is not finite or has no
            positive sum, or one wider than a third of `GRID`.
    """
    check_psf(psf_pixels)
    solve = _family_solver(family, max_size)
    if register:
        solution, target, shift = _fit_registered(psf_pixels, solve)
    else:
        target = psf_pixels
        shift = (0.0, 0.0)
        solution = solve(target, None)
    errors = kernel_errors(solution.kernel, target)
    return FamilyFit(family, solution.kernel, solution.parameters, shift, target, errors)


def check_psf(psf_pixels: Float64Array) -> None:
    """Raise ValueError unless `fit_family` can fit this PSF; see there."""
    shape = psf_pixels.shape
    has_odd_sides = len(shape) == 2 and all(size % 2 == 1 for size in shape)
    if not has_odd_sides or not np.isfinite(psf_pixels).all():
        raise ValueError(f"a PSF must be a finite array of odd height and width, got shape {shape}")
    if not psf_pixels.sum() > 0:
        raise ValueError(f"a PSF must have a positive sum, got {psf_pixels.sum()}")
    if 3 * max(shape) > GRID:
        raise ValueError(f"a PSF must be at most {GRID // 3} pixels wide, got shape {shape}")


def kernel_errors(kernel: Float64Array, target: Float64Array) -> KernelErrors:
    """Return the errors of a kernel against the PSF it stands for; both odd-sized and centred."""
    size = max(*kernel.shape, *target.shape)
    difference = embed_kernel(kernel, size) - embed_kernel(target, size)
    fit_transfer = _transfer_function(kernel)
    true_transfer = _transfer_function(target)
    spectrum = _natural_spectrum()
    blur_error = float((spectrum * np.abs(fit_transfer - true_transfer) ** 2).sum())
    fit_error = _wiener_error(fit_transfer, true_transfer)
    least_error = _wiener_error(true_transfer, true_transfer)
    return KernelErrors(
        l2=float(np.linalg.norm(difference) / np.linalg.norm(target)),
        tv=float(np.abs(difference).sum() / 2),
        blur=-10 * math.log10(blur_error) if blur_error > 0 else math.inf,
        loss=10 * math.log10(fit_error / least_error),
    )


def translate_psf(array: Float64Array, shift: Translation) -> Float64Array:
    """Move an odd-sized array (down, right) by any part of a pixel, periodically; sum and energy
    stay.

    A displacement by whole pixels is exact; one by parts of a pixel interpolates trigonometrically.
    """
    if shift == (0.0, 0.0):
        return array
    spectrum = np.fft.fft2(array) * _translation_phase(array.shape, shift)
    return np.asarray(np.fft.ifft2(spectrum).real, dtype=np.float64)


def psf_moments(array: Float64Array) -> tuple[Translation, float]:
    """Return the centroid (down, right, in px from the centre) and the per-axis sigma (root mean
    variance) of a PSF.

    Sigma is that of the sampled PSF, the variance of the pixel (1/12) included; 0 for a variance
    that negative values make negative.
    """
    total = array.sum()
    row_sums = array.sum(axis=1)
    column_sums = array.sum(axis=0)
    rows = np.arange(row_sums.size) - row_sums.size // 2
    columns = np.arange(column_sums.size) - column_sums.size // 2
    down = float(row_sums @ rows / total)
    right = float(column_sums @ columns / total)
    spread = row_sums @ (rows - down) ** 2 + column_sums @ (columns - right) ** 2
    variance = spread / (2 * total)
    return (down, right), math.sqrt(max(0.0, float(variance)))


# Families
# --------------------------------------------------------------------------------------------------


class _Solution(NamedTuple):
    kernel: Float64Array
    parameters: tuple[float, ...]


_Solver = Callable[[Float64Array, _Solution | None], _Solution]
"""From a registered PSF and the solution for a slightly different registration (None at first) to
the best kernel.
"""


def _family_solver(family: FitFamily, max_size: int) -> _Solver:
    if family == "gaussian":
        return lambda target, start: _solve_size(target, psf.gaussian_kernel, start)
    if family == "disk":
        return lambda target, start: _solve_size(
            target, lambda sigma: psf.disk_kernel(2 * sigma), start
        )
    if family == "generalised gaussian":
        return _solve_generalised_gaussian
    if family in ("gkm", "gkm >= 0"):
        bank = gkm.paper_bank(max_size)
        return lambda target, start: _solve_mixture(target, bank, family == "gkm >= 0")
    raise ValueError(f"a family must be one of {', '.join(FAMILIES)}, got {family!r}")


def _solve_mixture(target: Float64Array, bank: gkm.Bank, nonnegative: bool) -> _Solution:
    share = gkm.fit_mixture(target, bank, nonnegative=nonnegative)
    kernel = np.zeros_like(bank.kernels[-1])
    for weight, single in zip(share, bank.kernels, strict=True):
        kernel += weight * embed_kernel(single, len(kernel))
    return _Solution(kernel, tuple(map(float, share)))


def _solve_size(
    target: Float64Array, make: Callable[[float], Float64Array], start: _Solution | None
) -> _Solution:
    """Search the one parameter sigma from every local minimum of a ladder of start values.

    The error of a disk has several: its edge meets one row of pixels after the other. Once the PSF
    moves by little, the search goes on near the last solution.
    """
    total = float(target.sum())

    def error(sigma: float) -> float:
        return _squared_error(total * make(sigma), target)

    if start is None:
        ladder = [0.0, *np.geomspace(0.1, max(target.shape) / 2, _SIZES)]
    else:
        ladder = [start.parameters[0] * factor for factor in (0.8, 1.0, 1.25)]
    ladder_errors = [error(sigma) for sigma in ladder]
    candidates = list(zip(ladder_errors, ladder, strict=True))
    for index in _local_minima(ladder_errors):
        bounds = ladder[max(index - 1, 0)], ladder[min(index + 1, len(ladder) - 1)]
        best = optimize.minimize_scalar(
            error, bounds=bounds, method="bounded", options={"xatol": 1e-5}
        )
        candidates.append((float(best.fun), float(best.x)))
    sigma = min(candidates)[1]
    return _Solution(total * make(sigma), (sigma,))


def _local_minima(values: Sequence[float]) -> list[int]:
    left = [math.inf, *values[:-1]]
    right = [*values[1:], math.inf]
    triples = enumerate(zip(left, values, right, strict=True))
    return [i for i, (before, value, after) in triples if value <= min(before, after)]


def _solve_generalised_gaussian(target: Float64Array, start: _Solution | None) -> _Solution:
    """Search sigma and exponent, from the best of a grid at first and from the last solution
    afterwards.

    The exact kernel of a wide PSF takes 20 ms, so wide ones are searched for with
    `_sketch_generalised_gaussian`. Only the two numbers found come from it, never the kernel: on
    six apertures of sigma 3 to 6 px the l2 error was that of the exact search to 1e-5.
    """
    total = float(target.sum())
    if start is None:
        single = _solve_size(target, psf.gaussian_kernel, None)
        if single.parameters[0] < 0.1:  # inside one pixel, where the exponent means nothing
            return _Solution(single.kernel, (single.parameters[0], 2.0))
        sigma = single.parameters[0]
    elif start.parameters[0] < 0.1:
        return start
    else:
        sigma = start.parameters[0]
    half = max(target.shape) // 2

    def make(sigma_px: float, exponent: float) -> Float64Array:
        if sigma < _WIDE_SIGMA:
            return psf.generalised_gaussian_kernel(sigma_px, exponent)
        return _sketch_generalised_gaussian(sigma_px, exponent, half)

    def error(logarithms: Float64Array) -> float:
        return _squared_error(total * make(*_size_and_exponent(logarithms)), target)

    if start is None:
        step = 1.0
        grid = product(_EXPONENTS, sigma * np.geomspace(0.75, 1.5, 5))
        first = min((np.log([size, exponent]) for exponent, size in grid), key=error)
    else:
        step = 0.2
        first = np.log(start.parameters)
    simplex = first + step * np.array([[0, 0], [0.05, 0], [0, 0.2]])
    best = optimize.minimize(
        error,
        first,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-10},
    )
    parameters = _size_and_exponent(best.x)
    return _Solution(total * psf.generalised_gaussian_kernel(*parameters), parameters)


def _size_and_exponent(logarithms: Float64Array) -> tuple[float, float]:
    sigma, exponent = (float(value) for value in np.exp(logarithms))
    return sigma, min(max(exponent, _EXPONENT_RANGE[0]), _EXPONENT_RANGE[1])


def _sketch_generalised_gaussian(sigma: float, exponent: float, half: int) -> Float64Array:
    """Return the generalised Gaussian on 2 `half` + 1 pixels squared, integrated by 4 x 4 Gauss
    points per pixel.
    """
    log_ratio = math.log(2) + math.lgamma(2 / exponent) - math.lgamma(4 / exponent)
    a = sigma * math.exp(log_ratio / 2)
    node, weight = np.polynomial.legendre.leggauss(4)
    abscissae = (np.arange(half + 1)[:, None] + node / 2).ravel()
    square = (abscissae / a) ** 2
    dense = np.exp(-((square[:, None] + square) ** (exponent / 2)))
    per_pixel = dense.reshape(half + 1, 4, half + 1, 4)
    corner = np.einsum("iajb,a,b->ij", per_pixel, weight, weight)
    side = np.concatenate([corner[:0:-1], corner])
    kernel = np.concatenate([side[:, :0:-1], side], axis=1)
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def _squared_error(kernel: Float64Array, target: Float64Array) -> float:
    """Return ||kernel - target||^2 without bringing them to one size: outside the smaller one there
    is no product.
    """
    height = min(kernel.shape[0], target.shape[0])
    width = min(kernel.shape[1], target.shape[1])
    overlap = np.vdot(_crop_centre(kernel, height, width), _crop_centre(target, height, width))
    return float(np.vdot(kernel, kernel) - 2 * overlap + np.vdot(target, target))


# Registration
# --------------------------------------------------------------------------------------------------


def _fit_registered(
    psf_pixels: Float64Array, solve: _Solver
) -> tuple[_Solution, Float64Array, Translation]:
    """Return the solution, the registered PSF, and its translation, improved in turn until the
    translation rests.
    """
    padded, shift = _frame_psf(psf_pixels)
    solution: _Solution | None = None
    for _ in range(_ROUNDS):
        target = translate_psf(padded, shift)
        solution = solve(target, solution)
        better_shift = _find_translation(padded, solution.kernel, shift)
        if math.dist(better_shift, shift) < _SMALLEST_MOVE:
            return solution, target, shift
        shift = better_shift
    target = translate_psf(padded, shift)
    return solve(target, solution), target, shift


def _frame_psf(psf_pixels: Float64Array) -> tuple[Float64Array, Translation]:
    """Return the PSF with room to move, and the translation that brings its centroid to
    the centre.
    """
    (down, right), _ = psf_moments(psf_pixels)
    height, width = psf_pixels.shape
    reach = max(min(abs(down), height // 2), min(abs(right), width // 2))
    return np.pad(psf_pixels, math.ceil(reach) + 2), (_opposite(down), _opposite(right))


def _opposite(offset: float) -> float:
    """Return minus the offset (px), and 0 for what is rounding only."""
    return 0.0 if abs(offset) < 1e-9 else -offset


def _find_translation(
    padded: Float64Array, kernel: Float64Array, start: Translation
) -> Translation:
    """Return the translation of the PSF under which its product with the kernel is largest, near
    `start`.
    """
    template = embed_kernel(_crop_centre(kernel, *padded.shape), max(padded.shape))
    template = _crop_centre(template, *padded.shape)
    cross = np.fft.fft2(padded) * np.conj(np.fft.fft2(template))
    norms = float(np.linalg.norm(padded) * np.linalg.norm(template))
    scale = 1 / (norms * padded.size)
    rows, columns = (2 * np.pi * frequency for frequency in _frequencies(padded.shape))

    def objective(shift: Float64Array) -> tuple[float, Float64Array]:
        phase = _translation_phase(padded.shape, (float(shift[0]), float(shift[1])))
        spectrum = cross * phase
        slope = np.array([(spectrum.imag * rows).sum(), (spectrum.imag * columns).sum()])
        return float(-scale * spectrum.real.sum()), np.asarray(-scale * slope, dtype=np.float64)

    bounds = [(value - 1, value + 1) for value in start]
    best = optimize.minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14}
    )
    return float(best.x[0]), float(best.x[1])


def _translation_phase(shape: tuple[int, ...], shift: Translation) -> Complex128Array:
    rows, columns = _frequencies(shape)
    return np.asarray(np.exp(-2j * np.pi * (rows * shift[0] + columns * shift[1])))


def _frequencies(shape: tuple[int, ...]) -> tuple[Float64Array, Float64Array]:
    rows = np.asarray(np.fft.fftfreq(shape[0]), dtype=np.float64)
    columns = np.asarray(np.fft.fftfreq(shape[1]), dtype=np.float64)
    return rows[:, None], columns[None, :]


# Errors
# --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _natural_spectrum() -> Float64Array:
    """Return the power of each frequency in a picture of variance `VARIANCE`, on the half plane of
    `rfft2`.

    They sum to `VARIANCE` when the half plane's inner columns are counted twice, as they are here:
    each value stands for itself and for its mirror image.
    """
    frequency_squared = np.fft.fftfreq(GRID)[:, None] ** 2 + np.fft.rfftfreq(GRID) ** 2
    frequency_squared[0, 0] = np.inf
    power = _half_plane_counts() / frequency_squared
    return np.asarray(VARIANCE * power / power.sum(), dtype=np.float64)


def _half_plane_counts() -> Float64Array:
    count = np.full((1, GRID // 2 + 1), 2.0)
    count[0, [0, -1]] = 1  # these columns hold their own mirror images
    return count


def _transfer_function(kernel: Float64Array) -> Complex128Array:
    """Return the transfer function of a centred kernel on the periodic grid; a wider kernel meets
    itself.
    """
    rows, columns = ((np.arange(size) - size // 2) % GRID for size in kernel.shape)
    field = np.zeros((GRID, GRID))
    np.add.at(field, np.ix_(rows, columns), kernel)
    return np.asarray(np.fft.rfft2(field), dtype=np.complex128)


def _wiener_error(transfer: Complex128Array, true_transfer: Complex128Array) -> float:
    """Return the expected squared error per pixel of the Wiener filter made for `transfer`, on
    pictures blurred by `true_transfer`.
    """
    signal = _natural_spectrum()
    noise = _half_plane_counts() * (NOISE / 255) ** 2 / GRID**2
    wiener = np.conj(transfer) * signal / (np.abs(transfer) ** 2 * signal + noise)
    wiener[0, 0] = 1  # the mean passes
    bias = np.abs(1 - wiener * true_transfer) ** 2 * signal
    return float((bias + np.abs(wiener) ** 2 * noise).sum())


def _crop_centre(array: Float64Array, height: int, width: int) -> Float64Array:
    """Return the centre of an array, at most `height` x `width`; all sizes odd."""
    top = max(0, (array.shape[0] - height) // 2)
    left = max(0, (array.shape[1] - width) // 2)
    return array[top : array.shape[0] - top, left : array.shape[1] - left]
