"""The Gaussian kernel mixture (GKM) model of defocus and its blurring operator.

Quan, Wu and Ji, "Gaussian Kernel Mixture Network for Single Image Defocus Deblurring", NeurIPS
2021: every pixel's kernel is a mixture of fixed Gaussians (eq. 3), so the operator is a sum of a
few convolutions, each weighted per pixel (eq. 4),

    B x = sum_k beta_k * (g(sigma_k) conv x)        B^T z = sum_k g(sigma_k) conv (beta_k * z).

Pictures are continued beyond their border by half-sample reflection (d c b a | a b c d | d c b a).
The paper states no border rule; with this one the convolution by a symmetric kernel is a symmetric
matrix, so the formula for B^T above is the exact adjoint, border included, and a constant picture
stays constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmark.api import Map, Picture
from benchmark.arrays import Box, Float32Array, repeat_channels, weigh_channels
from benchmark.optics._tiles import BORDER as BORDER
from benchmark.optics._tiles import (
    crop_with_halo,
    for_each_in_threads,
    grow_box,
    inner_box,
    nonzero_box,
    tile_boxes,
)
from benchmark.optics.psf import embed_kernel, freeze_array, psf_kernel

LADDER_STEP = 0.05
"""Largest distance in sigma, pixels, between the PSFs that `fit_coefficients` fits."""

RIDGE = 1e-3
"""The ridge that keeps the signed coefficients of every disk within +-4.6 in the paper's bank (see
`fit_mixture`).
"""

_SUM_WEIGHT = 100.0
_TILE = (192, 256)
"""Its scratch is some 2 MB, about a core's cache; from 64 x 256 to 64 x 1680 the time hardly
changes.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """A bank of Gaussian kernels, sampled at integers, cut to an odd size and normalised to sum 1.

    Attributes:
        label: where the ladder comes from.
        sigmas: nominal sigma of each kernel in pixels, ascending; 0 is the delta.
        taps: the 1-D kernels, float64, sum 1, read-only; the 2-D kernel is their outer product.
        kernels: the 2-D kernels, likewise.
        variances: effective per-axis variance of each kernel in px^2. Sampling and cutting make it
            smaller than sigma^2, so the mixing coefficients are computed from these and not from
            the nominal values.
    """

    label: str
    sigmas: tuple[float, ...]
    taps: tuple[NDArray[np.float64], ...]
    kernels: tuple[NDArray[np.float64], ...]
    variances: tuple[float, ...]


@lru_cache(maxsize=32)
def paper_bank(max_size: int = 21) -> Bank:
    """Return the bank of the paper (section 3): a delta, then sigma (m-2)/4 and (m-1)/4 for m = 3,
    5, ..., `max_size`.

    K = M = 21 kernels for the paper's M = 21.

    Raises:
        ValueError: if `max_size` is not an odd number >= 1.
    """
    if max_size < 1 or max_size % 2 == 0:
        raise ValueError(f"the largest kernel size must be an odd number >= 1, got {max_size}")
    ladder = [(0.0, 1)]
    for size in range(3, max_size + 1, 2):
        ladder += [((size - 2) / 4, size), ((size - 1) / 4, size)]
    return _build_bank(f"paper, M = {max_size}", ladder)


@lru_cache(maxsize=1)
def official_bank() -> Bank:
    """Return the 22 kernels of the authors' released program: a delta, then sigma i/4 for i = 1 ...
    21.

    Sizes are 3 for i = 1 ... 3, then two sigmas for each size 5, 7, ..., 21; it differs from the
    paper's text.
    """
    gaussians = [(i / 4, max(3, 2 * (i // 2) + 1)) for i in range(1, 22)]
    return _build_bank("official code", [(0.0, 1), *gaussians])


def _build_bank(label: str, ladder: list[tuple[float, int]]) -> Bank:
    taps = tuple(_gaussian_taps(sigma, size) for sigma, size in ladder)
    return Bank(
        label=label,
        sigmas=tuple(sigma for sigma, _ in ladder),
        taps=taps,
        kernels=tuple(freeze_array(np.outer(line, line)) for line in taps),
        variances=tuple(_taps_variance(line) for line in taps),
    )


def _gaussian_taps(sigma: float, size: int) -> NDArray[np.float64]:
    if size == 1:
        return freeze_array(np.ones(1))
    offset = np.arange(size) - size // 2
    line = np.exp(-(offset**2) / (2 * sigma**2))
    return freeze_array(line / line.sum())


def _taps_variance(taps: NDArray[np.float64]) -> float:
    return float(taps @ (np.arange(len(taps)) - len(taps) // 2) ** 2)


def check_blur_map(blur_map: Map) -> None:
    """Raise ValueError unless a blur map is H x W, finite and nowhere negative."""
    if (
        blur_map.ndim != 2
        or not np.isfinite(blur_map).all()
        or (blur_map.size and blur_map.min() < 0)
    ):
        raise ValueError(
            "a blur map must be H x W sigmas in pixels, finite and >= 0; got shape "
            f"{blur_map.shape}"
        )


def mixing_coefficients(blur_map: Map, bank: Bank) -> NDArray[np.float32]:
    """Return the mixing coefficients beta (K x H x W float32) under which the GKM has the map's
    blur at every pixel.

    The two kernels of the bank whose effective variances enclose sigma^2 are mixed linearly in
    variance. The second moment of a mixture is the mixture of second moments, so the mixed kernel
    has variance sigma^2 exactly. A sigma above the largest kernel's is clamped to that kernel.
    Coefficients are >= 0 and sum to 1, at most two are not zero.

    Args:
        blur_map: H x W, sigma in pixels, >= 0.
        bank: the kernels.
    """
    check_blur_map(blur_map)
    ladder = np.asarray(bank.variances)
    variance = np.square(np.asarray(blur_map, dtype=np.float64))
    position = np.interp(variance, ladder, np.arange(len(ladder), dtype=np.float64))
    lower = np.floor(position)
    upper_share = (position - lower).astype(np.float32)
    beta = np.zeros((len(ladder), *variance.shape), np.float32)
    for k, plane in enumerate(beta):
        np.copyto(plane, 1 - upper_share, where=lower == k)
        np.copyto(plane, upper_share, where=lower == k - 1)
    return beta


def fit_mixture(
    psf: NDArray[np.float64], bank: Bank, *, nonnegative: bool = True, ridge: float = 0.0
) -> NDArray[np.float64]:
    """Return the K mixing coefficients under which the bank comes closest to a PSF in least
    squares.

    They sum to the PSF's sum, so that the mixture passes a constant picture as the PSF does: the
    condition enters as one more equation of great weight.

    Neighbouring Gaussians are nearly alike, so with either sign allowed a better fit is bought with
    large coefficients that cancel, and a float32 picture loses as many digits as they have. `ridge`
    adds the equations ridge * beta_k = 0, which bound them. Measured on disks with the paper's
    bank, |mixture - disk| / |disk| (largest |beta_k|):

        sigma, px              0.5            1            2            3            4
        non-negative  0.177 (0.91)  0.250 (0.99)   0.344 (1.0)  0.372 (0.58)  0.384 (0.89)
        ridge 0        0.000 (120)  0.010 (1590)   0.101 (989)   0.111 (164)    0.106 (36)
        ridge 1e-4    0.002 (1.42)  0.052 (7.19)  0.117 (6.86)  0.112 (14.3)  0.109 (17.6)
        ridge 1e-3    0.002 (1.42)  0.055 (2.20)  0.122 (4.48)  0.139 (1.93)  0.160 (2.37)
        ridge 1e-2    0.008 (1.30)  0.064 (1.00)  0.174 (0.73)  0.189 (0.57)  0.213 (0.42)

    Args:
        psf: odd-sized kernel of any family or a measured one, centred; it need not be symmetric or
            fit into the bank.
        bank: the kernels.
        nonnegative: demand coefficients >= 0 (a physical mixture), or allow any sign (what a
            network may learn).
        ridge: weight of the size of the coefficients, in units of the PSF's pixel values; 0 is
            plain least squares.

    Raises:
        ValueError: if the PSF has an even size or holds NaN, or if the ridge is negative or not
            finite.
    """
    if psf.ndim != 2 or any(size % 2 == 0 for size in psf.shape) or not np.isfinite(psf).all():
        raise ValueError(
            f"a PSF must be a finite array of odd height and width, got shape {psf.shape}"
        )
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"the ridge must be a finite number >= 0, got {ridge}")
    size = max(*psf.shape, *(len(taps) for taps in bank.taps))
    columns = [embed_kernel(member, size).ravel() for member in bank.kernels]
    count = len(columns)
    system = np.vstack(
        [np.stack(columns, axis=1), ridge * np.eye(count), np.full((1, count), _SUM_WEIGHT)]
    )
    target = np.concatenate(
        [embed_kernel(psf, size).ravel(), np.zeros(count), [_SUM_WEIGHT * psf.sum()]]
    )
    solve = nnls if nonnegative else np.linalg.lstsq
    beta: NDArray[np.float64] = solve(system, target)[0]
    return beta


def fit_coefficients(
    blur_map: Map,
    bank: Bank,
    family: Literal["disk", "gaussian"] = "disk",
    *,
    nonnegative: bool = True,
    ridge: float | None = None,
) -> NDArray[np.float32]:
    """Return the mixing coefficients beta (K x H x W float32) fitted to a PSF family of the map's
    size at every pixel.

    The family is fitted (`fit_mixture`) on a ladder of sigma at most `LADDER_STEP` apart and beta
    is interpolated linearly between the two nearest rungs; for disks and the paper's bank that adds
    at most 0.018 to the relative error of a fit made for the very sigma. A sigma above the bank's
    reach, that of its largest kernel (4.50 px in the paper's), is clamped to it.

    Args:
        blur_map: H x W, sigma in pixels, >= 0, finite.
        bank: the kernels.
        family: `disk` or `gaussian`, area-sampled.
        nonnegative: as for `fit_mixture`.
        ridge: as for `fit_mixture`; by default 0 for non-negative coefficients, which are bounded
            by 1, and else `RIDGE`.

    Raises:
        ValueError: for a map that is negative or not finite, a family that is none, or a ridge
            below 0 or not finite.
    """
    check_blur_map(blur_map)
    if ridge is None:
        ridge = 0.0 if nonnegative else RIDGE
    table = _fit_coefficient_ladder(bank, family, nonnegative, ridge)
    steps = len(table) - 1
    position = np.clip(
        np.asarray(blur_map, np.float32)
        * np.float32(steps / max(_coefficient_ladder_sigmas(bank)[-1], 1e-9)),
        0,
        steps,
    )
    lower = np.minimum(position.astype(np.intp), max(0, steps - 1))
    share = position - lower
    beta = np.empty((len(bank.taps), *position.shape), np.float32)
    for plane, column in zip(beta, table.T, strict=True):
        lower_column = column[lower]
        upper_column = np.append(column[1:], column[-1:])[lower]
        np.copyto(plane, lower_column + share * (upper_column - lower_column))
    return beta


@lru_cache(maxsize=32)
def _fit_coefficient_ladder(
    bank: Bank, family: Literal["disk", "gaussian"], nonnegative: bool, ridge: float
) -> Float32Array:
    """Return beta (rungs x K, float32) on the ladder of sigma from 0 to the reach of the bank."""
    sigmas = _coefficient_ladder_sigmas(bank)
    fits = [
        fit_mixture(psf_kernel(family, float(sigma)), bank, nonnegative=nonnegative, ridge=ridge)
        for sigma in sigmas
    ]
    table = np.asarray(fits, np.float32)
    table.flags.writeable = False
    return table


def _coefficient_ladder_sigmas(bank: Bank) -> NDArray[np.float64]:
    reach = float(np.sqrt(bank.variances[-1]))
    return np.linspace(0, reach, 1 + math.ceil(reach / LADDER_STEP))


def blur_picture(x: Picture, beta: NDArray[np.float32], bank: Bank) -> Picture:
    """Return B x (eq. 4).

    It runs on as many threads as OpenCV may use (`cv2.getNumThreads()`), and no result depends on
    their number.

    Args:
        x: H x W x 3 picture.
        beta: K x H x W mixing coefficients; where all coefficients of a kernel are zero it costs
            nothing.
        bank: the K kernels.

    Raises:
        ValueError: if the coefficients do not fit the picture and the bank.
    """
    x = _check_coefficients(x, beta, bank)
    result = np.empty_like(x)

    def gather(box: Box) -> None:
        total = np.zeros(result[box].shape, np.float32)
        for plane, taps in zip(beta, bank.taps, strict=True):
            weight = plane[box]
            halo = len(taps) // 2
            part = nonzero_box(weight)
            if part is not None:
                neighbourhood = crop_with_halo(x, box, halo)[grow_box(part, halo)]
                response = _filter_picture(neighbourhood, taps)
                total[part] = cv2.accumulateProduct(
                    response[inner_box(response, halo)],
                    repeat_channels(weight[part]),
                    np.ascontiguousarray(total[part]),
                )
        result[box] = total

    for_each_in_threads(gather, tile_boxes(x.shape[:2], _TILE))
    return result


def blur_picture_adjoint(z: Picture, beta: NDArray[np.float32], bank: Bank) -> Picture:
    """Return B^T z, the exact transpose of `blur_picture`, border included; arguments and errors
    as there.
    """
    z = _check_coefficients(z, beta, bank)
    result = np.empty_like(z)

    def scatter(box: Box) -> None:
        total = np.zeros(result[box].shape, np.float32)
        for plane, taps in zip(beta, bank.taps, strict=True):
            halo = len(taps) // 2
            weight = crop_with_halo(plane, box, halo)
            if weight.any():
                product = weigh_channels(crop_with_halo(z, box, halo), weight)
                response = _filter_picture(product, taps)
                total += response[inner_box(response, halo)]
        result[box] = total

    for_each_in_threads(scatter, tile_boxes(z.shape[:2], _TILE))
    return result


def _check_coefficients(picture: Picture, beta: NDArray[np.float32], bank: Bank) -> Picture:
    shape = (len(bank.taps), *picture.shape[:2])
    if beta.shape != shape:
        raise ValueError(
            f"coefficients must be K x H x W = {shape} for this picture and bank, got {beta.shape}"
        )
    return np.ascontiguousarray(picture, np.float32)


def _filter_picture(picture: Picture, taps: NDArray[np.float64]) -> Picture:
    if len(taps) == 1:
        return picture
    return cv2.sepFilter2D(picture, cv2.CV_32F, taps, taps, borderType=BORDER)  # type: ignore[return-value]
