"""The Gaussian kernel mixture (GKM) model of defocus and its blurring operator.

Quan, Wu and Ji, "Gaussian Kernel Mixture Network for Single Image Defocus Deblurring", NeurIPS 2021: every pixel's
kernel is a mixture of fixed Gaussians (eq. 3), so the operator is a sum of a few convolutions, each weighted per pixel
(eq. 4),

    B x = sum_k beta_k * (g(sigma_k) conv x)        B^T z = sum_k g(sigma_k) conv (beta_k * z).

Pictures are continued beyond their border by half-sample reflection (d c b a | a b c d | d c b a). The paper states no
border rule; with this one the convolution by a symmetric kernel is a symmetric matrix, so the formula for B^T above is
the exact adjoint, border included, and a constant picture stays constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmark.api import Map, Picture

BORDER = cv2.BORDER_REFLECT

_SUM_WEIGHT = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """A bank of Gaussian kernels, sampled at integers, cut to an odd size and normalised to sum 1.

    Attributes:
        label: where the ladder comes from.
        sigmas: nominal sigma of each kernel in pixels, ascending; 0 is the delta.
        taps: the 1-D kernels, float64, sum 1, read-only; the 2-D kernel is their outer product.
        kernels: the 2-D kernels, likewise.
        variances: effective per-axis variance of each kernel in px^2. Sampling and cutting make it smaller than
            sigma^2, so the mixing coefficients are computed from these and not from the nominal values.
    """

    label: str
    sigmas: tuple[float, ...]
    taps: tuple[NDArray[np.float64], ...]
    kernels: tuple[NDArray[np.float64], ...]
    variances: tuple[float, ...]


@lru_cache(maxsize=32)
def paper_bank(max_size: int = 21) -> Bank:
    """Return the bank of the paper (section 3): a delta, then sigma (m-2)/4 and (m-1)/4 for m = 3, 5, ..., `max_size`.

    K = M = 21 kernels for the paper's M = 21.

    Raises:
        ValueError: if `max_size` is not an odd number >= 1.
    """
    if max_size < 1 or max_size % 2 == 0:
        raise ValueError(f"the largest kernel size must be an odd number >= 1, got {max_size}")
    sizes = range(3, max_size + 1, 2)
    ladder = [(0.0, 1)] + [((m - step) / 4, m) for m in sizes for step in (2, 1)]
    return _bank(f"paper, M = {max_size}", ladder)


@lru_cache(maxsize=1)
def official_bank() -> Bank:
    """Return the 22 kernels of the authors' released program: a delta, then sigma i/4 for i = 1 ... 21.

    Sizes are 3 for i = 1 ... 3, then two sigmas for each size 5, 7, ..., 21; it differs from the paper's text.
    """
    return _bank("official code", [(0.0, 1)] + [(i / 4, max(3, 2 * (i // 2) + 1)) for i in range(1, 22)])


def _bank(label: str, ladder: list[tuple[float, int]]) -> Bank:
    taps = tuple(_taps(sigma, size) for sigma, size in ladder)
    return Bank(
        label=label,
        sigmas=tuple(sigma for sigma, _ in ladder),
        taps=taps,
        kernels=tuple(_readonly(np.outer(line, line)) for line in taps),
        variances=tuple(_variance(line) for line in taps),
    )


def _taps(sigma: float, size: int) -> NDArray[np.float64]:
    if size == 1:
        return _readonly(np.ones(1))
    offset = np.arange(size) - size // 2
    line = np.exp(-(offset**2) / (2 * sigma**2))
    return _readonly(line / line.sum())


def _variance(taps: NDArray[np.float64]) -> float:
    return float(taps @ (np.arange(len(taps)) - len(taps) // 2) ** 2)


def _readonly(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.flags.writeable = False
    return array


def coefficients(blur_map: Map, bank: Bank) -> NDArray[np.float32]:
    """Return the mixing coefficients beta (K x H x W float32) under which the GKM has the map's blur at every pixel.

    The two kernels of the bank whose effective variances enclose sigma^2 are mixed linearly in variance. The second
    moment of a mixture is the mixture of second moments, so the mixed kernel has variance sigma^2 exactly. A sigma
    above the largest kernel's is clamped to that kernel. Coefficients are >= 0 and sum to 1, at most two are not zero.

    Args:
        blur_map: H x W, sigma in pixels, >= 0.
        bank: the kernels.
    """
    ladder = np.asarray(bank.variances)
    variance = np.square(np.asarray(blur_map, dtype=np.float64))
    place = np.interp(variance, ladder, np.arange(len(ladder), dtype=np.float64))
    lower = np.floor(place)
    upper_share = (place - lower).astype(np.float32)
    beta = np.zeros((len(ladder), *variance.shape), np.float32)
    for k, plane in enumerate(beta):
        np.copyto(plane, 1 - upper_share, where=lower == k)
        np.copyto(plane, upper_share, where=lower == k - 1)
    return beta


def fit(psf: NDArray[np.float64], bank: Bank, *, nonnegative: bool = True) -> NDArray[np.float64]:
    """Return the K mixing coefficients under which the bank comes closest to a PSF in least squares.

    They sum to the PSF's sum, so that the mixture passes a constant picture as the PSF does: the condition enters as
    one more equation of great weight.

    Args:
        psf: odd-sized kernel of any family or a measured one, centred; it need not be symmetric or fit into the bank.
        bank: the kernels.
        nonnegative: demand coefficients >= 0 (a physical mixture), or allow any sign (what a network may learn).

    Raises:
        ValueError: if the PSF has an even size or holds NaN.
    """
    if psf.ndim != 2 or any(size % 2 == 0 for size in psf.shape) or not np.isfinite(psf).all():
        raise ValueError(f"a PSF must be a finite array of odd height and width, got shape {psf.shape}")
    size = max(*psf.shape, *(len(taps) for taps in bank.taps))
    columns = [_embedded(kernel, size).ravel() for kernel in bank.kernels]
    system = np.vstack([np.stack(columns, axis=1), np.full((1, len(columns)), _SUM_WEIGHT)])
    wanted = np.append(_embedded(psf, size).ravel(), _SUM_WEIGHT * psf.sum())
    found: NDArray[np.float64] = nnls(system, wanted)[0] if nonnegative else np.linalg.lstsq(system, wanted)[0]
    return found


def _embedded(psf: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    rows, columns = ((size - length) // 2 for length in psf.shape)
    return np.pad(psf, ((rows, rows), (columns, columns)))


def blur(x: Picture, beta: NDArray[np.float32], bank: Bank) -> Picture:
    """Return B x (eq. 4).

    Args:
        x: H x W x 3 picture.
        beta: K x H x W mixing coefficients; kernels whose coefficients are all zero cost nothing.
        bank: the K kernels.
    """
    _check(x, beta, bank)
    total = np.zeros(x.shape, np.float32)
    for weight, taps in zip(beta, bank.taps, strict=True):
        if weight.any():
            total += weight[..., None] * _filter(x, taps)
    return total


def adjoint(z: Picture, beta: NDArray[np.float32], bank: Bank) -> Picture:
    """Return B^T z, the exact transpose of `blur`, border included; arguments as there."""
    _check(z, beta, bank)
    total = np.zeros(z.shape, np.float32)
    for weight, taps in zip(beta, bank.taps, strict=True):
        if weight.any():
            total += _filter(weight[..., None] * z, taps)
    return total


def _check(picture: Picture, beta: NDArray[np.float32], bank: Bank) -> None:
    expected = (len(bank.taps), *picture.shape[:2])
    if beta.shape != expected:
        raise ValueError(f"coefficients must be K x H x W = {expected} for this picture and bank, got {beta.shape}")


def _filter(picture: Picture, taps: NDArray[np.float64]) -> Picture:
    if len(taps) == 1:
        return picture
    return cv2.sepFilter2D(picture, cv2.CV_32F, taps, taps, borderType=BORDER)  # type: ignore[return-value]
