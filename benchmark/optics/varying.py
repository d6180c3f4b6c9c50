"""Blur whose PSF changes from pixel to pixel, for any PSF family, and its adjoint.

A ladder of kernels h_k of one family, ordered by their variance, stands for the continuum. Each pixel mixes the two
rungs that enclose its own sigma^2, linearly in variance (as `benchmark.optics.gkm.coefficients` does), so that the
mixed kernel has its second moment exactly:

    B x = sum_k w_k * (h_k conv x)        B^T z = sum_k h_k conv (w_k * z)

The border is continued by half-sample reflection, under which a kernel that is its own mirror image in both axes is a
symmetric matrix, so B^T is the exact transpose, border included, and B keeps a constant picture.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.api import Map, Picture
from benchmark.optics import gkm
from benchmark.optics.psf import kernel

Family = Literal["gaussian", "disk", "gkm"]
Kernel = NDArray[np.float64]
Box = tuple[slice, slice]

STEP = 0.125
"""Distance of the rungs in sigma, pixels; `gkm` has the rungs of the paper's bank."""


class VaryingBlur:
    """The operator B of one blur map, and its adjoint."""

    def __init__(self, blur_map: Map, family: Family) -> None:
        """Prepare the operator.

        Args:
            blur_map: H x W, sigma in pixels, >= 0. The `gkm` family ends at the paper's largest kernel.
            family: `gaussian` or `disk` (area-sampled), or `gkm`: the mixture that the paper's bank makes of a sigma.
        """
        kernels, variances = ladder(family, float(blur_map.max()))
        place = np.interp(np.square(blur_map, dtype=np.float64), variances, np.arange(len(variances), dtype=np.float64))
        self._place = place.astype(np.float32)
        self._kernels = kernels

    def forward(self, x: Picture) -> Picture:
        """Return B x (H x W x 3)."""
        total = np.zeros_like(x)
        for rung, psf in enumerate(self._kernels):
            weight = self._weight(rung)
            if weight.any():
                box, inner = _around(weight, len(psf) // 2)
                total[box][inner] += (weight[box][..., None] * _filter(x[box], psf))[inner]
        return total

    def adjoint(self, z: Picture) -> Picture:
        """Return B^T z (H x W x 3)."""
        total = np.zeros_like(z)
        for rung, psf in enumerate(self._kernels):
            weight = self._weight(rung)
            if weight.any():
                box, _ = _around(weight, len(psf) // 2)
                total[box] += _filter(weight[box][..., None] * z[box], psf)
        return total

    def _weight(self, rung: int) -> Map:
        weight: Map = np.maximum(np.float32(0), 1 - np.abs(self._place - np.float32(rung)))
        return weight


@lru_cache(maxsize=16)
def ladder(family: Family, reach: float) -> tuple[tuple[Kernel, ...], tuple[float, ...]]:
    """Return the kernels of a family from the delta up to sigma `reach` (pixels), and their nominal variances.

    Raises:
        ValueError: for an unknown family or a reach that is negative or not finite.
    """
    if not (math.isfinite(reach) and reach >= 0):
        raise ValueError(f"the largest sigma must be a finite number >= 0, got {reach}")
    if family == "gkm":
        bank = gkm.paper_bank()
        return bank.kernels, bank.variances
    sigmas = STEP * np.arange(math.ceil(reach / STEP) + 1)
    return tuple(kernel(family, float(sigma)) for sigma in sigmas), tuple((sigmas**2).tolist())


def _around(weight: Map, margin: int) -> tuple[Box, Box]:
    """Return the box of the non-zero weights grown by the margin, and that box without the margin inside it."""
    rows, columns = (np.flatnonzero(weight.any(axis=axis)) for axis in (1, 0))
    starts = [max(0, int(hits[0]) - margin) for hits in (rows, columns)]
    box = tuple(slice(start, int(hits[-1]) + 1 + margin) for start, hits in zip(starts, (rows, columns), strict=True))
    inner = tuple(
        slice(int(hits[0]) - start, int(hits[-1]) + 1 - start)
        for start, hits in zip(starts, (rows, columns), strict=True)
    )
    return box, inner  # type: ignore[return-value]


def _filter(picture: Picture, psf: Kernel) -> Picture:
    if psf.size == 1:
        return picture
    return cv2.filter2D(picture, cv2.CV_32F, psf, borderType=gkm.BORDER)  # type: ignore[return-value]
