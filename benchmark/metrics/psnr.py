"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmark.api import Metric, MetricCard
from benchmark.metrics.inputs import as_pair

PSNR_CAP = 100.0
"""Score in dB of identical pictures, and the highest there is: a mean over images stays finite.

The evaluation code released with DPDNet and with Restormer writes 100 for identical pictures too.
"""


class Psnr(Metric):
    """10 log10(1 / MSE) in dB, the mean taken over all pixels and channels, at most 100 dB.

    It is symmetric in its arguments and, up to 100 dB, decreases with the squared error.

    >>> output, target = np.full((4, 4, 3), 0.6), np.full((4, 4, 3), 0.5)
    >>> round(Psnr()(output, target), 6)
    20.0
    >>> Psnr()(target, target)
    100.0
    """

    card = MetricCard(
        title="PSNR",
        unit="dB",
        paper="10 log10(1 / MSE), capped at 100 dB",
        digits=2,
        limits=(0, PSNR_CAP),
    )

    def __call__(self, output: NDArray[np.floating], target: NDArray[np.floating]) -> float:
        """Return the PSNR in dB; raises ValueError as `as_pair` does."""
        output_pixels, target_pixels = as_pair(output, target)
        error = (output_pixels - target_pixels).ravel()
        mse = float(error @ error) / error.size
        if mse == 0:
            return PSNR_CAP
        return min(PSNR_CAP, -10 * math.log10(mse))
