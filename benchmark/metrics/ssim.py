"""Structural similarity, with the two windows the literature uses."""

from __future__ import annotations

import dataclasses
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, MetricCard
from benchmark.arrays import Float64Array
from benchmark.metrics.inputs import as_pair

Window = Literal["u7", "g11"]

_PAPER = "Wang, Bovik, Sheikh, Simoncelli, Image Quality Assessment, IEEE TIP 2004"
_C1, _C2 = 0.01**2, 0.03**2
"""(K1 L)^2 and (K2 L)^2 of the paper, for the data range L = 1."""
_STRIP_ROWS = 64
"""Rows that are worked on at a time, so that what is computed of them stays in the cache."""


def _sample_window(window: Window) -> Float64Array:
    """Return the weights of a window along one axis; their sum is 1."""
    if window == "u7":
        return np.full(7, 1 / 7)
    weights: Float64Array = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights /= weights.sum()
    return weights


def _map_similarity(
    output: Float64Array, target: Float64Array, taps: Float64Array, bessel: float
) -> Float64Array:
    """Return SSIM wherever the window lies inside the pictures, eq. (13) of the paper; `bessel` is
    n / (n - 1) for sample covariances of n pixels, else 1.
    """
    margin = len(taps) // 2

    def average(planes: Float64Array) -> Float64Array:
        averages = cv2.sepFilter2D(planes, cv2.CV_64F, taps, taps)
        return np.asarray(averages[margin:-margin, margin:-margin])

    output_mean = average(output)
    target_mean = average(target)
    product_of_means = output_mean * target_mean
    squares_of_means = output_mean**2 + target_mean**2
    covariance = bessel * (average(output * target) - product_of_means)
    variances = bessel * (average(output**2 + target**2) - squares_of_means)
    likeness = (2 * product_of_means + _C1) * (2 * covariance + _C2)
    return likeness / ((squares_of_means + _C1) * (variances + _C2))


class Ssim(Metric):
    """Mean structural similarity of the colour channels, K1 = 0.01, K2 = 0.03, data range 1.

    The two windows give different numbers (up to about 0.015 apart), so papers that use one cannot
    be compared with papers that use the other:

    - `u7`: 7 x 7 uniform window, sample covariance. The default of scikit-image.
    - `g11`: 11 x 11 Gaussian window of sigma 1.5, population covariance. Wang et al. and
      pytorch_msssim.

    Both average over the positions where the window lies inside the picture, per channel, then over
    the channels, in float64. SSIM does not change when both pictures and the data range are
    multiplied by one factor, so 255-scale pictures with range 255 score the same as their 255th
    with range 1, also where they leave [0, 1].

    >>> rng = np.random.default_rng(0)
    >>> target = rng.random((16, 16, 3))
    >>> round(Ssim()(target, target), 6)
    1.0
    >>> Ssim(window="g11")(0.5 * target, target) < 0.9
    True
    """

    card = MetricCard(title="SSIM", paper=_PAPER, digits=3, limits=(-1, 1))

    def __init__(self, *, window: Window = "u7") -> None:
        """Choose the window; the card of the instance names it."""
        self._name = f"SSIM {window}"
        self._taps = _sample_window(window)
        pixels = len(self._taps) ** 2
        self._bessel = pixels / (pixels - 1) if window == "u7" else 1.0
        self.card = dataclasses.replace(Ssim.card, title=self._name)

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the mean SSIM; raises ValueError as `as_pair` does, and for a picture smaller than
        the window.
        """
        output_pixels, target_pixels = as_pair(
            output, target, at_least=len(self._taps), metric=self._name
        )
        margin = len(self._taps) // 2
        total = 0.0
        count = 0
        for top in range(margin, len(output_pixels) - margin, _STRIP_ROWS):
            rows = slice(top - margin, min(top + _STRIP_ROWS + margin, len(output_pixels)))
            similarity = _map_similarity(
                output_pixels[rows], target_pixels[rows], self._taps, self._bessel
            )
            total += float(similarity.sum())
            count += similarity.size
        return total / count
